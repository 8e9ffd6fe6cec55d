/** @file Some synthetic images at several steps: what the run made of them. */
import type { SyntheticSet } from '../experiment/types.js'
import { pictureStrip, thumbnails } from './pictures.js'

export interface ShownStages {
  /** Rows of the set. */
  readonly rows: readonly number[]
  /** By step, ascending; pixels are bytes NHWC, as many images as `rows`. */
  readonly stages: readonly { readonly step: number; readonly shown: Uint8Array }[]
}

/** One strip for each step, then the images as they were saved after `steps`; `shown` are those of the set. Empty without a step before. */
export function stageRows(set: SyntheticSet, shown: Uint8Array, { rows, stages }: ShownStages, steps: number): string {
  const earlier = stages.filter(({ step }) => step < steps)
  if (earlier.length === 0) return ''
  const [, h, w, c] = set.shape
  const size = h * w * c
  const last = new Uint8Array(rows.length * size)
  for (const [i, row] of rows.entries()) last.set(shown.subarray(row * size, (row + 1) * size), i * size)
  const strips = [...earlier, { step: steps, shown: last }].map((stage) => {
    const after = `after ${stage.step} ${stage.step === 1 ? 'step' : 'steps'}`
    const small = thumbnails(stage.shown, [rows.length, h, w, c])
    return pictureStrip({
      ...{ name: after, images: small.images, shape: small.shape, numbers: [...rows.keys()] },
      describe: `${rows.length} synthetic ${rows.length === 1 ? 'image' : 'images'} ${after}`,
      captions: rows.map((row) => `synthetic image ${row}, ${set.classes[set.labels[row]]}, ${after}`),
    })
  })
  const which = rows.length === 1 ? 'The first image' : 'The first images of classes'
  return `<p>${which}, at steps that a checkpoint was taken after.</p>\n<div class="class">${strips.join('\n')}</div>`
}
