/** @file A synthetic set and its directory: data.safetensors (images F32 NCHW, labels I64, what was learned beside them), preview.png, and manifest.json written last. */
import { join } from 'node:path'
import { checkOptions, checkPath } from '../arguments.js'
import { exists, readWhole } from '../data/file-bytes.js'
import { FieldCheck, type Unchecked } from '../data/image-fields.js'
import { denormalizeImages } from '../data/normalize.js'
import { encodePng } from '../data/png.js'
import { checkWhitening, unwhiten, type Whitening } from '../data/whitening.js'
import { expected } from '../errors.js'
import { prepareDirectory, writeAtomic } from '../files/atomic-file.js'
import { bytesOf } from '../files/pieces.js'
import { decodeSafetensors, encodeSafetensors, type SafeTensor } from '../files/safetensors.js'
import { nchwToNhwc, nhwcToNchw } from '../nn/layout.js'
import { decodeWhitening, encodeWhitening, whiteningFile } from '../preprocess/whitening-file.js'
import { imageGrid, rowsByClass } from './image-grid.js'
import { isConfig } from './json-fields.js'
import { checkLabelLogits, checkLearningRate, checkTargets, learnedEntries, learnedTensors, readLearned } from './learned-training.js'
import { readListed } from './listed-file.js'
import { decodeManifest, encodeManifest, fileEntry, isSource, type Manifest, manifestFormat, manifestVersion } from './manifest.js'
import type { SyntheticSet, SyntheticSetFields } from './types.js'

export const dataFile = 'data.safetensors'
export const manifestFile = 'manifest.json'
export const previewFile = 'preview.png'

const maxManifestBytes = 64 << 20

const fieldNames: Readonly<Record<keyof SyntheticSet, true>> = {
  ...{ images: true, shape: true, labels: true, classes: true, mean: true, std: true, flip: true },
  ...{ source: true, config: true, sourceIds: true, whitening: true, labelLogits: true, targets: true, learningRate: true, save: true },
}

/**
 * Checks the fields against each other and adds `save`. The arrays are kept, not copied: whoever transfers one of them takes it away from
 * the set, which says so when it is saved or trained on. Throws `invalid_data` naming the field, `invalid_option` for an unknown one,
 * `detached`, or `not_finite` when a pixel or a logit is NaN or infinite. A learning rate is rounded to float32.
 */
export function createSyntheticSet(fields: SyntheticSetFields): SyntheticSet {
  checkSyntheticSet(fields)
  const { learningRate } = fields
  const kept = learningRate === undefined ? fields : { ...fields, learningRate: Math.fround(learningRate) }
  return Object.freeze({ ...kept, save: (dir: string) => saveSet(kept, dir) })
}

/** The checks of `createSyntheticSet`. */
export function checkSyntheticSet(fields: Unchecked<SyntheticSetFields>): asserts fields is SyntheticSetFields {
  const what = 'synthetic set'
  const check: FieldCheck = new FieldCheck(what, fields, 'give what distill, loadSyntheticSet or createSyntheticSet gives')
  checkOptions<Unchecked<SyntheticSet>>(what, fields, fieldNames)
  const { images, shape, labels, classes, source, config, flip, sourceIds, whitening, labelLogits, learningRate } = fields
  check.shape(shape)
  check.classes(classes)
  const [m, h, w, c] = shape
  check.array('images', ['f32', 'Float32Array'], images, m * h * w * c, `values for [${shape.join(', ')}]`)
  check.array('labels', ['i32', 'Int32Array'], labels, m, 'labels')
  check.labels(labels as Int32Array, classes.length)
  check.statistics(fields, c)
  check.flag('flip', flip)
  if (sourceIds !== undefined) check.array('sourceIds', ['i32', 'Int32Array'], sourceIds, m, 'rows')
  if (!isSource(source)) throw check.bad('source', 'an object with name, split and sha256 as text', source)
  if (!isConfig(config)) throw check.bad('config', 'settings by name: texts, numbers, true, false, null, or lists of them', config)
  if (whitening !== undefined) checkWhitening(what, whitening, [h, w, c])
  checkLabelLogits(check, labelLogits, m, classes.length)
  checkTargets(check, fields, m, classes.length)
  checkLearningRate(check, learningRate)
  checkFinite(images as Float32Array, h * w * c)
}

export function checkFinite(images: Float32Array, imageSize: number): void {
  const broken = images.findIndex((value) => !Number.isFinite(value))
  if (broken >= 0) {
    throw expected(
      'not_finite',
      `synthetic image ${Math.floor(broken / imageSize)}`,
      'finite pixels',
      images[broken],
      'lower the image learning rate',
    )
  }
}

async function saveSet(fields: SyntheticSetFields, dir: string): Promise<void> {
  checkPath('save: directory', dir)
  // again: the arrays are the caller's too, and what is written is read as a set that passed
  checkSyntheticSet(fields)
  const { images, shape, labels, classes, sourceIds, config, whitening } = fields
  const [m, h, w, c] = shape
  const tensors = new Map<string, SafeTensor>([
    ['images', { dtype: 'F32', shape: [m, c, h, w], data: bytesOf(nhwcToNchw(images, shape)) }],
    ['labels', { dtype: 'I64', shape: [m], data: bytesOf(BigInt64Array.from(labels, BigInt)) }],
    ...learnedTensors(fields),
  ])
  const data = encodeSafetensors(tensors, { format: manifestFormat, layout: 'NCHW' })
  const zca = whitening && encodeWhitening(whitening)
  const pixels = { images: await displayPixels(fields), shape, rows: rowsByClass(labels, classes.length) }
  const preview = encodePng(imageGrid(pixels))
  const manifest: Manifest = {
    format: manifestFormat,
    version: manifestVersion,
    classes,
    images: { dtype: 'F32', layout: 'NCHW', shape: [m, c, h, w], normalised: true },
    mean: fields.mean,
    std: fields.std,
    flip: fields.flip,
    source: fields.source,
    config,
    seeds: { run: typeof config.seed === 'number' ? config.seed : null },
    ...(whitening && { zca: zcaEntry(whitening) }),
    ...learnedEntries(fields),
    sourceIds: sourceIds?.some((id) => id >= 0) ? Array.from(sourceIds) : null,
    files: { [dataFile]: fileEntry(data), [previewFile]: fileEntry(preview), ...(zca && { [whiteningFile]: fileEntry(zca) }) },
  }
  await prepareDirectory(dir)
  await writeAtomic(join(dir, dataFile), data)
  await writeAtomic(join(dir, previewFile), preview)
  if (zca) await writeAtomic(join(dir, whiteningFile), zca)
  await writeAtomic(join(dir, manifestFile), encodeManifest(manifest))
}

const zcaEntry = ({ order, eps, sha256 }: Whitening) => ({ file: whiteningFile, order, eps, sha256 })

const missingTodo = 'give the directory of a saved set'

const readManifestBytes = (dir: string): Promise<Uint8Array> => readWhole(join(dir, manifestFile), maxManifestBytes, missingTodo)

/** Reads and checks manifest.json of a saved set. Throws `not_found`, `invalid_data` or `io`. */
export async function readManifest(dir: string): Promise<Manifest> {
  checkPath('directory of a set', dir)
  return decodeManifest(join(dir, manifestFile), new TextDecoder().decode(await readManifestBytes(dir)))
}

/** SHA-256 (hex) of manifest.json, and through the hashes in it of the whole set. Throws `not_found`. */
export const manifestHash = async (dir: string): Promise<string> => fileEntry(await readManifestBytes(dir)).sha256

/**
 * Loads what `save` wrote; images come back NHWC. Every byte of the set is checked; the preview may be absent, but not damaged.
 * @throws AludelError `not_found` when a file is missing, `invalid_data` when a file is not what the manifest says, `io`.
 */
export async function loadSyntheticSet(dir: string): Promise<SyntheticSet> {
  const manifest = await readManifest(dir)
  const path = join(dir, dataFile)
  const bytes = await readListed(dir, dataFile, manifest, missingTodo)
  if (await exists(join(dir, previewFile))) await readListed(dir, previewFile, manifest, missingTodo)
  const { tensors } = decodeSafetensors(path, bytes)
  const [m, c, h, w] = manifest.images.shape
  const shape = [m, h, w, c] as const
  const nchw = tensorValues(path, tensors, 'images', 'F32', [m, c, h, w])
  const wide = tensorValues(path, tensors, 'labels', 'I64', [m])
  const { classes, mean, std, flip, source, config, sourceIds } = manifest
  const whitening = await loadWhitening(dir, manifest)
  return createSyntheticSet({
    images: nchwToNhwc(new Float32Array(nchw), [m, c, h, w]),
    shape,
    labels: checkedLabels(path, new BigInt64Array(wide), classes.length),
    classes,
    mean,
    std,
    flip,
    source,
    config,
    ...(sourceIds && { sourceIds: Int32Array.from(sourceIds) }),
    ...(whitening && { whitening }),
    ...readLearned(path, tensors, manifest),
  })
}

/** The whitening that the manifest names. Throws `not_found`, or `invalid_data` for another one. */
async function loadWhitening(dir: string, manifest: Manifest): Promise<Whitening | undefined> {
  if (!manifest.zca) return undefined
  const path = join(dir, whiteningFile)
  const whitening = await decodeWhitening(path, await readListed(dir, whiteningFile, manifest, missingTodo))
  if (whitening.sha256 === manifest.zca.sha256) return whitening
  throw expected('invalid_data', path, `the whitening of sha256 ${manifest.zca.sha256}`, whitening.sha256)
}

/** An aligned copy of a tensor's bytes, after its type was found to be the one the manifest announces. */
function tensorValues(
  path: string,
  tensors: ReadonlyMap<string, SafeTensor>,
  name: string,
  dtype: string,
  shape: readonly number[],
): ArrayBuffer {
  const tensor = tensors.get(name)
  const wanted = `${dtype} [${shape.join(', ')}]`
  const received = tensor ? `${tensor.dtype} [${tensor.shape.join(', ')}]` : 'no such tensor'
  if (!tensor || received !== wanted) throw expected('invalid_data', `${path}: tensor '${name}'`, wanted, received)
  return tensor.data.slice().buffer as ArrayBuffer
}

/** Narrows labels to 32 bits, after checking them: a wrapped label would pass for another class. */
function checkedLabels(path: string, wide: BigInt64Array, classes: number): Int32Array {
  const wrong = wide.findIndex((label) => label < 0n || label >= BigInt(classes))
  if (wrong >= 0) throw expected('invalid_data', `${path}: label ${wrong}`, `a class in [0, ${classes})`, wide[wrong])
  return Int32Array.from(wide, Number)
}

/** What the eye sees of a set: uint8 NHWC pixels, without its whitening, clipped to [0, 255]. */
export async function displayPixels({
  images,
  mean,
  std,
  whitening,
}: Pick<SyntheticSetFields, 'images' | 'mean' | 'std' | 'whitening'>): Promise<Uint8Array> {
  return denormalizeImages(whitening ? await unwhiten(images, whitening) : images, { mean, std })
}
