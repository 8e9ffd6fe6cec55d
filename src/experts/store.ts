/** @file A directory of experts, opened for reading: what they are, which are finished, and their parameters after every kept epoch. */
import { readdir } from 'node:fs/promises'
import { isRecord, wholeNumber } from '../arguments.js'
import type { Dataset } from '../data/dataset.js'
import { AludelError, expected, onFile } from '../errors.js'
import { type Network, parameterCount } from '../nn/module.js'
import { networkByName, networkNames } from '../nn/networks/registry.js'
import { checkFile, readCheckpointAt } from './checkpoints-file.js'
import { checkpointsPath, type ExpertRecord, type ExpertsRecord, readExpertRecord, readRecord } from './record.js'

export interface ExpertStore {
  readonly dir: string
  readonly record: ExpertsRecord
  /** The identity of the store: of all that its experts have in common, not of how many there are or which epochs are kept. */
  readonly sha256: string
  /** Numbers of the finished experts, ascending. */
  readonly experts: readonly number[]
  /** Losses, accuracies and hashes of a finished expert. Throws `invalid_option` for a number that is none. */
  expert(expert: number): ExpertRecord
  /**
   * Parameters of an expert after a kept epoch, [P] in the public flat order: read from the file at each call, its hash and numbers checked.
   * Rejects with `invalid_option` for an expert or epoch that is not stored, `invalid_data` naming the hash, `not_finite`, `io`.
   */
  checkpoint(expert: number, epoch: number): Promise<Float32Array>
}

/** Numbers of the experts that have a record in `dir`, ascending; damage is not looked for. Throws `io`. */
export async function finishedExperts(dir: string): Promise<number[]> {
  const names = await onFile(dir, () => readdir(dir))
  return names
    .flatMap((name) => /^expert-(\d{4,})\.json$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
}

/**
 * Opens a store: its records are verified and the headers of its files; checkpoints are verified when they are read.
 * Throws `not_found`, `invalid_data` naming file and hash for what is damaged or cut short, `incompatible` for an expert of another store, `io`.
 */
export async function openExperts(dir: string): Promise<ExpertStore> {
  const { record, sha256 } = await readRecord(dir)
  const finished = new Map<number, ExpertRecord>()
  for (const expert of await finishedExperts(dir)) {
    const own = await readExpertRecord(dir, expert, record)
    checkKept(dir, record, own)
    await checkFile(checkpointsPath(dir, expert), { ...own, parameters: record.parameters })
    finished.set(expert, own)
  }
  const expertOf = (expert: number): ExpertRecord => {
    const own = finished.get(expert)
    if (own) return own
    throw expected(
      'invalid_option',
      `${dir}: expert`,
      `one of the ${finished.size} that are finished: ${rangesOf([...finished.keys()])}`,
      expert,
    )
  }
  return {
    dir,
    record,
    sha256,
    experts: [...finished.keys()],
    expert: expertOf,
    async checkpoint(expert, epoch) {
      const own = expertOf(expert)
      if (!record.kept.includes(epoch))
        throw expected('invalid_option', `${dir}: expert epoch`, `one of those stored: ${rangesOf(record.kept)}`, epoch)
      return readCheckpointAt(checkpointsPath(dir, expert), { ...own, parameters: record.parameters }, epoch)
    },
  }
}

/** An expert may hold more epochs than the store lists (a trimming that was cut off), never fewer. */
function checkKept(dir: string, { kept }: ExpertsRecord, { expert, epochs }: ExpertRecord): void {
  const missing = kept.find((epoch) => !epochs.includes(epoch))
  if (missing !== undefined)
    throw expected('invalid_data', `${checkpointsPath(dir, expert)}: epochs`, `those of the store, ${rangesOf(kept)}`, rangesOf(epochs))
}

/** '0, 3-12, 20' of ascending whole numbers. */
export function rangesOf(numbers: readonly number[]): string {
  const ranges: [number, number][] = []
  for (const n of numbers) {
    const last = ranges.at(-1)
    if (last && n === last[1] + 1) last[1] = n
    else ranges.push([n, n])
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(', ') || 'none'
}

export interface ExpertsUse {
  /** Registry name, or a network: then one of equal name and size is taken for the same. */
  readonly network: string | Network
  readonly data: Dataset
}

/**
 * Throws `incompatible`, naming both, unless the experts of a store are networks of that name trained on those images under the same
 * normalisation and whitening; `invalid_option` when none is finished.
 */
export function checkExperts(store: ExpertStore, { network, data }: ExpertsUse): void {
  const { dir, record, experts } = store
  const same = comparison(dir)
  const own = typeof network === 'string' ? network : network.name
  if (!isTrainedNetwork(record, network)) {
    const hint = `use --network ${record.network}, or train experts of '${own}'`
    throw expected('incompatible', `experts in ${dir}: network`, own, `${record.network} (${record.parameters} parameters)`, hint)
  }
  checkSameImages(store, data)
  const whitening = data.whitened?.whitening
  same('whitening', record.zca?.sha256 ?? 'none', whitening?.sha256 ?? 'none', 'give the --zca that the experts were trained with')
  same('mean', record.mean, data.mean, 'give the --normalize that the experts were trained with')
  same('std', record.std, data.std, 'give the --normalize that the experts were trained with')
  if (experts.length === 0)
    throw new AludelError(
      'invalid_option',
      `${dir}: none of its ${record.experts} experts is finished; train on with: aludel experts --resume ${dir}`,
    )
}

function isTrainedNetwork({ network: name, image, classes, parameters }: ExpertsRecord, network: string | Network): boolean {
  if (typeof network === 'string') return network === name
  const trained = networkNames.includes(name) ? networkByName(name, image, classes.length).name : name
  return network.name === trained && parameterCount(network) === parameters
}

/** The part of `checkExperts` that needs no whitening: the same images, in as many classes. Throws `incompatible`. */
export function checkSameImages({ dir, record }: Pick<ExpertStore, 'dir' | 'record'>, data: Dataset): void {
  const same = comparison(dir)
  same('image', record.image, data.shape.slice(1))
  same('classes', record.classes.length, data.classes.length)
  const named = ({ name, sha256 }: { readonly name: string; readonly sha256: string }) => `${name} (sha256 ${sha256})`
  if (record.data.sha256 !== data.sha256)
    throw expected('incompatible', `experts in ${dir}: data`, named(data), named(record.data), otherExperts)
}

/**
 * All of `checkExperts` that can be said before the images are whitened: the same images, and a whitening by the same rule. `zca` is what they
 * are to be whitened by. Throws `incompatible`.
 */
export function checkBeforeWhitening(
  store: Pick<ExpertStore, 'dir' | 'record'>,
  data: Dataset,
  zca: { readonly order?: string; readonly eps?: number } | undefined,
): void {
  checkSameImages(store, data)
  const { dir, record } = store
  const of = (whitened: boolean) => (whitened ? 'whitened images' : 'images that are not whitened')
  const todo = record.zca ? 'give --zca as the experts were trained with' : 'leave --zca out'
  if (!record.zca !== !zca)
    throw expected('incompatible', `experts in ${dir}`, `those of ${of(!!zca)}`, `those of ${of(!!record.zca)}`, todo)
  if (!record.zca || !zca) return
  const { order = 'raw', eps = 0.1 } = zca
  const rule = (one: { readonly order: string; readonly eps: number }) => `${one.order}, eps ${one.eps}`
  comparison(dir)('whitening', rule(record.zca), rule({ order, eps }), todo)
}

const otherExperts = 'give experts that were trained on this data: aludel experts --data … --out DIR'

const comparison =
  (dir: string) =>
  (what: string, there: unknown, here: unknown, hint = otherExperts): void => {
    if (JSON.stringify(there) !== JSON.stringify(here))
      throw expected('incompatible', `experts in ${dir}: ${what}`, shown(here), shown(there), hint)
  }

const shown = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

/** FROM to TO and the last epoch, ascending. Throws `invalid_option`. */
export function keptEpochs(what: string, epochs: number, range: { readonly from: number; readonly to: number } | undefined): number[] {
  if (range !== undefined && !isRecord(range)) throw expected('invalid_option', what, '{ from, to } in epochs', range)
  const { from, to } = range ?? { from: 0, to: epochs }
  wholeNumber(`${what}: from`, from, 0)
  wholeNumber(`${what}: to`, to, 0)
  if (from > to || to > epochs) throw expected('invalid_option', what, `epochs FROM-TO with 0 <= FROM <= TO <= ${epochs}`, `${from}-${to}`)
  const kept = Array.from({ length: to - from + 1 }, (_, i) => from + i)
  return to === epochs ? kept : [...kept, epochs]
}
