/**
 * @file Images with target representations and their directory: data.safetensors (images F32 NCHW, targets, statistics of the teacher's
 * representations), preview.png, and manifest.json written last. No class labels anywhere.
 */
import { join } from 'node:path'
import { checkOptions, checkPath } from '../arguments.js'
import { exists, readWhole } from '../data/file-bytes.js'
import { FieldCheck, type Unchecked } from '../data/image-fields.js'
import { denormalizeImages } from '../data/normalize.js'
import { encodePng } from '../data/png.js'
import { expected } from '../errors.js'
import { prepareDirectory, writeAtomic } from '../files/atomic-file.js'
import { bytesOf } from '../files/pieces.js'
import { decodeSafetensors, encodeSafetensors, type SafeTensor } from '../files/safetensors.js'
import { nchwToNhwc, nhwcToNchw } from '../nn/layout.js'
import { imageGrid } from './image-grid.js'
import { isConfig } from './json-fields.js'
import { readListed } from './listed-file.js'
import { fileEntry, isSource } from './manifest.js'
import {
  decodeRepresentationManifest,
  encodeRepresentationManifest,
  type InitSpace,
  initSpaces,
  isTeacherIdentity,
  type RepresentationManifest,
  representationFormat,
  representationVersion,
  type TeacherIdentity,
} from './representation-manifest.js'
import { dataFile, manifestFile, previewFile } from './synthetic-set.js'
import type { RunConfig } from './types.js'

export { type InitSpace, initSpaces, type RepresentationManifest, type TeacherIdentity } from './representation-manifest.js'

/** Mean and standard deviation of a teacher's representations over the images that the set started from, by dimension. */
export interface TargetStatistics {
  /** [dim] */
  readonly mean: Float32Array
  /** [dim], >= 0 */
  readonly std: Float32Array
}

export interface RepresentationSetFields {
  /** NHWC, in the space that networks see. */
  readonly images: Float32Array
  /** [M, H, W, C] */
  readonly shape: readonly [number, number, number, number]
  /** Representations that a network is to answer with, in the teacher's units, [M, dim]. */
  readonly targets: Float32Array
  readonly dim: number
  /** How real images are normalised beside these, per channel, of pixels in [0, 1]. */
  readonly mean: readonly number[]
  readonly std: readonly number[]
  readonly initSpace: InitSpace
  readonly teacher: TeacherIdentity
  readonly targetStatistics: TargetStatistics
  /** Name and content hash of the data the set was made from. */
  readonly source: { readonly name: string; readonly split: string; readonly sha256: string }
  readonly config: RunConfig
  /** Row of the source data set each image started from. */
  readonly sourceIds?: Int32Array
}

export interface RepresentationSet extends RepresentationSetFields {
  /**
   * Writes data.safetensors, manifest.json and preview.png into `dir` (created if absent), each one atomically. Throws `io` naming the file
   * when the system refuses, `invalid_option` for a path that is none.
   */
  save(dir: string): Promise<void>
}

const maxManifestBytes = 64 << 20
const missingTodo = 'give the directory of a saved set of representations'

const fieldNames: Readonly<Record<keyof RepresentationSet, true>> = {
  ...{ images: true, shape: true, targets: true, dim: true, mean: true, std: true, initSpace: true, teacher: true },
  ...{ targetStatistics: true, source: true, config: true, sourceIds: true, save: true },
}

/**
 * Checks the fields against each other and adds `save`. The arrays are kept, not copied.
 * @throws AludelError `invalid_data` naming the field, `invalid_option` for an unknown one, `detached`, `not_finite` for a pixel, target or
 * statistic that is NaN or infinite.
 */
export function createRepresentationSet(fields: RepresentationSetFields): RepresentationSet {
  checkRepresentations(fields)
  return Object.freeze({ ...fields, save: (dir: string) => saveSet(fields, dir) })
}

function checkRepresentations(fields: Unchecked<RepresentationSetFields>): asserts fields is RepresentationSetFields {
  const what = 'representation set'
  const check: FieldCheck = new FieldCheck(what, fields, 'give what distillRepresentations or loadRepresentationSet gives')
  checkOptions<Unchecked<RepresentationSet>>(what, fields, fieldNames)
  const { images, shape, targets, dim, initSpace, teacher, targetStatistics, source, config, sourceIds } = fields
  check.shape(shape)
  const [m, h, w, c] = shape
  const float32 = ['f32', 'Float32Array'] as const
  if (!Number.isSafeInteger(dim) || (dim as number) < 1) throw check.bad('dim', 'a whole number >= 1', dim)
  const k = dim as number
  check.array('images', float32, images, m * h * w * c, `values for [${shape.join(', ')}]`)
  check.array('targets', float32, targets, m * k, `values for [${m}, ${k}]`)
  check.statistics(fields, c)
  if (!initSpaces.some((name) => name === initSpace)) throw check.bad('initSpace', "'raw' or 'normalised'", initSpace)
  if (!isTeacherIdentity(teacher)) throw check.bad('teacher', 'name, objective, dim and sha256', teacher)
  if ((teacher as TeacherIdentity).dim !== k) throw check.bad('teacher: dim', `${k}, as the targets have`, (teacher as TeacherIdentity).dim)
  const { mean, std } = (targetStatistics ?? {}) as Partial<TargetStatistics>
  check.array('targetStatistics: mean', float32, mean, k, 'numbers')
  check.array('targetStatistics: std', float32, std, k, 'numbers')
  if (sourceIds !== undefined) check.array('sourceIds', ['i32', 'Int32Array'], sourceIds, m, 'rows')
  if (!isSource(source)) throw check.bad('source', 'an object with name, split and sha256 as text', source)
  if (!isConfig(config)) throw check.bad('config', 'settings by name: texts, numbers, true, false, null, or lists of them', config)
  const todo = 'lower the learning rate of images and targets'
  finite('pixels', images as Float32Array, todo)
  finite('targets', targets as Float32Array, todo)
  finite('statistics of the targets', mean as Float32Array, 'look at the teacher')
  finite('statistics of the targets', std as Float32Array, 'look at the teacher')
}

function finite(what: string, values: Float32Array, todo: string): void {
  const broken = values.findIndex((value) => !Number.isFinite(value))
  if (broken >= 0) throw expected('not_finite', `representation set: ${what}: number ${broken}`, 'a finite number', values[broken], todo)
}

async function saveSet(fields: RepresentationSetFields, dir: string): Promise<void> {
  checkPath('save: directory', dir)
  // again: the arrays are the caller's too, and what is written is read as a set that passed
  checkRepresentations(fields)
  const { images, shape, targets, dim, targetStatistics, sourceIds, config, mean, std, initSpace, teacher, source } = fields
  const [m, h, w, c] = shape
  const vector = (data: Float32Array): SafeTensor => ({ dtype: 'F32', shape: [dim], data: bytesOf(data) })
  const tensors = new Map<string, SafeTensor>([
    ['images', { dtype: 'F32', shape: [m, c, h, w], data: bytesOf(nhwcToNchw(images, shape)) }],
    ['targets', { dtype: 'F32', shape: [m, dim], data: bytesOf(targets) }],
    ['target_mean', vector(targetStatistics.mean)],
    ['target_std', vector(targetStatistics.std)],
  ])
  const data = encodeSafetensors(tensors, { format: representationFormat, layout: 'NCHW' })
  const preview = encodePng(imageGrid({ images: displayedPixels(fields), shape, rows: squareRows(m) }))
  const manifest: RepresentationManifest = {
    format: representationFormat,
    version: representationVersion,
    images: { dtype: 'F32', layout: 'NCHW', shape: [m, c, h, w] },
    targets: { dtype: 'F32', shape: [m, dim] },
    initSpace,
    mean,
    std,
    teacher,
    source,
    config,
    seeds: { run: typeof config.seed === 'number' ? config.seed : null },
    sourceIds: sourceIds ? Array.from(sourceIds) : null,
    files: { [dataFile]: fileEntry(data), [previewFile]: fileEntry(preview) },
  }
  await prepareDirectory(dir)
  await writeAtomic(join(dir, dataFile), data)
  await writeAtomic(join(dir, previewFile), preview)
  await writeAtomic(join(dir, manifestFile), encodeRepresentationManifest(manifest))
}

/** What the eye sees: uint8 NHWC pixels, clipped to [0, 255]. */
export function displayedPixels({
  images,
  shape,
  mean,
  std,
  initSpace,
}: Pick<RepresentationSetFields, 'images' | 'shape' | 'mean' | 'std' | 'initSpace'>): Uint8Array {
  const channels = shape[3]
  const raw = { mean: new Array<number>(channels).fill(0), std: new Array<number>(channels).fill(1) }
  return denormalizeImages(images, initSpace === 'raw' ? raw : { mean, std })
}

/** All images in order, in a sheet about as wide as high. */
function squareRows(count: number): number[][] {
  const columns = Math.ceil(Math.sqrt(count))
  return Array.from({ length: Math.ceil(count / columns) }, (_, row) =>
    Array.from({ length: Math.min(columns, count - row * columns) }, (_, i) => row * columns + i),
  )
}

/** Reads and checks manifest.json of a saved set. Throws `not_found`, `invalid_data` or `io`. */
export async function readRepresentationManifest(dir: string): Promise<RepresentationManifest> {
  checkPath('directory of a set', dir)
  const path = join(dir, manifestFile)
  return decodeRepresentationManifest(path, new TextDecoder().decode(await readWhole(path, maxManifestBytes, missingTodo)))
}

/**
 * Loads what `save` wrote; images come back NHWC. Every byte of the set is checked; the preview may be absent, but not damaged.
 * @throws AludelError `not_found` when a file is missing, `invalid_data` when a file is not what the manifest says, `io`.
 */
export async function loadRepresentationSet(dir: string): Promise<RepresentationSet> {
  const manifest = await readRepresentationManifest(dir)
  const path = join(dir, dataFile)
  const { tensors } = decodeSafetensors(path, await readListed(dir, dataFile, manifest, missingTodo))
  if (await exists(join(dir, previewFile))) await readListed(dir, previewFile, manifest, missingTodo)
  const [m, c, h, w] = manifest.images.shape
  const dim = manifest.targets.shape[1]
  const { mean, std, initSpace, teacher, source, config, sourceIds } = manifest
  const values = (name: string, shape: readonly number[]) => floats(path, tensors, name, shape)
  return createRepresentationSet({
    images: nchwToNhwc(values('images', [m, c, h, w]), [m, c, h, w]),
    shape: [m, h, w, c],
    targets: values('targets', [m, dim]),
    dim,
    mean,
    std,
    initSpace,
    teacher,
    targetStatistics: { mean: values('target_mean', [dim]), std: values('target_std', [dim]) },
    source,
    config,
    ...(sourceIds && { sourceIds: Int32Array.from(sourceIds) }),
  })
}

/** An aligned copy of a float32 tensor of exactly `shape`. */
function floats(path: string, tensors: ReadonlyMap<string, SafeTensor>, name: string, shape: readonly number[]): Float32Array {
  const tensor = tensors.get(name)
  const wanted = `F32 [${shape.join(', ')}]`
  const received = tensor ? `${tensor.dtype} [${tensor.shape.join(', ')}]` : 'no such tensor'
  if (!tensor || received !== wanted) throw expected('invalid_data', `${path}: tensor '${name}'`, wanted, received)
  return new Float32Array(tensor.data.slice().buffer)
}
