/** @file Transfer: networks pretrained on a set of representations and on what it must be held against, measured on labelled targets. */
import { checkCallback, checkDevice, checkOptions, checkSeed, checkSignal, wholeNumber } from '../arguments.js'
import type { Dataset } from '../data/dataset.js'
import { normalizeInTurns } from '../data/normalize.js'
import type { Device } from '../engine/runtime/device.js'
import { fold, type Key, keyOf } from '../engine/tensor/key.js'
import { AludelError, expected } from '../errors.js'
import { keyOfCell } from '../experiment/cell-file.js'
import type { NetworkTensors } from '../export/onnx/export-network.js'
import { mlp } from '../nn/networks/mlp.js'
import { networkByName, withPools } from '../nn/networks/registry.js'
import { type CellStore, hashOfFloats, setHash, type TransferCell } from './cells.js'
import { type Classifier, distilKnowledge } from './kd.js'
import { checkTransferMemory, type TransferSizes } from './memory.js'
import { accuracyOfLogits, forward, freshTensors, withNewHead } from './networks.js'
import { fitLinear } from './probe.js'
import { protocols, type SettingsChange, settingsOf, type TransferProtocol, type TransferSettings } from './settings.js'
import {
  checkCount,
  checkIdentity,
  checkReal,
  checkSet,
  needsReal,
  type PretrainingRows,
  PretrainingSources,
  type TransferSet,
  type TransferSource,
  type TransferTeacher,
  transferSources,
} from './source.js'
import { checkStages, type StageCell, type StageSizes } from './stages.js'
import {
  checkTarget,
  type FittedTarget,
  fitTarget,
  shareOfRows,
  type TransferTarget,
  type TransferTargetInput,
  takeLabelled,
  targetOf,
} from './target.js'
import { stepsPerPass, trainNetwork } from './train.js'

export interface TransferProgress {
  /** Cells done, those found done included, of all. */
  readonly cells: number
  readonly total: number
  readonly cell: Pick<TransferCell, 'network' | 'source' | 'target' | 'protocol' | 'repeat'>
  /** 'encode': the teacher answers for real images, which are the steps; there is no loss. */
  readonly what: 'encode' | 'pretrain' | TransferProtocol
  readonly step: number
  readonly steps: number
  readonly loss: number | null
}

export interface TransferOptions {
  readonly device: Device
  readonly targets: readonly TransferTargetInput[]
  /** Registry names; default ['conv-bn']. */
  readonly networks?: readonly string[]
  /** Default ['finetune']. */
  readonly protocols?: readonly TransferProtocol[]
  /** Default: all but 'full' where `data` and `teacher` are given, else 'distilled' and 'none'. */
  readonly sources?: readonly TransferSource[]
  /** The real images that the set was made from, and the teacher: for the sources that need them. */
  readonly data?: Dataset
  readonly teacher?: TransferTeacher
  /** For 'kd': a classifier of the targets' classes for images of the set's size. */
  readonly kdTeacher?: { readonly network: string; readonly tensors: NetworkTensors }
  /** Networks of each kind, default 3; network i starts from the same draws whatever it is pretrained on. */
  readonly repeats?: number
  readonly settings?: SettingsChange
  /** Most images of each target, with the shares of its classes; default all. A limit that leaves training images of one class is refused. */
  readonly trainImages?: number
  readonly testImages?: number
  readonly seed?: number
  /** Where cells are found and put; default: nowhere. */
  readonly store?: CellStore
  readonly signal?: AbortSignal
  readonly onCell?: (cell: TransferCell) => void
  readonly onProgress?: (progress: TransferProgress) => void
}

const known: Readonly<Record<keyof TransferOptions, true>> = {
  ...{ device: true, targets: true, networks: true, protocols: true, sources: true, data: true, teacher: true, kdTeacher: true },
  ...{
    repeats: true,
    settings: true,
    trainImages: true,
    testImages: true,
    seed: true,
    store: true,
    signal: true,
    onCell: true,
    onProgress: true,
  },
}

/** Options, checked. */
interface Plan {
  readonly set: TransferSet
  readonly image: readonly [number, number, number]
  readonly targets: readonly TransferTarget[]
  readonly networks: readonly string[]
  readonly protocols: readonly TransferProtocol[]
  readonly sources: readonly TransferSource[]
  readonly settings: TransferSettings
  readonly repeats: number
  readonly seed: number
  readonly options: TransferOptions
}

/**
 * Cells of all repetitions, networks, sources, targets and protocols. A network is pretrained on a source once and taken to every target
 * under every protocol; all sources train as many steps as the set's own epochs are. Targets are resized to the set's images and normalised
 * by their own statistics.
 * @throws AludelError before anything trains: `invalid_option`, `invalid_data` (a target with one class, a teacher or real images that do not
 * fit the set), `incompatible` (a teacher or real images that the set was not made from), `not_found` for a network, `out_of_memory` where
 * features, the teacher's answers or any stage of a cell to come does not fit; on the way: `not_finite`, AbortError. Cells that were done are in the store.
 */
export async function transfer(set: TransferSet, options: TransferOptions): Promise<TransferCell[]> {
  const plan = planTransfer(set, options)
  checkTransferMemory(options.device, sizesOf(plan))
  const { networks, sources, repeats, seed } = plan
  const targets: FittedTarget[] = []
  for (const target of plan.targets)
    targets.push(await fitTarget(target, plan.image, options, fold(keyOf(seed), 'target', target.train.sha256)))
  const classifier = classifierOf(plan, targets)
  const { data, teacher, signal } = options
  const pretraining = new PretrainingSources(options.device, set, data && teacher && { data, teacher }, signal)
  const run = new Cells(plan, targets, classifier, await hashesOf(set, classifier))
  await checkStages(options.device, run.missing(), stageSizesOf(plan, classifier))
  for (let repeat = 0; repeat < repeats; repeat++)
    for (const network of networks) for (const source of sources) await run.measure(network, source, repeat, pretraining)
  return run.done
}

function sizesOf({ set, image, targets, networks, protocols, sources, settings, options }: Plan): TransferSizes {
  const { trainImages = Number.POSITIVE_INFINITY, testImages = Number.POSITIVE_INFINITY, data } = options
  const rows = targets.map(({ name, train, test }) => ({
    name,
    train: Math.min(train.shape[0], trainImages),
    test: Math.min(test.shape[0], testImages),
  }))
  const { share } = settings.probe
  return { image, dim: set.dim, networks, protocols, sources, targets: rows, share, real: data?.shape[0] ?? 0 }
}

const stageSizesOf = ({ set, settings, options }: Plan, classifier: Classifier | undefined): StageSizes => ({
  ...{ shape: set.shape, dim: set.dim, real: options.data?.shape[0] ?? 0, settings, classifier },
})

function planTransfer(set: TransferSet, options: TransferOptions): Plan {
  checkOptions('transfer', options, known)
  const { device, targets: given, data, teacher, repeats = 3, seed = 0, signal, onCell, onProgress } = options
  const { protocols: chosen = ['finetune'], sources = defaultSources(data !== undefined && teacher !== undefined) } = options
  const { networks: named = ['conv-bn'] } = options
  checkDevice('transfer', device)
  checkSignal('transfer', signal)
  checkCallback('transfer: onCell', onCell)
  checkCallback('transfer: onProgress', onProgress)
  checkSeed('transfer: seed', seed)
  wholeNumber('transfer: repeats', repeats)
  for (const limit of ['trainImages', 'testImages'] as const)
    if (options[limit] !== undefined) wholeNumber(`transfer: ${limit}`, options[limit])
  checkSet(set)
  checkList('targets', given)
  const targets = given.map(targetOf)
  for (const target of targets) checkTarget(target)
  checkDistinct(
    'targets',
    targets.map(({ name }) => name),
  )
  checkList('networks', named)
  const networks = withPools<string>(named)
  checkDistinct('networks', networks)
  checkNames('protocols', chosen, protocols)
  checkNames('sources', sources, transferSources)
  const image = set.shape.slice(1) as unknown as [number, number, number]
  for (const name of networks) networkByName(name, image, set.dim)
  const needy = sources.find(needsReal)
  if (needy !== undefined) {
    if (!data || !teacher)
      throw expected(
        'invalid_option',
        `transfer: source '${needy}'`,
        'data and teacher beside it',
        data ? 'data alone' : teacher ? 'teacher alone' : 'neither',
        'give them (--data, --teacher), or leave the source out',
      )
    checkReal(set, data, teacher)
    checkCount(set, data)
    checkIdentity(set, data, teacher)
  }
  if (chosen.includes('kd') && !options.kdTeacher)
    throw expected('invalid_option', "transfer: protocol 'kd'", 'kdTeacher (--kd-teacher), a classifier of the target', 'none')
  return {
    set,
    image,
    targets,
    networks,
    protocols: chosen,
    sources,
    settings: settingsOf(options.settings ?? {}, set.dim),
    repeats,
    seed,
    options,
  }
}

const defaultSources = (real: boolean): TransferSource[] =>
  transferSources.filter((source) => source !== 'full' && (real || !needsReal(source)))

function checkList(name: string, list: readonly unknown[]): void {
  if (!Array.isArray(list) || list.length === 0) throw expected('invalid_option', `transfer: ${name}`, 'at least one', list)
}

function checkNames(name: string, list: readonly string[], all: readonly string[]): void {
  checkList(name, list)
  for (const one of list)
    if (!all.includes(one)) throw expected('invalid_option', `transfer: ${name}`, `names among ${all.join(', ')}`, one)
  checkDistinct(name, list)
}

/** A name that stands twice would be counted twice. */
function checkDistinct(name: string, list: readonly string[]): void {
  const again = list.find((one, i) => list.indexOf(one) < i)
  if (again !== undefined) throw expected('invalid_option', `transfer: ${name}`, 'every name once', again)
}

function classifierOf({ image, options, protocols: chosen }: Plan, targets: readonly FittedTarget[]): Classifier | undefined {
  const given = options.kdTeacher
  if (!given || !chosen.includes('kd')) return undefined
  const other = targets.find(({ classes }) => classes !== targets[0].classes)
  if (other)
    throw new AludelError(
      'invalid_option',
      `transfer: 'kd' has one teacher, but targets '${targets[0].name}' and '${other.name}' have different classes`,
    )
  const network = networkByName(given.network, image, targets[0].classes)
  for (const part of ['parameters', 'state'] as const)
    for (const { name, shape } of network[part]) {
      const size = shape.reduce((a, b) => a * b, 1)
      const received = given.tensors[part][name]?.length
      if (received !== size) {
        const what = `transfer: kdTeacher '${given.network}': ${part === 'state' ? 'statistic' : 'parameter'} '${name}'`
        throw expected('invalid_data', what, `${size} numbers for ${targets[0].classes} classes`, received)
      }
    }
  return { network, tensors: given.tensors }
}

interface Pretrained {
  readonly tensors: NetworkTensors
  readonly loss: number
}

interface Hashes {
  readonly set: string
  readonly classifier?: string
}

async function hashesOf({ images, targets }: TransferSet, classifier: Classifier | undefined): Promise<Hashes> {
  const set = await setHash({ images, targets })
  if (!classifier) return { set }
  const { network, tensors } = classifier
  const own = await hashOfFloats(...Object.values(tensors.parameters), ...Object.values(tensors.state))
  return { set, classifier: `${network.name} ${own}` }
}

/** Measures cell after cell. */
class Cells {
  readonly done: TransferCell[] = []
  readonly #plan: Plan
  readonly #targets: readonly FittedTarget[]
  readonly #classifier: Classifier | undefined
  readonly #hashes: Hashes
  readonly #total: number

  constructor(plan: Plan, targets: readonly FittedTarget[], classifier: Classifier | undefined, hashes: Hashes) {
    this.#plan = plan
    this.#targets = targets
    this.#classifier = classifier
    this.#hashes = hashes
    this.#total = plan.repeats * plan.networks.length * plan.sources.length * targets.length * plan.protocols.length
  }

  /** Cells that the store lacks. */
  missing(): StageCell[] {
    const { networks, sources, protocols: chosen, repeats, options } = this.#plan
    const isMissing = (network: string, source: TransferSource, target: FittedTarget, protocol: TransferProtocol) =>
      Array.from({ length: repeats }, (_, repeat) => ({ network, source, target: target.name, protocol, repeat })).some(
        (cell) => !options.store?.find(this.#idOf(cell, target)),
      )
    return networks.flatMap((network) =>
      sources.flatMap((source) =>
        this.#targets.flatMap((target) =>
          chosen.flatMap((protocol) => (isMissing(network, source, target, protocol) ? [{ network, source, target, protocol }] : [])),
        ),
      ),
    )
  }

  /** All cells of one pretrained network; it is pretrained only where one of them is missing. */
  async measure(name: string, source: TransferSource, repeat: number, pretraining: PretrainingSources): Promise<void> {
    const { protocols: chosen, seed, options } = this.#plan
    const key = fold(keyOf(seed), 'transfer', name, repeat)
    let rows: PretrainingRows | undefined
    let pretrained: Pretrained | undefined
    for (const target of this.#targets) {
      for (const protocol of chosen) {
        const cell = { network: name, source, target: target.name, protocol, repeat }
        const id = this.#idOf(cell, target)
        const found = options.store?.find(id)
        if (found) {
          this.done.push({ ...found, target: target.name })
          continue
        }
        const start = performance.now()
        if (source !== 'none') {
          const encode = this.#plan.options.onProgress
          pretraining.onEncoded =
            encode &&
            ((step, steps) => encode({ cells: this.done.length, total: this.#total, cell, what: 'encode', step, steps, loss: null }))
          rows ??= await pretraining.rows(source, fold(keyOf(seed), 'source', repeat))
          pretrained ??= await this.#pretrain(name, rows, key, cell)
        }
        const measured = await this.#protocol(protocol, { name, target, pretrained, rows, key, cell })
        const seconds = (performance.now() - start) / 1000
        const loss = { pretrainLoss: pretrained?.loss ?? null }
        const ofPretraining = source !== 'none' && { pretraining: keyOfCell(this.#plan.settings.pretrain) }
        const known = { key: id, set: this.#hashes.set, setup: keyOfCell(this.#setupOf(protocol, target)), ...ofPretraining }
        const result: TransferCell = { ...cell, ...measured, ...loss, seconds, ...known }
        await options.store?.add(result)
        this.done.push(result)
        options.onCell?.(result)
      }
    }
  }

  /** What cells of a target and a protocol have in common, but for their pretraining. */
  #setupOf(protocol: TransferProtocol, { sha256, flip, train }: FittedTarget): object {
    const { settings, seed, set, options } = this.#plan
    const { trainImages = null, testImages = null, device } = options
    return {
      ...{ sha256, flip, mean: train.mean, std: train.std, kdTeacher: protocol === 'kd' && this.#hashes.classifier },
      ...{ seed, set: this.#hashes.set, initSpace: set.initSpace, setMean: set.mean, setStd: set.std, trainImages, testImages },
      ...{ computed: device.isa, precision: device.precision, settings: settings[protocol] },
    }
  }

  /** Everything that a cell's number depends on. */
  #idOf({ target: _, ...cell }: TransferProgress['cell'], { sha256, flip, train }: FittedTarget): string {
    const { settings, seed, set, options } = this.#plan
    const { data, teacher, trainImages = null, testImages = null, device } = options
    return keyOfCell({
      ...cell,
      ...{
        set: this.#hashes.set,
        ...{ initSpace: set.initSpace, setMean: set.mean, setStd: set.std },
        seed,
        ...{ sha256, flip, mean: train.mean, std: train.std },
        trainImages,
        testImages,
        computed: device.isa,
        precision: device.precision,
      },
      ...(cell.source !== 'none' && { pretrain: settings.pretrain }),
      ...(cell.source === 'kmeans' && { medoids: 1 }),
      ...(needsReal(cell.source) && { data: data?.sha256, teacher: [teacher?.sha256, teacher?.output, teacher?.input] }),
      settings: settings[cell.protocol],
      ...(cell.protocol === 'kd' && { kdTeacher: this.#hashes.classifier }),
    })
  }

  #progress(cell: TransferProgress['cell'], what: TransferProgress['what'], steps: number) {
    const { onProgress } = this.#plan.options
    return (
      onProgress &&
      ((step: number, loss: number) => onProgress({ cells: this.done.length, total: this.#total, cell, what, step, steps, loss }))
    )
  }

  async #pretrain(name: string, { rows, targets }: PretrainingRows, key: Key, cell: TransferProgress['cell']): Promise<Pretrained> {
    const { set, image, settings, options } = this.#plan
    const { epochs, ...descent } = settings.pretrain
    const network = networkByName(name, image, set.dim)
    const start = await freshTensors(options.device, network, fold(key, 'parameters'))
    const steps = epochs * stepsPerPass(set.shape[0], descent.batch)
    return trainNetwork(
      options.device,
      network,
      start,
      rows,
      { representations: targets },
      {
        ...{ ...descent, steps, cosine: false, key: fold(key, 'pretrain'), signal: options.signal },
        onStep: this.#progress(cell, 'pretrain', steps),
      },
    )
  }

  async #protocol(
    protocol: TransferProtocol,
    given: {
      readonly name: string
      readonly target: FittedTarget
      readonly pretrained: Pretrained | undefined
      readonly rows: PretrainingRows | undefined
      readonly key: Key
      readonly cell: TransferProgress['cell']
    },
  ): Promise<Pick<TransferCell, 'accuracy' | 'labelled'>> {
    const { image, settings, options, set } = this.#plan
    const { device, signal } = options
    const { name, target, pretrained, rows, cell } = given
    // by what the images are: a target is the same under any name, beside any others
    const key = fold(given.key, protocol, target.sha256[0])
    const network = networkByName(name, image, target.classes)
    const fresh = await freshTensors(device, network, fold(given.key, 'parameters'))
    const start = pretrained ? withNewHead(fresh, pretrained.tensors) : fresh
    const { train, test } = target
    const labelled = train.labels.length

    if (protocol === 'finetune') {
      const { iterations, ...descent } = settings.finetune
      const { tensors } = await trainNetwork(
        device,
        network,
        start,
        train,
        { labels: train.labels },
        {
          ...{ ...descent, steps: iterations, cosine: true, crop: { padding: 4, flip: target.flip }, key, signal },
          onStep: this.#progress(cell, protocol, iterations),
        },
      )
      const { data } = await forward(device, network, tensors, test, 'logits', { signal })
      return { accuracy: await accuracyOfLogits(data, target.classes, test.labels), labelled }
    }
    if (protocol === 'kd') {
      const noise = cell.source === 'none'
      const images = rows ? await networkImages(rows) : set.images
      const { tensors } = await distilKnowledge(device, network, start, this.#classifier as Classifier, {
        ...{
          ...settings.kd,
          lr: noise ? 10 * settings.kd.lr : settings.kd.lr,
          images,
          rows: rows?.rows.shape[0] ?? set.shape[0],
          epochSteps: stepsPerPass(set.shape[0], settings.kd.batch),
          noise,
          key,
          signal,
        },
        onStep: this.#progress(cell, protocol, settings.kd.epochs * stepsPerPass(set.shape[0], settings.kd.batch)),
      })
      const { data } = await forward(device, network, tensors, test, 'logits', {
        batchNorm: settings.kd.bnEval,
        batch: settings.kd.batch,
        signal,
      })
      return { accuracy: await accuracyOfLogits(data, target.classes, test.labels), labelled: 0 }
    }
    const used =
      protocol === 'probe'
        ? await takeLabelled(
            train,
            await shareOfRows(train.labels, target.classes, settings.probe.share, fold(keyOf(this.#plan.seed), 'probe', cell.repeat)),
          )
        : train
    const features = await forward(device, network, start, used, 'embedding', { signal })
    const { width } = features
    const tested = await forward(device, network, start, test, 'embedding', { signal })
    const asRows = (data: Float32Array) => ({ pixels: data, shape: [data.length / width, 1, 1, width] as const, mean: [], std: [] })
    const linear = mlp({ input: [1, 1, width], classes: target.classes, depth: 1 })
    const head = async (): Promise<NetworkTensors> => {
      if (protocol === 'probe') {
        const onIteration = this.#progress(cell, protocol, settings.probe.iterations)
        const how = { ...settings.probe, signal, onIteration }
        const { weights, bias } = await fitLinear(device, features.data, width, used.labels, target.classes, how)
        return { parameters: { 'fc.weight': weights, 'fc.bias': bias }, state: {} }
      }
      const { iterations, ...descent } = settings.linear
      const first = await freshTensors(device, linear, fold(key, 'parameters'))
      const trained = await trainNetwork(
        device,
        linear,
        first,
        asRows(features.data),
        { labels: used.labels },
        {
          ...{ ...descent, steps: iterations, cosine: true, key, signal },
          onStep: this.#progress(cell, 'linear', iterations),
        },
      )
      return trained.tensors
    }
    const { data } = await forward(device, linear, await head(), asRows(tested.data), 'logits', { signal, batch: 256 })
    return { accuracy: await accuracyOfLogits(data, target.classes, test.labels), labelled: used.labels.length }
  }
}

const networkImages = async ({ rows }: PretrainingRows): Promise<Float32Array> =>
  rows.pixels instanceof Uint8Array ? normalizeInTurns(rows.pixels, rows) : rows.pixels
