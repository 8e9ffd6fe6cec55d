/** @file Synthetic images, one class after the other, beside the real images they are nearest to and the first of their class. */
import { rowsByClass, shownChannels } from '../experiment/image-grid.js'
import type { RealImages } from '../experiment/real-images.js'
import type { SyntheticSet } from '../experiment/types.js'
import { escapeHtml } from './html.js'
import { labelCaption } from './learned-labels.js'
import { pictureStrip, type Strip } from './pictures.js'

/** A page with more images than this is slow to open and to scroll. */
const maxImages = 2000

/** `synthetic` holds the set's images for the eye, bytes NHWC. */
export function imageRows(set: SyntheticSet, synthetic: Uint8Array, real: RealImages | undefined): string {
  const { shape, labels, classes, sourceIds } = set
  const [, , , c] = shape
  const perClass = Math.max(1, Math.floor(maxImages / classes.length))
  const samples = real && rowsByClass(real.sampleLabels, classes.length)
  const rows = rowsByClass(labels, classes.length).map((numbers, label) => {
    const shown = numbers.slice(0, perClass)
    if (shown.length === 0) return ''
    const kind = (name: string, count: number) => `${count} ${name} ${count === 1 ? 'image' : 'images'} of class ${classes[label]}`
    const captions = shown.map((i) => `${caption(i, sourceIds?.[i], real)}${labelCaption(set, i)}`)
    const strips: Strip[] = [
      { name: 'synthetic', images: synthetic, shape, numbers: shown, describe: kind('synthetic', shown.length), captions },
    ]
    if (real && samples) {
      const describe = `the real images nearest to the synthetic images of class ${classes[label]}`
      strips.push({ name: 'nearest real', images: real.nearest, shape, numbers: shown, describe, captions })
      if (samples[label].length > 0)
        strips.push({ name: 'real', images: real.samples, shape, numbers: samples[label], describe: kind('real', samples[label].length) })
    }
    return `<section class="class"><h3>${escapeHtml(classes[label])}</h3>${strips.map(pictureStrip).join('')}</section>`
  })
  const left = labels.length > perClass * classes.length ? `<p>The first ${perClass} images of each class.</p>` : ''
  const part = shownPart(c)
  return `${left}${part}<div class="classes">${rows.join('\n')}</div>`
}

/** Says which channels the pictures show, when not all. */
function shownPart(channels: number): string {
  const shown = shownChannels(channels)
  if (shown === channels) return ''
  return `<p>The first ${shown === 1 ? 'channel, as gray' : `${shown} channels, as red, green and blue`}, of ${channels}.</p>`
}

/** What the enlarged picture says of one synthetic image. */
function caption(i: number, source: number | undefined, real: RealImages | undefined): string {
  const start = source === undefined || source < 0 ? '' : `, started from real image ${source}`
  const nearest = real ? `; nearest real image ${real.rows[i]} at ${real.distances[i].toFixed(3)}` : ''
  return `synthetic image ${i}${start}${nearest}`
}
