/**
 * @file Scores of a data set by any ONNX classifier: one pass over the images, streamed, kept as it goes. A killed pass goes on where it was, and
 * shards of it are joined, to the same bytes.
 */
import { createHash } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { checkCallback, checkDevice, checkOptions, checkPath, checkSignal } from '../../arguments.js'
import { decoderVersion } from '../../data/decode-images.js'
import { exists } from '../../data/file-bytes.js'
import type { Block } from '../../data/image-stream.js'
import type { Device } from '../../engine/runtime/device.js'
import { AludelError, expected, onFile } from '../../errors.js'
import { lockRun, type RunLock } from '../../experiment/run-lock.js'
import type { Shard } from '../../experiment/types.js'
import { makeDirectory } from '../../files/make-directory.js'
import type { PixelNormalization } from '../../onnx/index.js'
import { packageVersion } from '../../package-root.js'
import { readRecord, recordPath, type ScoresRecord, scoresFormat, scoresVersion, writeRecord } from '../score-directory.js'
import { assemble } from './assemble.js'
import type { GivenClassMap } from './class-map.js'
import { chanceTodo, finish, progressPath } from './finish.js'
import { blockSize, probe, type ScorerOptions, scoreBlocks } from './model-scorer.js'
import { type OpenedModel, openModel } from './open-model.js'
import { joinParts, readPart, type ScorePart, writePart } from './score-part.js'
import { checkKinds, isLogitKind, type ModelKind, type ModelSource, needsFeatures } from './settings.js'
import { checkShard, shardBlocks, shardPath } from './shard.js'

export interface ScoringWatch {
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: { readonly images: number; readonly total: number }) => void
  /** Hears of what a user should know: a fixed batch, probabilities in place of logits, files left out. */
  readonly onNotice?: (notice: string) => void
}

export interface ScoreModelOptions extends PixelNormalization, ScoringWatch {
  /** Path of the ONNX file. */
  readonly model: string
  /** Specification of the data, such as 'folder:DIR'. Files without a size are read at the model's own. */
  readonly data: string
  /** Default 'train'. */
  readonly split?: 'train' | 'test'
  /** Directory of the scores, made here. */
  readonly out: string
  /** Names of the scores; those that need features need `featuresOutput`. */
  readonly kinds: readonly string[]
  /** Also keep features and logits, for rules that choose sets; default false. */
  readonly features?: boolean
  /** Output of the model that its last layer takes as input. */
  readonly featuresOutput?: string
  /** Output of the model for each class of the data; default: see `mapClasses`. */
  readonly classMap?: GivenClassMap
  /** 'auto' (default): CUDA where ONNX Runtime has it, else the CPU. */
  readonly provider?: 'auto' | 'cpu'
  /** Let an accuracy near chance pass; default false. */
  readonly allowChance?: boolean
  /** Score only this part; `mergeScores` joins them all. */
  readonly shard?: Shard
  /** ONNX Runtime computes with as many threads, as an item of this device's queue. */
  readonly device: Device
}

const optionNames: Readonly<Record<keyof ScoreModelOptions, true>> = {
  ...{ model: true, data: true, split: true, out: true, kinds: true, features: true, featuresOutput: true, classMap: true },
  ...{ provider: true, allowChance: true, shard: true, device: true, signal: true, onProgress: true, onNotice: true },
  ...{ mean: true, std: true, scale: true },
}

/**
 * Scores every image of a data set by an ONNX classifier and keeps the scores in the directory `out`. The loss is the cross-entropy over all
 * outputs of the model, also where the data has a part of its classes (Moser et al., 2411.12115). Memory does not grow with the
 * images, but for about 1 kB that each has in the listing and its scores (and its features where they are kept).
 *
 * Throws `invalid_option` and what opening model and data throws before anything is written; `invalid_data` for an accuracy near chance
 * (looked at on a few images first, and on all before scores are written) and for a file that cannot be decoded unless these are skipped;
 * `unavailable` without ONNX Runtime; `not_finite`; `io`; AbortError, after which the pass can be continued.
 */
export async function scoreModel(options: ScoreModelOptions): Promise<ScoresRecord> {
  checkOptions('scoreModel', options, optionNames)
  const {
    model,
    data,
    split = 'train',
    out,
    features = false,
    featuresOutput,
    allowChance = false,
    shard,
    device,
    mean,
    std,
    scale,
  } = options
  for (const [name, path] of Object.entries({ model, out })) checkPath(`scoreModel: ${name}`, path)
  if (split !== 'train' && split !== 'test') throw expected('invalid_option', 'scoreModel: split', "'train' or 'test'", split)
  checkWatch(options, device)
  if (shard) checkShard(shard)
  const kinds = checkKinds(options.kinds, featuresOutput, features)
  await checkFresh(out)
  const { signal, provider, classMap } = options
  const opened = await openModel({
    ...{ model, data, split, device },
    ...(mean && { mean }),
    ...(std && { std }),
    ...(scale !== undefined && { scale }),
    ...(classMap && { classMap }),
    ...(featuresOutput !== undefined && { featuresOutput }),
    ...(provider && { provider }),
    ...(signal && { signal }),
  })
  try {
    const looked = await probe({ ...scorerOf(opened, kinds, features), ...(signal && { signal }) })
    if (!allowChance && looked.images > 1 && looked.accuracy <= 100 / opened.stream.classes.length) throw nearChance(model, looked)
    const source: ModelSource = {
      kind: 'model',
      model: resolve(model),
      modelName: opened.modelName,
      modelSha256: opened.modelSha256,
      ...{ data, split, fit: opened.fit },
      size: opened.stream.image.slice(0, 2),
      mean: mean ?? null,
      std: std ?? null,
      scale: scale ?? null,
      provider: opened.classifier.provider,
      featuresOutput: featuresOutput ?? null,
      classMap: opened.map.outputs,
      width: opened.map.width,
      mapBy: opened.map.by,
      outputs: looked.form,
      block: blockSize(opened.stream.image, opened.classifier.batch),
      fixedBatch: opened.classifier.batch ?? null,
      allowChance,
      listing: opened.listing,
      places: opened.stream.labels.length,
    }
    const record = startOf(opened, { source, kinds, features, shard: shard ?? null, versions: await versionsOf(opened) })
    return await pass(out, record, opened, options, false)
  } finally {
    opened.close()
  }
}

export interface ResumeModelOptions extends ScoringWatch {
  readonly device: Device
  /** Where the model is now; default where it was. */
  readonly model?: string
  /** Let an accuracy near chance pass. */
  readonly allowChance?: boolean
}

/**
 * Goes on with a scoring by a model that was interrupted or killed, to the same bytes. A scoring that is done is returned as it is.
 * Throws `incompatible` when model, data, ONNX Runtime or the decoder are not those that it began with, and what `scoreModel` throws.
 */
export async function resumeScoreModel(dir: string, options: ResumeModelOptions): Promise<ScoresRecord> {
  const { device, model, allowChance, signal } = options
  checkWatch(options, device)
  const found = await readRecord(dir)
  if (found.source.kind !== 'model') throw expected('invalid_option', `${dir}: scored by`, 'a model', found.source.kind)
  if (found.status === 'done') return found
  const source = found.source as unknown as ModelSource
  const opened = await openModel({
    ...{ model: model ?? source.model, data: source.data, split: source.split, device },
    classMap: Object.fromEntries(source.classMap.map((output, c) => [found.classes[c], output])),
    ...(source.mean && { mean: source.mean }),
    ...(source.std && { std: source.std }),
    ...(source.scale !== null && { scale: source.scale }),
    ...(source.featuresOutput !== null && { featuresOutput: source.featuresOutput }),
    ...(source.provider === 'cpu' && { provider: 'cpu' as const }),
    ...(signal && { signal }),
  })
  try {
    checkSame(dir, found, opened, await versionsOf(opened))
    const allowed = allowChance ? { ...found, source: { ...found.source, allowChance: true } } : found
    return await pass(dir, allowed, opened, options, true)
  } finally {
    opened.close()
  }
}

function checkWatch({ signal, onProgress, onNotice }: ScoringWatch, device: unknown): void {
  checkDevice('scoreModel', device)
  checkSignal('scoreModel', signal)
  checkCallback('scoreModel: onProgress', onProgress)
  checkCallback('scoreModel: onNotice', onNotice)
}

async function checkFresh(out: string): Promise<void> {
  if (await exists(recordPath(out)))
    throw new AludelError('invalid_option', `${out}: holds scores already; continue them with --resume, or give another directory`)
}

const nearChance = (model: string, { accuracy, images }: { readonly accuracy: number; readonly images: number }): AludelError =>
  new AludelError(
    'invalid_data',
    `${model}: ${accuracy.toFixed(1)} % of the first ${images} images looked at (from all over the data) are classified right, ` +
      `no better than chance; ${chanceTodo}`,
  )

const keepOf = (kinds: readonly ModelKind[], features: boolean) => ({
  features: features || kinds.some((kind) => needsFeatures(kind) && !isLogitKind(kind)),
  logits: features,
})

function scorerOf(opened: OpenedModel, kinds: readonly ModelKind[], features: boolean): Omit<ScorerOptions, 'form'> {
  const { stream, classifier, map } = opened
  return { stream, classifier, map, kinds: kinds.filter(isLogitKind), keep: keepOf(kinds, features) }
}

const versionsOf = async ({ stream, runtimeVersion }: OpenedModel): Promise<Readonly<Record<string, string>>> => ({
  aludel: packageVersion,
  node: process.version,
  onnxruntime: runtimeVersion,
  ...(stream.names && { decoder: await decoderVersion() }),
})

function startOf(
  { stream, listing }: OpenedModel,
  { source, ...rest }: Pick<ScoresRecord, 'kinds' | 'features' | 'shard' | 'versions'> & { readonly source: ModelSource },
): ScoresRecord {
  const { name, split, classes, labels } = stream
  return {
    format: scoresFormat,
    version: scoresVersion,
    status: 'running',
    data: { name, split, sha256: listing, samples: labels.length, ...(stream.filesSha256 !== undefined && { files: stream.filesSha256 }) },
    specification: source.data,
    classes: [...classes],
    source: source as unknown as ScoresRecord['source'],
    ...rest,
    ...{ accuracies: [], perClass: null, unreadable: [], seconds: 0 },
  }
}

/** A continuation computes with what the scoring began with, or not at all. */
function checkSame(dir: string, record: ScoresRecord, opened: OpenedModel, versions: Readonly<Record<string, string>>): void {
  const source = record.source as unknown as ModelSource
  const here: Record<string, unknown> = {
    modelSha256: opened.modelSha256,
    listing: opened.listing,
    size: opened.stream.image.slice(0, 2),
    provider: opened.classifier.provider,
  }
  for (const [name, value] of Object.entries(here)) {
    const there = source[name as keyof ModelSource]
    if (JSON.stringify(there) !== JSON.stringify(value))
      throw expected('incompatible', `${dir}: ${name}`, `${there}, as it began`, value, 'a scoring continues with what it began with')
  }
  for (const name of ['aludel', 'onnxruntime', 'decoder'])
    if (record.versions[name] !== versions[name])
      throw expected('incompatible', `${dir}: version of ${name}`, `${record.versions[name]}, as it began`, versions[name])
}

/** What parts must have been computed with to be joined; how long it took and what chance is allowed are no part of it. */
export function settingsHash({ source, kinds, features, versions }: ScoresRecord): string {
  const { allowChance: _, model: __, ...settings } = source
  const { node: ___, ...made } = versions
  return createHash('sha256')
    .update(JSON.stringify({ settings, kinds, features, versions: made }))
    .digest('hex')
}

/** Seconds between two parts, and most bytes of one: what a kill may cost, and what a part holds in memory. */
const partSeconds = 10
const partBytes = 16 << 20

async function pass(
  dir: string,
  record: ScoresRecord,
  opened: OpenedModel,
  watch: ScoringWatch,
  isResumed: boolean,
): Promise<ScoresRecord> {
  const source = record.source as unknown as ModelSource
  const start = performance.now()
  await onFile(dir, () => makeDirectory(dir))
  const lock: RunLock = await lockRun(dir)
  try {
    const progress = progressPath(dir)
    await onFile(progress, () => makeDirectory(progress))
    if (!isResumed) await writeRecord(dir, record)
    if (source.fixedBatch !== null)
      watch.onNotice?.(
        `${source.modelName}: its batch is fixed at ${source.fixedBatch}: it computes in steps of as many images, which is slower`,
      )
    if (source.outputs === 'probabilities')
      watch.onNotice?.(
        `${source.modelName}: its outputs are probabilities, not logits; their logarithms are taken, which give the same scores`,
      )
    const settings = settingsHash(record)
    const blocks = shardBlocks(source.places, source.block, record.shard)
    const known = await partsIn(progress, blocks, settings)
    await scoreRest({ ...record, source: record.source }, opened, watch, { progress, blocks, known, settings })
    const seconds = record.seconds + (performance.now() - start) / 1000
    const timed = { ...record, seconds: Math.round(seconds * 1000) / 1000 }
    const stored = await partsIn(progress, blocks, settings)
    if (record.shard) return await finishShard(dir, timed, opened, stored, settings)
    const { name, split, classes, labels, names, sha256, filesSha256 } = opened.stream
    const places = { name, split, classes, labels, names, ...(sha256 && { sha256 }), ...(filesSha256 && { filesSha256 }) }
    return await finish(dir, timed, await assemble(places, readParts(stored)))
  } finally {
    await lock.release()
  }
}

interface StoredAt {
  readonly path: string
  readonly first: number
  readonly rows: number
}

const partName = (first: number): string => `part-${String(first).padStart(10, '0')}.safetensors`

/**
 * The parts of the progress that follow one another from the first block on. What comes after a gap, a damaged part or one of other settings is
 * removed: it is computed again.
 */
async function partsIn(progress: string, blocks: readonly Block[], settings: string): Promise<StoredAt[]> {
  const names = (await onFile(progress, () => readdir(progress))).filter((name) => name.startsWith('part-')).sort()
  const found: StoredAt[] = []
  let next = blocks[0]?.first ?? 0
  for (const name of names) {
    const path = join(progress, name)
    const stored = await readPart(path).catch((error) => {
      if (error instanceof AludelError && error.code === 'invalid_data') return undefined
      throw error
    })
    if (stored?.settings === settings && stored.part.first === next) {
      found.push({ path, first: next, rows: stored.part.rows })
      next += stored.part.rows
    } else await onFile(path, () => rm(path, { force: true }))
  }
  return found
}

async function* readParts(stored: readonly StoredAt[]): AsyncGenerator<ScorePart> {
  for (const { path } of stored) yield (await readPart(path)).part
}

interface Rest {
  readonly progress: string
  readonly blocks: readonly Block[]
  readonly known: readonly StoredAt[]
  readonly settings: string
}

async function scoreRest(
  record: ScoresRecord,
  opened: OpenedModel,
  { signal, onProgress, onNotice }: ScoringWatch,
  { progress, blocks, known, settings }: Rest,
): Promise<void> {
  const source = record.source as unknown as ModelSource
  const total = blocks.reduce((sum, { rows }) => sum + rows, 0)
  let images = known.reduce((sum, { rows }) => sum + rows, 0)
  const done = (blocks[0]?.first ?? 0) + images
  const options = {
    ...scorerOf(opened, record.kinds as readonly ModelKind[], record.features),
    form: source.outputs,
    ...(signal && { signal }),
  }
  let waiting: ScorePart[] = []
  let [bytes, since] = [0, performance.now()]
  const flush = async () => {
    if (waiting.length === 0) return
    const part = joinParts(waiting)
    ;[waiting, bytes] = [[], 0]
    await writePart(join(progress, partName(part.first)), part, settings)
    since = performance.now()
  }
  try {
    const rest = blocks.filter(({ first }) => first >= done)
    for await (const part of scoreBlocks(options, rest)) {
      waiting.push(part)
      bytes += bytesOf(part)
      images += part.rows
      for (const { reason } of part.unreadable) onNotice?.(`left out: ${reason}`)
      onProgress?.({ images, total })
      if (bytes >= partBytes || performance.now() - since >= 1000 * partSeconds) await flush()
    }
  } finally {
    // also of a pass that ends here: what it has done is kept
    await flush()
  }
}

const bytesOf = ({ rows, scores, features, logits }: ScorePart): number =>
  rows * (8 * scores.length + 64) + 4 * ((features?.length ?? 0) + (logits?.length ?? 0))

/** A shard ends as one file beside its record, with the places it is of. */
async function finishShard(
  dir: string,
  record: ScoresRecord,
  { stream }: OpenedModel,
  stored: readonly StoredAt[],
  settings: string,
): Promise<ScoresRecord> {
  const parts: ScorePart[] = []
  for await (const part of readParts(stored)) parts.push(part)
  const unreadable = parts.flatMap((part) => part.unreadable)
  if (parts.length > 0) {
    const part = joinParts(parts)
    const [from, to] = [part.first, part.first + part.rows]
    await writePart(shardPath(dir), part, settings, { labels: stream.labels.slice(from, to), names: stream.names?.slice(from, to) })
  }
  const right = parts.reduce((sum, { hits }) => sum + hits.reduce((a, b) => a + b, 0), 0)
  const readable = parts.reduce((sum, part) => sum + part.readable.reduce((a, b) => a + b, 0), 0)
  const done: ScoresRecord = { ...record, status: 'done', accuracies: readable > 0 ? [(100 * right) / readable] : [], unreadable }
  await writeRecord(dir, done)
  await onFile(dir, () => rm(progressPath(dir), { recursive: true, force: true }))
  return done
}
