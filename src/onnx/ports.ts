/** @file Inputs and outputs of a model as errors show them. */
import type { ModelPort } from './read-model.js'

export const shown = ({ dims }: ModelPort): string => (dims ? `[${dims.map((d) => (d === '' ? '?' : d)).join(', ')}]` : 'of any shape')
export const listed = (ports: readonly ModelPort[]): string => ports.map((port) => `${port.name} ${shown(port)}`).join(', ') || 'none'

/** What helps where a model takes images [H, W, C] `wanted`, open axes as text, and the images are `given`. */
export function otherImages(wanted: readonly (number | string)[], given: readonly number[] = []): string {
  const [height, width, channels] = wanted
  const [, , own] = given
  if (typeof channels === 'number' && own !== undefined && channels !== own)
    return `take a model for images of ${own === 1 ? '1 channel' : `${own} channels`}`
  const read =
    height === width && typeof height === 'number'
      ? `read the images at that size (--size ${height}, where the data set takes it), or `
      : ''
  return `${read}take another model`
}
