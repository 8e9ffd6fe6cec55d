/** @file The synthetic images, one row a class, embedded as PNG. */
import { encodePng } from '../data/png.js'
import { imageGrid, rowsByClass, shownChannels } from '../experiment/image-grid.js'
import { displayPixels } from '../experiment/synthetic-set.js'
import type { SyntheticSet } from '../experiment/types.js'
import { escapeHtml } from './html.js'

/** A page with more images than this is slow to open and to scroll. */
const maxImages = 2000

export function imageRows(set: SyntheticSet): string {
  const { shape, labels, classes } = set
  const [, h, w, c] = shape
  const images = displayPixels(set)
  const perClass = Math.max(1, Math.floor(maxImages / classes.length))
  // shown at about 64 pixels, sent at their own size: the browser enlarges
  const zoom = Math.max(1, Math.round(64 / h))
  const rows = rowsByClass(labels, classes.length).map((numbers, label) => {
    const shown = numbers.slice(0, perClass)
    if (shown.length === 0) return ''
    const { width, height, ...raster } = imageGrid({ images, shape, rows: [shown] }, 1)
    const png = Buffer.from(encodePng({ width, height, ...raster })).toString('base64')
    const alt = `${shown.length} synthetic ${shown.length === 1 ? 'image' : 'images'} of class ${classes[label]}, ${w} by ${h} pixels each`
    return `<tr><th scope="row">${escapeHtml(classes[label])}</th><td><img alt="${escapeHtml(alt)}" width="${width * zoom}" height="${height * zoom}" src="data:image/png;base64,${png}"></td></tr>`
  })
  const left = labels.length > perClass * classes.length ? `<p>The first ${perClass} images of each class.</p>` : ''
  const shown = shownChannels(c)
  const part =
    shown < c ? `<p>The first ${shown === 1 ? 'channel, as gray' : `${shown} channels, as red, green and blue`}, of ${c}.</p>` : ''
  return `${left}${part}<div class="scroll"><table class="images"><tbody>${rows.join('\n')}</tbody></table></div>`
}
