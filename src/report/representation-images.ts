/** @file Synthetic images of a run without labels, in the order of the set. */
import { displayedPixels, type RepresentationSet } from '../experiment/representation-set.js'
import { escapeHtml } from './html.js'
import { pictureStrip } from './pictures.js'

/** A page with more images than this is slow to open and to scroll. */
const maxImages = 1000
const perStrip = 20

export function representationImages(set: RepresentationSet): string {
  const { shape, sourceIds, teacher, dim, initSpace } = set
  const count = Math.min(shape[0], maxImages)
  const images = displayedPixels(set)
  const strips = Array.from({ length: Math.ceil(count / perStrip) }, (_, row) => {
    const first = row * perStrip
    const numbers = Array.from({ length: Math.min(perStrip, count - first) }, (_, i) => first + i)
    const captions = numbers.map((i) => `synthetic image ${i}${sourceIds ? `, started from real image ${sourceIds[i]}` : ''}`)
    const describe = `synthetic images ${first} to ${first + numbers.length - 1}`
    return pictureStrip({ name: `from ${first}`, images, shape, numbers, describe, captions })
  })
  const left = shape[0] > count ? ` The first ${count} of ${shape[0]} are shown.` : ''
  const space = initSpace === 'raw' ? 'pixels in [0, 1], as they are' : 'normalised pixels'
  const about = `<p>Each image has a target of ${dim} numbers, after teacher ${escapeHtml(teacher.name)} (${escapeHtml(teacher.objective)}). Networks see ${space}.${left}</p>`
  return `${about}\n${strips.join('\n')}`
}
