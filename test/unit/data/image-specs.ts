/** @file Two classes of one-coloured images. */
import { plain, png, tree } from './image-fixtures.js'

/** The file of a gray image. */
export const image = (value: number): Promise<Uint8Array> => png(plain([value, value, value], 4))

/** A folder of images, one class each in order: 'a', 'b', …. */
export async function twoClasses(splits: Readonly<Record<string, readonly Promise<Uint8Array>[]>>): Promise<string> {
  const files: Record<string, Uint8Array> = {}
  for (const [split, images] of Object.entries(splits)) {
    for (const [c, content] of images.entries()) files[`${split}/${'ab'[c]}/0.png`] = await content
  }
  return tree(files)
}
