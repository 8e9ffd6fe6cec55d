/** @file What is optimised in place of pixels: latents that a traced function turns into images, where a decoder can stand. */
import { isRecord } from '../arguments.js'
import { bindProgram } from '../engine/bound-program.js'
import { spec, trace, type Value } from '../engine/index.js'
import type { Device } from '../engine/runtime/device.js'
import { checkShape, formatShape, type Shape, sameShape, sizeOf } from '../engine/tensor/shape.js'
import { AludelError, expected } from '../errors.js'
import type { InitialImages } from './initial-images.js'

/** What the latents start from. */
export interface ParametrisedStart {
  /** The images that the run would start from without latents: normalised, [M, H, W, C], class-major. */
  readonly images: Float32Array
  /** [M, H, W, C] */
  readonly shape: Shape
  /** Class of each image. */
  readonly labels: Int32Array
  readonly seed: number
}

/**
 * Images as a function of latents: the run's state is z [M, ...shape], and every step sees apply(z). Learning rate and momentum of the pixels
 * are those of the latents. For methods with a loss of their own ('dm', 'datadam', 'atom').
 */
export interface Parametrisation {
  /** Stands in the run's config as `parametrise`; a continuation is refused under another name. */
  readonly name: string
  /** Latents of one image, without the batch axis. */
  readonly shape: Shape
  /** The latents that the run starts from, [M, ...shape]. Equal arguments must give equal numbers. */
  init(start: ParametrisedStart): Float32Array | Promise<Float32Array>
  /**
   * z [M, ...shape] -> pixels [M, H, W, C] as networks see them (normalised), built from the engine's ops: it is traced into the step and
   * differentiated there. What it needs beside z (the weights of a frozen decoder) are constants of the trace, up to 65536 elements each.
   */
  apply(z: Value): Value
}

/** Throws `invalid_option` for what is no parametrisation, or one that gives other images than [count, ...image]. */
export function checkParametrisation(given: unknown, count: number, image: Shape): Parametrisation {
  const what = 'parametrise'
  const { name, shape, init, apply } = isRecord(given) ? given : {}
  if (typeof name !== 'string' || name === '' || typeof init !== 'function' || typeof apply !== 'function')
    throw expected('invalid_option', what, 'an object with name, shape, init and apply', given)
  checkShape(`${what} '${name}': shape`, shape as Shape)
  const parametrisation = given as Parametrisation
  const wanted = [count, ...image]
  const { outputs } = trace((z) => [parametrisation.apply(z)], [spec([count, ...parametrisation.shape])])
  const [pixels] = outputs
  if (!sameShape(pixels.shape, wanted) || pixels.dtype !== 'f32')
    throw expected('invalid_option', `${what} '${name}': apply`, `f32${formatShape(wanted)}`, `${pixels.dtype}${formatShape(pixels.shape)}`)
  return parametrisation
}

/** Throws `invalid_option` for what latents do not go together with. */
export function checkLatentRun(run: { trainsOnImages: boolean; dynamic: boolean; parts: boolean }): void {
  const reason = run.trainsOnImages
    ? "the method trains a network on the images too; take 'dm', 'datadam' or 'atom'"
    : run.dynamic
      ? 'dynamic pruning measures effects on pixels; leave it out'
      : run.parts
        ? 'one decoder sees all classes; leave classGroup and shard out'
        : undefined
  if (reason !== undefined) throw new AludelError('invalid_option', `parametrise: ${reason}`)
}

/** The latents that a run starts from. Throws `invalid_option` unless `init` gives finite numbers in their shape. */
export async function initialLatents(
  parametrise: Parametrisation,
  { images, sourceIds }: InitialImages,
  about: Omit<ParametrisedStart, 'images'>,
): Promise<InitialImages> {
  const { name, shape } = parametrise
  const latents: unknown = await parametrise.init({ images, ...about })
  const length = about.shape[0] * sizeOf(shape)
  if (!(latents instanceof Float32Array) || latents.length !== length) {
    const received = latents instanceof Float32Array ? latents.length : latents
    throw expected('invalid_option', `parametrise '${name}': init`, `a Float32Array of ${length} elements`, received)
  }
  const bad = latents.findIndex((v) => !Number.isFinite(v))
  if (bad >= 0) throw expected('invalid_option', `parametrise '${name}': init`, 'finite numbers', latents[bad])
  return { images: latents, sourceIds }
}

/** The images [M, H, W, C] of latents. Throws `not_finite` where they are none. */
export async function imagesOf(parametrise: Parametrisation, latents: Float32Array, image: Shape, device: Device): Promise<Float32Array> {
  const { name, shape } = parametrise
  const count = latents.length / sizeOf(shape)
  const program = bindProgram(device, {
    inputs: { z: { shape: [count, ...shape] } },
    outputs: { images: {} },
    build: ({ z }) => ({ images: parametrise.apply(z) }),
  })
  const arrays = { z: device.array('f32', [count, ...shape], latents), images: device.array('f32', [count, ...image]) }
  try {
    await program.run(arrays)
    const images = (await arrays.images.read()) as Float32Array
    if (images.every(Number.isFinite)) return images
    throw new AludelError('not_finite', `parametrise '${name}': the images of the last latents are not finite; lower imageLr`)
  } finally {
    for (const array of Object.values(arrays)) array.dispose()
    program.dispose()
  }
}
