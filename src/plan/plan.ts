/** @file What a run will hold and take, before it starts: bytes and time of each phase, and the largest settings that fit into the memory at hand. */
import { checkDevice, checkOptions, wholeNumber } from '../arguments.js'
import { asDataset, type Dataset, type DatasetInput } from '../data/dataset.js'
import { neededBytes } from '../distill/run-memory.js'
import { isGpu } from '../engine/isa.js'
import type { Device } from '../engine/runtime/device.js'
import { AludelError, expected } from '../errors.js'
import { protocolFor, protocolOf } from '../evaluate/protocol.js'
import type { DistillOptions, DistillSettings, ProtocolName, RunConfig } from '../experiment/types.js'
import { freeMemory } from '../free-memory.js'
import { resolveNetwork, withPools } from '../nn/networks/registry.js'
import { largest } from './largest.js'
import { distillationPhase, evaluationPhase, type PlannedDistillation, type PlannedSettings } from './phases.js'
import { type DeviceBytes, totalBytes } from './planning-device.js'
import { measureRate } from './rate.js'
import { asIfWhitened, type PlannedZca, whiteningPhase } from './whitening.js'

export interface PlanOptions extends DistillSettings {
  /** Says instruction set and threads; its speed is measured for about half a second. */
  readonly device: Device
  /** Bytes that may be used, of a GPU those on it; default: what is free for the device. */
  readonly memory?: number
  /** What a method of trajectory matching is to read: with them it is checked that they fit the run. Their bytes stay on the disk. */
  readonly experts?: NonNullable<DistillOptions['experts']>
  /** Real images that the networks are measured on; without them no evaluation is planned. */
  readonly test?: Dataset | DatasetInput
  /** The images are whitened first, by a whitening fitted to `data`: counted as its own phase, roughly. */
  readonly zca?: PlannedZca
  /** Networks of the evaluation, or pools of them, default ['convnet']. */
  readonly networks?: readonly string[]
  /** Networks trained per name, default 5. */
  readonly repeats?: number
  /** Default 'trajectory' for methods that learn a rate, else 'dc'. */
  readonly protocol?: ProtocolName
  /** Epochs of each, default 1000. */
  readonly epochs?: number
}

export interface PhasePlan {
  readonly name: string
  /** Bytes on the device: `arrays`, `constants` and the shared `workspace`. */
  readonly bytes: DeviceBytes
  readonly totalBytes: number
  readonly steps: number
  readonly flops: number
  /** Predicted from the operations and the measured rate: a guide. */
  readonly seconds: number
}

export interface RunPlan {
  readonly config: RunConfig
  readonly phases: readonly PhasePlan[]
  /** Of the state of the distillation: a checkpoint on the disk, of which there are two, and each of its copies while one is taken. */
  readonly stateBytes: number
  /** Bytes of the data sets' pixels in this process, beside their copies on the device. */
  readonly dataBytes: number
  /**
   * The most that is held at any time: the data and the largest phase, a distillation with the copies of a checkpoint; of a GPU what is on it,
   * without the data in this process.
   */
  readonly peakBytes: number
  readonly freeBytes: number
  /** Of a GPU: and the data and a checkpoint fit this process. */
  readonly fits: boolean
  /** Operations per second measured on this device with this network. */
  readonly flopsPerSecond: number
  /** Largest values that fit while all other settings stay; null where even the smallest does not, or where the method has no real batch. */
  readonly largest: { readonly ipc: number | null; readonly realBatch: number | null }
}

const optionNames: Readonly<Record<keyof PlanOptions, true>> = {
  ...{ method: true, ipc: true, iterations: true, realBatch: true, imageLr: true, init: true, augment: true },
  ...{ network: true, seed: true, preset: true, methodOptions: true, onDivergence: true, dynamic: true },
  ...{ classGroup: true, shard: true, experts: true },
  ...{ device: true, memory: true, test: true, zca: true, networks: true, repeats: true, protocol: true, epochs: true },
}

/**
 * Plans `distill(data, settings)` and the evaluation after it. Nothing is distilled: the programs are built and their memory is laid out as
 * for the run itself, so bytes are exact for the device and leave out what Node holds besides.
 * Rejects as `distill` does for settings that do not fit the data.
 */
export async function planRun(data: Dataset | DatasetInput, options: PlanOptions): Promise<RunPlan> {
  checkOptions('plan', options, optionNames)
  checkDevice('plan', options.device)
  const { protocol: protocolName, ...others } = options
  const { device, memory, test, zca, networks = ['convnet'], repeats = 5, epochs: givenEpochs, ...settings } = others
  if (memory !== undefined) wholeNumber('plan: memory', memory)
  wholeNumber('repeats', repeats)
  if (givenEpochs !== undefined) wholeNumber('epochs', givenEpochs)
  protocolOf(protocolName)
  if (!Array.isArray(networks)) throw expected('invalid_option', 'plan: networks', 'a list of registry names', networks)
  if (zca !== undefined) checkOptions('plan: zca', zca, { order: true, eps: true })
  const asRead = { train: asDataset(data), ...(test !== undefined && { test: asDataset(test) }) }
  const whitened = (set: Dataset) => (zca === undefined ? set : asIfWhitened(set, zca, options.experts?.record.zca?.sha256))
  const train = whitened(asRead.train)
  const measured = asRead.test && whitened(asRead.test)
  const sets = Object.values(asRead)
  const { phase, stateBytes, config, learns } = distillationPhase(train, settings, device)
  const subject = {
    config,
    source: train,
    classes: train.classes,
    shape: [train.classes.length * settings.ipc],
  }
  const protocol = protocolFor(subject, learns.labels, protocolName ?? (learns.rate ? 'trajectory' : undefined))
  // centred rows take the room of soft labels
  const labels = protocol.squared ? 'soft' : learns.labels
  const epochs = givenEpochs ?? protocol.epochs
  const evaluation = (network: string) =>
    measured ? [evaluationPhase(train, measured, { network, ipc: settings.ipc, repeats, protocol, labels, epochs }, device)] : []
  const before = zca === undefined ? [] : [whiteningPhase(asRead.train, sets, device)]
  const phases = [...before, phase, ...withPools(networks).flatMap(evaluation)]
  const image = train.shape.slice(1) as [number, number, number]
  const choice = settings.network ?? String(config.network)
  const flopsPerSecond = await measureRate(device, resolveNetwork(choice, image, train.classes.length))
  const pixelBytes = zca === undefined ? 1 : 1 + Float32Array.BYTES_PER_ELEMENT
  const dataBytes = sets.reduce((sum, set) => sum + (set.pixels ? 0 : set.images.byteLength * pixelBytes), 0)
  // a CPU device and this process share one memory
  const apart = isGpu(device.isa)
  const beside = apart ? 0 : dataBytes
  const freeBytes = memory ?? device.freeBytes
  const room = freeBytes - beside
  const fits = (change: Partial<DistillSettings>) => fitsInto(room, train, { ...settings, ...change }, device)
  const distilling = distillingBytes(device, { phase, stateBytes })
  const peakBytes = beside + Math.max(distilling, ...phases.map(({ bytes }) => totalBytes(bytes)))
  return {
    config,
    phases: phases.map((planned) => ({
      ...planned,
      totalBytes: totalBytes(planned.bytes),
      seconds: planned.flops / flopsPerSecond,
    })),
    stateBytes,
    dataBytes,
    peakBytes,
    freeBytes,
    fits: peakBytes <= freeBytes && (!apart || dataBytes + stateBytes <= freeMemory()),
    flopsPerSecond,
    largest: await largestSettings(train, settings.ipc, config, fits),
  }
}

/** With the copies of a checkpoint, on the device where that has memory of its own. */
function distillingBytes({ isa }: Device, { phase, stateBytes }: Pick<PlannedDistillation, 'phase' | 'stateBytes'>): number {
  const needed = neededBytes(isa, { device: totalBytes(phase.bytes), state: stateBytes, table: 0 })
  return isGpu(isa) ? needed.device : needed.process
}

/** No setting is planned further than this: the answer to 'how far' is then 'as far as you like'. */
const mostIpc = 1000

async function largestSettings(train: Dataset, ipc: number, config: RunConfig, fits: (change: Partial<DistillSettings>) => boolean) {
  const realBatch = Number(config.realBatch)
  // a run does not start from images that it holds out
  const held = Number(config.validateEvery ?? 0) > 0 ? Number(config.validateImages) : 0
  const sizes = train.classes.map((_, c) => train.classIndices(c).length)
  const upTo = async (name: 'ipc' | 'realBatch', chosen: number, most: number): Promise<number | null> => {
    const start = fits({ [name]: chosen }) ? chosen : 1
    if (!fits({ [name]: start })) return null
    return largest(start, Math.max(start, start === chosen ? most : chosen), (value) => fits({ [name]: value }))
  }
  return {
    ipc: await upTo('ipc', ipc, Math.min(mostIpc, Math.min(...sizes) - held)),
    realBatch: realBatch === 0 ? null : await upTo('realBatch', realBatch, Math.max(...sizes)),
  }
}

/** Settings that cannot be planned at all, such as more images than a program can address, do not fit either. */
function fitsInto(room: number, train: Dataset, settings: PlannedSettings, device: Device): boolean {
  try {
    return distillingBytes(device, distillationPhase(train, settings, device)) <= room
  } catch (error) {
    if (error instanceof AludelError && (error.code === 'out_of_memory' || error.code === 'invalid_shape')) return false
    throw error
  }
}
