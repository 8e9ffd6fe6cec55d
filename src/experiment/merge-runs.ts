/** @file Runs of parts of the classes, put together to what one run of all classes would have saved. */

import { AludelError, expected } from '../errors.js'
import { type RealImages, readRealImages } from './real-images.js'
import { loadRunSet, type RunRecord, readRunRecord } from './run-dir.js'
import { createSyntheticSet } from './synthetic-set.js'
import type { RunConfig, Shard, SyntheticSet } from './types.js'

export interface MergedRuns {
  readonly set: SyntheticSet
  /** run.json of the whole, but for what saving it adds. */
  readonly record: RunRecord
  /** Real images for the report; absent when a part has none. */
  readonly real?: RealImages
}

interface Part {
  readonly dir: string
  readonly record: RunRecord
  readonly shard: Shard
}

/**
 * Joins the runs of all parts, given in any order. Writes nothing.
 * @throws AludelError `invalid_option` for a run that is no part or not complete, for parts that are missing or there twice, `incompatible` for parts of other
 * settings, data, instruction set or version, each naming the directory; `not_found`, `invalid_data` for a damaged set.
 */
export async function joinRuns(dirs: readonly string[]): Promise<MergedRuns> {
  const parts = await Promise.all(dirs.map(readPart))
  parts.sort((a, b) => a.shard.index - b.shard.index)
  const [first, ...others] = parts
  for (const part of others) checkAlike(first, part)
  checkAllThere(parts)
  const sets = await Promise.all(parts.map(({ dir, record }) => loadRunSet(dir, record)))
  for (const [i, { labelLogits, targets, learningRate }] of sets.entries()) {
    if (labelLogits || targets || learningRate !== undefined)
      throw expected(
        'invalid_option',
        parts[i].dir,
        'a set without learned labels or rate: they are of all classes together',
        'one with them',
      )
  }
  const set = joinSets(sets)
  checkClasses(set)
  const real = await joinReal(parts, sets)
  return { set, record: recordOf(parts, set), ...(real && { real }) }
}

async function readPart(dir: string): Promise<Part> {
  const record = await readRunRecord(dir)
  const shard = record.settings?.shard
  if (shard === undefined) throw expected('invalid_option', dir, 'a run of aludel distill --shard', 'a run of all classes')
  if (record.status !== 'done') {
    throw expected('invalid_option', dir, 'a part that is done', record.status, `finish it with: aludel distill --resume ${dir}`)
  }
  return { dir, record, shard }
}

const withoutShard = ({ shard: _, ...config }: RunConfig): RunConfig => config

const librariesOf = (plans: NonNullable<RunRecord['plans']>) =>
  [...new Set(Object.values(plans).flatMap(({ libraries }) => libraries ?? []))].sort()

/** What must be equal for the bits to be those of one run. */
const sameness = ({ record: { config, data, host, plans = {}, versions }, shard }: Part): Record<string, unknown> => ({
  'number of parts': shard.of,
  ...withoutShard(config),
  ...{ classes: data.classes, mean: data.mean, std: data.std, flip: data.flip },
  ...{ 'instruction set': host.isa, precision: host.precision, 'CUDA libraries': librariesOf(plans), 'version of aludel': versions.aludel },
})

function checkAlike(first: Part, part: Part): void {
  const [there, here] = [sameness(first), sameness(part)]
  const other = [...new Set([...Object.keys(there), ...Object.keys(here)])].find(
    (name) => JSON.stringify(there[name]) !== JSON.stringify(here[name]),
  )
  if (other === undefined) return
  const show = (value: unknown) => String(JSON.stringify(value)).slice(0, 80)
  const todo = 'parts of one set are runs of one setting'
  throw new AludelError('incompatible', `${part.dir}: ${other} is ${show(here[other])} but ${show(there[other])} in ${first.dir}; ${todo}`)
}

function checkAllThere(parts: readonly Part[]): void {
  const [{ shard }] = parts
  for (const [i, part] of parts.entries()) {
    const before = parts[i - 1]
    if (before?.shard.index === part.shard.index)
      throw new AludelError(
        'invalid_option',
        `${before.dir} and ${part.dir}: are both part ${part.shard.index}/${shard.of}; give one of them`,
      )
  }
  const missing = Array.from({ length: shard.of }, (_, i) => i + 1).filter((index) => !parts.some((part) => part.shard.index === index))
  if (missing.length > 0) {
    const names = missing.slice(0, 8).map((index) => `${index}/${shard.of}`)
    throw new AludelError(
      'invalid_option',
      `merge: part ${names.join(', ')}${missing.length > 8 ? ', …' : ''} is missing; give the runs of all parts`,
    )
  }
}

/** One array of all parts. */
function joined<A extends Float32Array | Uint8Array>(make: new (length: number) => A, parts: readonly A[]): A {
  const all = new make(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

function joinSets(sets: readonly SyntheticSet[]): SyntheticSet {
  const [first] = sets
  const { classes, mean, std, flip, source, config, whitening } = first
  const [, h, w, c] = first.shape
  const images = joined(
    Float32Array,
    sets.map((set) => set.images),
  )
  const labels = Int32Array.from(sets.flatMap((set) => [...set.labels]))
  const sourceIds = sets.every((set) => set.sourceIds) && Int32Array.from(sets.flatMap((set) => [...(set.sourceIds ?? [])]))
  return createSyntheticSet({
    ...{ images, shape: [labels.length, h, w, c], labels, classes, mean, std, flip, source, config: withoutShard(config) },
    ...(sourceIds && { sourceIds }),
    ...(whitening && { whitening }),
  })
}

/** Every class as many images, in the order of the classes. */
function checkClasses({ labels, classes, config }: SyntheticSet): void {
  const ipc = Number(config.ipc)
  const whole = labels.length === classes.length * ipc && labels.every((label, i) => label === Math.floor(i / ipc))
  if (!whole)
    throw new AludelError('invalid_data', `merge: expected ${ipc} images of each of ${classes.length} classes in all parts together`)
}

async function joinReal(parts: readonly Part[], sets: readonly SyntheticSet[]): Promise<RealImages | undefined> {
  const read = await Promise.all(
    sets.map(({ shape: [images, h, w, c], classes }, i) =>
      readRealImages(parts[i].dir, { images, pixels: h * w * c, classes: classes.length }),
    ),
  )
  const found = read.filter((one) => one !== undefined)
  if (found.length < sets.length) return undefined
  const [first] = found
  const nearest = joined(
    Uint8Array,
    found.map((one) => one.nearest),
  )
  const rows = Int32Array.from(found.flatMap((one) => [...one.rows]))
  const distances = Float64Array.from(found.flatMap((one) => [...one.distances]))
  return { ...first, rows, distances, nearest }
}

function recordOf(parts: readonly Part[], set: SyntheticSet): RunRecord {
  const [{ record }] = parts
  const { shard: _, ...settings } = record.settings ?? { method: String(set.config.method), ipc: Number(set.config.ipc) }
  const { plans: _plans, artifact: _artifact, resumes: _resumes, earlier: _earlier, ...kept } = record
  const started = parts.map((part) => part.record.started).sort()[0]
  return {
    ...kept,
    config: withoutShard(record.config),
    settings,
    started,
    evaluations: [],
    phases: parts.flatMap((part) =>
      (part.record.phases ?? []).map((phase) => ({ ...phase, name: `${phase.name} ${part.shard.index}/${part.shard.of}` })),
    ),
    commands: parts.flatMap((part) => part.record.commands ?? []),
    parts: parts.map(({ shard: { index, of }, record: { host, artifact } }) => ({
      ...{ index, of, host },
      manifestSha256: artifact?.manifestSha256 ?? null,
    })),
  }
}
