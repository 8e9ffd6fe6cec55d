/** @file Trains G networks at once, on one set or one each: their weights carry the group axis, each sees its own batches and augmentation. */
import { type AugmentPolicy, drawBatch, thetaSize } from '../augment/dsa.js'
import { scaleShift } from '../data/normalize.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import { type BoundProgram, bindProgram, type NamedInput, type NamedOutput } from '../engine/bound-program.js'
import type { Plan } from '../engine/compile/program.js'
import {
  add,
  argmax,
  augment,
  cast,
  equal,
  gather,
  grad,
  greater,
  imageGather,
  mul,
  reshape,
  softmaxCe,
  square,
  sub,
  sum,
  type Value,
} from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { fold, type Key, purpose } from '../engine/tensor/key.js'
import { sizeOf } from '../engine/tensor/shape.js'
import { inPieces, Turn } from '../event-loop.js'
import { initialize, initialState, type Network } from '../nn/module.js'
import { type GsamOptions, gsamGradient } from '../optim/gsam.js'
import { keepStart, startName } from './centred-network.js'
import { type Protocol, protocolOf, type TrainingRule } from './protocol.js'
import { epochOrder } from './schedule.js'
import { momentShapes, updated } from './update.js'

/** Training steps whose batches are uploaded together. */
const chunkSlots = 32

export interface TrainingSet {
  /** NHWC pixels: normalised float32, or bytes that the device normalises row by row with `mean` and `std`. */
  readonly images: Float32Array | Uint8Array
  readonly shape: readonly [number, number, number, number]
  readonly labels: Int32Array
  readonly mean: readonly number[]
  readonly std: readonly number[]
  /** Probabilities [rows, classes] that the networks are trained towards in place of the labels; all sets have them, or none. */
  readonly softLabels?: Float32Array
  /** Soft labels are no probabilities: networks are trained towards them by half the squared distance, not by the cross-entropy. */
  readonly squared?: boolean
}

export interface TrainerOptions {
  readonly network: Network
  /** One set for all networks, or one each, of one shape and dtype. */
  readonly sets: readonly TrainingSet[]
  /** Networks trained together. */
  readonly groups: number
  readonly augment: AugmentPolicy
  readonly key: Key
  /** Number of the first network within the evaluation: network i of any grouping draws the same bits. */
  readonly firstNetwork: number
  /** Default: 'dc'. One with a factor needs the epochs that it runs over. */
  readonly schedule?: { readonly protocol: Protocol; readonly epochs: number }
  /** How the networks are updated, where it is not as the protocol says. */
  readonly rule?: TrainingRule
  /** Update by GSAM's gradient in place of the plain one. */
  readonly gsam?: GsamOptions
  /** Rows that an epoch trains on, ascending; default all of the set. */
  readonly rowsOf?: (epoch: number) => Int32Array | Promise<Int32Array>
  /** Also count right answers, for `trainEpoch`. */
  readonly countHits?: boolean
}

/** Of the rows of one epoch as they were trained on, by network: mean cross-entropy, and accuracy in per cent (NaN unless hits are counted). */
export interface EpochResult {
  readonly losses: readonly number[]
  readonly accuracies: readonly number[]
}

/** Device arrays of trained networks, [groups, ...shape] each, by the names of their specifications. */
export interface NetworkArrays {
  readonly parameters: Readonly<Record<string, DeviceArray>>
  /** Running statistics. */
  readonly state: Readonly<Record<string, DeviceArray>>
}

/** Names of a network's tensors in a program, where they must not meet the program's own names. */
export const parameterKey = (name: string): string => `parameter:${name}`
export const stateKey = (name: string): string => `state:${name}`
const averageKey = (name: string): string => `average:${name}`

/** The arrays under their names in a program. */
export const programArrays = ({ parameters, state }: NetworkArrays): Record<string, DeviceArray> => ({
  ...withKeys(parameters, parameterKey),
  ...withKeys(state, stateKey),
})

const withKeys = <T>(tensors: Readonly<Record<string, T>>, key: (name: string) => string): Record<string, T> =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [key(name), tensor]))

/** A step's place in the arrays of a chunk, and its rows. */
interface UsedSlot {
  readonly slot: number
  readonly size: number
}

/** Draws of one upload, by the names of the step's inputs. */
interface Chunk {
  readonly index: Int32Array
  /** Absent where the rows have soft labels. */
  readonly labels?: Int32Array
  readonly weights: Float32Array
  readonly theta?: Float32Array
  /** Learning rate of each step, where the protocol has a factor for every epoch. */
  readonly lr?: Float32Array
  /** Share that the average of the weights keeps after each step; 1 but at the end of an epoch. */
  readonly decay?: Float32Array
}

/** Owns the parameters, running statistics, velocities and programs; `dispose` frees them. */
export class Trainer {
  readonly networks: NetworkArrays
  /** What is tested: the networks, or the moving average of their weights where the protocol asks for it. */
  readonly measured: NetworkArrays
  readonly protocol: Protocol
  readonly network: Network
  readonly #options: TrainerOptions
  readonly #rule: TrainingRule
  readonly #batch: number
  /** Names of what the optimiser keeps. */
  readonly #moments: readonly string[]
  readonly #arrays: Record<string, DeviceArray>
  readonly #step: BoundProgram
  /** Steps so far: what draws by step, and the slots of a chunk, count on from there. */
  #done = 0
  /** Steps of an epoch, by which the rate goes. */
  #rateSteps: number | undefined
  /** Those of the epoch that was asked for last, where not every epoch is of all. */
  #rows: { readonly epoch: number; readonly rows: Int32Array } | undefined

  constructor(device: Device, options: TrainerOptions) {
    const { network, sets, groups } = options
    const [set] = sets
    this.#options = options
    const protocol = options.schedule?.protocol ?? protocolOf('dc')
    this.protocol = protocol
    this.network = network
    const rule = ruleOf(options)
    this.#rule = rule
    this.#batch = Math.min(rule.batch, set.shape[0])
    const moments = momentShapes(network, groups, rule)
    this.#moments = Object.keys(moments)
    const rows = groups * this.#batch
    const places = [chunkSlots, groups, this.#batch]
    const made = allOrNothing((own) => {
      const zeros = (specs: readonly { readonly name: string; readonly shape: readonly number[] }[]) =>
        Object.fromEntries(specs.map(({ name, shape }) => [name, own(device.array('f32', [groups, ...shape]))]))
      const trained = () => ({ parameters: zeros(network.parameters), state: zeros(network.state) })
      return {
        step: own(trainingStep(device, options, this.#batch)),
        networks: trained(),
        averages: rule.decay && trained(),
        arrays: {
          ...Object.fromEntries(Object.entries(moments).map(([name, shape]) => [name, own(device.array('f32', shape))])),
          images: own(device.array(dtypeOf(set), stackedShape(sets), stacked(sets))),
          ...(dtypeOf(set) === 'u8' ? ownScaleShift(set, (data) => own(device.array('f32', [data.length], data))) : {}),
          lr: isScheduled(rule)
            ? own(device.array('f32', [chunkSlots]))
            : own(device.array('f32', [], Float32Array.of(rule.lr(network.name)))),
          ...(rule.decay ? { decay: own(device.array('f32', [chunkSlots])) } : {}),
          index: own(device.array('i32', [chunkSlots, rows])),
          ...(set.softLabels
            ? { targets: own(device.array('f32', [sets.length * set.shape[0], network.classes], stackedTargets(sets))) }
            : { labels: own(device.array('i32', places)) }),
          weights: own(device.array('f32', places)),
          ...(options.augment.operations.length > 0 ? { theta: own(device.array('f32', [chunkSlots, rows, thetaSize])) } : {}),
          ...Object.fromEntries(
            dropoutKeys(options).map((key, g) => [dropoutName(g), own(device.array('u32', [2], Uint32Array.from(key)))]),
          ),
          loss: own(device.array('f32', [chunkSlots, groups])),
          ...(options.countHits ? { hits: own(device.array('f32', [chunkSlots, groups])) } : {}),
        },
      }
    })
    this.#step = made.step
    this.networks = made.networks
    this.measured = made.averages ?? made.networks
    this.#arrays = {
      ...programArrays(made.networks),
      ...(made.averages ? withKeys(programArrays(made.averages), averageKey) : {}),
      ...made.arrays,
    }
  }

  /** Of one training step of all networks. */
  get plan(): Plan {
    return this.#step.plan
  }

  /** The training images on the device, under the names of a `RowSource`. */
  get rows(): Readonly<Record<string, DeviceArray>> {
    const { images, scale, shift } = this.#arrays
    return { data: images, ...(scale && shift && { scale, shift }) }
  }

  /** All that the next step depends on beside its draws: parameters, running statistics and momentum, by their names in the program. */
  get carried(): Readonly<Record<string, DeviceArray>> {
    return { ...programArrays(this.networks), ...Object.fromEntries(this.#moments.map((name) => [name, this.#arrays[name]])) }
  }

  /** Continues at the start of `epoch`: what draws by step goes on there. */
  goTo(epoch: number): void {
    this.#done = epoch * this.stepsPerEpoch
  }

  /** Of an epoch over all rows: none has more steps. */
  get stepsPerEpoch(): number {
    return Math.ceil(this.#options.sets[0].shape[0] / this.#batch)
  }

  /** Steps of one epoch. */
  async stepsIn(epoch: number): Promise<number> {
    const rows = await this.#rowsIn(epoch)
    return rows ? Math.ceil(rows.length / this.#batch) : this.stepsPerEpoch
  }

  /** Rows of an epoch; undefined where it is of all. */
  async #rowsIn(epoch: number): Promise<Int32Array | undefined> {
    const { rowsOf } = this.#options
    if (rowsOf && this.#rows?.epoch !== epoch) this.#rows = { epoch, rows: await rowsOf(epoch) }
    return this.#rows?.rows
  }

  /** Draws fresh parameters, resets the running statistics and clears the momentum. */
  async initialize(device: Device): Promise<void> {
    const { network, groups, key, firstNetwork } = this.#options
    await drawNetworks(device, network, { groups, first: firstNetwork, key: fold(key, 'parameters'), into: this.networks })
    if (this.protocol.labelScale !== undefined) await keepStart(this.networks)
    await this.resetMomentum()
  }

  async resetMomentum(): Promise<void> {
    const arrays = this.#moments.map((name) => this.#arrays[name])
    await Promise.all(arrays.map((array) => array.write(new Float32Array(sizeOf(array.shape)))))
  }

  async setLearningRate(lr: number): Promise<void> {
    await this.#arrays.lr.write(Float32Array.of(lr))
  }

  /**
   * Trains epochs [first, first + epochs) and returns the last step's losses, one per network. An abort ends it between two steps; `onSteps`
   * hears of the steps done, now and then.
   */
  async train(first: number, epochs: number, signal?: AbortSignal, onSteps?: (steps: number) => void): Promise<Float32Array> {
    const { groups } = this.#options
    let losses = new Float32Array(groups)
    for await (const { slots, steps } of this.#steps(first, epochs, signal)) {
      const all = (await this.#arrays.loss.read()) as Float32Array
      const { slot } = slots[slots.length - 1]
      losses = all.slice(slot * groups, (slot + 1) * groups)
      onSteps?.(steps)
    }
    return losses
  }

  /** As `train` one epoch, and tells how all of its steps went. */
  async trainEpoch(epoch: number, signal?: AbortSignal, onSteps?: (steps: number) => void): Promise<EpochResult> {
    const { groups } = this.#options
    const [losses, hits] = [new Float64Array(groups), new Float64Array(groups)]
    let rows = 0
    for await (const { slots, steps } of this.#steps(epoch, 1, signal)) {
      const loss = (await this.#arrays.loss.read()) as Float32Array
      const hit = (await this.#arrays.hits?.read()) as Float32Array | undefined
      for (const { slot, size } of slots) {
        rows += size
        for (let g = 0; g < groups; g++) {
          losses[g] += size * loss[slot * groups + g]
          hits[g] += hit?.[slot * groups + g] ?? Number.NaN
        }
      }
      onSteps?.(steps)
    }
    return { losses: Array.from(losses, (sum) => sum / rows), accuracies: Array.from(hits, (sum) => (100 * sum) / rows) }
  }

  /** Runs the steps of some epochs a chunk at a time, and yields after each: the slots that its steps used, with their rows, and the steps so far. */
  async *#steps(first: number, epochs: number, signal: AbortSignal | undefined): AsyncGenerator<{ slots: UsedSlot[]; steps: number }> {
    const { groups, sets, augment: policy, key, firstNetwork } = this.#options
    const [, height, width] = sets[0].shape
    // a rate that goes by steps takes every epoch to be as long as the first
    if (this.#rule.stepFactor) this.#rateSteps ??= await this.stepsIn(0)
    const counts: number[] = []
    for (let i = 0; i < epochs; i++) counts.push(await this.stepsIn(first + i))
    const total = counts.reduce((a, b) => a + b, 0)
    let orders: Int32Array[] = []
    let [epoch, inEpoch] = [first, 0]
    const turn = new Turn()
    for (let begin = 0; begin < total; begin += chunkSlots) {
      const n = Math.min(chunkSlots, total - begin)
      const chunk = this.#emptyChunk()
      const slots: UsedSlot[] = []
      for (let s = 0; s < n; s++) {
        if (inEpoch === 0) orders = await this.#orders(epoch, turn)
        const slot = (this.#done + s) % chunkSlots
        const isLast = inEpoch === counts[epoch - first] - 1
        this.#schedule(chunk, slot, epoch, inEpoch, isLast)
        let size = 0
        for (let g = 0; g < groups; g++) {
          await turn.breathe()
          const batch = orders[g].subarray(inEpoch * this.#batch, (inEpoch + 1) * this.#batch)
          const step = epoch * this.stepsPerEpoch + inEpoch
          const address = { key: fold(key, 'augment', firstNetwork + g), purpose: purpose.augment, step }
          const theta = policy.operations.length > 0 ? drawBatch(policy, address, batch.length, height, width) : undefined
          this.#fill(chunk, slot, g, batch, theta)
          size = batch.length
        }
        slots.push({ slot, size })
        ;[epoch, inEpoch] = isLast ? [epoch + 1, 0] : [epoch, inEpoch + 1]
      }
      // Uploads and run queue in this order; every one is awaited, so that none can fail unheard.
      const uploads = Object.entries(chunk).map(([name, data]) => this.#arrays[name].write(data))
      await Promise.all([...uploads, this.#step.run(this.#arrays, { n, startStep: this.#done, ...(signal && { signal }) })])
      this.#done += n
      yield { slots, steps: begin + n }
    }
  }

  /** The rows of an epoch in the order of each network. */
  async #orders(epoch: number, turn: Turn): Promise<Int32Array[]> {
    const { groups, sets, key, firstNetwork } = this.#options
    const rows = await this.#rowsIn(epoch)
    const orders: Int32Array[] = []
    for (let g = 0; g < groups; g++) {
      const order = await epochOrder(key, firstNetwork + g, epoch, rows?.length ?? sets[0].shape[0], turn)
      if (rows)
        await inPieces(order.length, turn, (from, to) => {
          for (let i = from; i < to; i++) order[i] = rows[order[i]]
        })
      orders.push(order)
    }
    return orders
  }

  #emptyChunk(): Chunk {
    const rows = chunkSlots * this.#options.groups * this.#batch
    return {
      index: new Int32Array(rows),
      ...(this.#arrays.labels ? { labels: new Int32Array(rows) } : {}),
      weights: new Float32Array(rows),
      ...(this.#arrays.theta ? { theta: new Float32Array(rows * thetaSize) } : {}),
      ...(isScheduled(this.#rule) ? { lr: new Float32Array(chunkSlots) } : {}),
      ...(this.#rule.decay ? { decay: new Float32Array(chunkSlots) } : {}),
    }
  }

  #schedule(chunk: Chunk, slot: number, epoch: number, inEpoch: number, isLast: boolean): void {
    const { network, schedule } = this.#options
    const rule = this.#rule
    const epochs = schedule?.epochs ?? 1
    const perEpoch = this.#rateSteps ?? 0
    const factor = rule.stepFactor?.(epoch * perEpoch + inEpoch, epochs * perEpoch) ?? rule.factor?.(epoch, epochs) ?? 1
    if (chunk.lr) chunk.lr[slot] = rule.lr(network.name) * factor
    if (chunk.decay) chunk.decay[slot] = isLast ? (rule.decay?.(epoch) ?? 1) : 1
  }

  /** Writes one network's batch into its slot; places beyond a short batch keep weight 0. */
  #fill(chunk: Chunk, slot: number, group: number, batch: Int32Array, theta: Float32Array | undefined): void {
    const { sets, groups } = this.#options
    const at = (slot * groups + group) * this.#batch
    const own = group % sets.length
    for (const [i, row] of batch.entries()) {
      chunk.index[at + i] = own * sets[own].shape[0] + row
      if (chunk.labels) chunk.labels[at + i] = sets[own].labels[row]
    }
    chunk.weights.fill(1 / batch.length, at, at + batch.length)
    if (theta) chunk.theta?.set(theta, at * thetaSize)
  }

  dispose(): void {
    for (const array of Object.values(this.#arrays)) array.dispose()
    this.#step.dispose()
  }
}

/** Whether the learning rate of every step is told with its draws. */
const isScheduled = ({ factor, stepFactor }: TrainingRule): boolean => factor !== undefined || stepFactor !== undefined

const ruleOf = ({ rule, schedule }: TrainerOptions): TrainingRule => rule ?? schedule?.protocol ?? protocolOf('dc')

/** One key a network, numbered within the evaluation; none where the network draws nothing. */
const dropoutKeys = ({ network, groups, key, firstNetwork }: TrainerOptions): Key[] =>
  network.dropout ? Array.from({ length: groups }, (_, g) => fold(key, 'dropout', firstNetwork + g)) : []

const dropoutName = (group: number): string => `dropout:${group}`

const dtypeOf = ({ images }: TrainingSet): 'u8' | 'f32' => (images instanceof Uint8Array ? 'u8' : 'f32')

const stackedShape = (sets: readonly TrainingSet[]): readonly number[] => [sets.length * sets[0].shape[0], ...sets[0].shape.slice(1)]

/** The sets' rows one after the other. */
function stacked(sets: readonly TrainingSet[]): TrainingSet['images'] {
  const [{ images: first }] = sets
  if (sets.length === 1) return first
  const all = first instanceof Uint8Array ? new Uint8Array(sets.length * first.length) : new Float32Array(sets.length * first.length)
  for (const [i, { images }] of sets.entries()) all.set(images, i * first.length)
  return all
}

function stackedTargets(sets: readonly TrainingSet[]): Float32Array {
  const [{ softLabels: first = new Float32Array() }] = sets
  const all = new Float32Array(sets.length * first.length)
  for (const [i, { softLabels }] of sets.entries()) if (softLabels) all.set(softLabels, i * first.length)
  return all
}

function ownScaleShift(set: TrainingSet, own: (data: Float32Array) => DeviceArray): Record<string, DeviceArray> {
  const { scale, shift } = scaleShift(set)
  return { scale: own(scale), shift: own(shift) }
}

/** One step of G networks, by SGD or GSAM. The cross-entropy of each network is a mean over its true rows: weights hold 1/count or 0. */
function trainingStep(device: Device, options: TrainerOptions, batch: number): BoundProgram {
  const { network, sets, groups, augment: policy } = options
  const rule = ruleOf(options)
  const labelScale = options.schedule?.protocol.labelScale
  const drawing = dropoutKeys(options).map((_, g) => dropoutName(g))
  const slots = { count: chunkSlots }
  const [set] = sets
  const [, ...image] = set.shape
  const dtype = dtypeOf(set)
  const names = network.parameters.map(({ name }) => name)
  const carried: Record<string, NamedInput> = {
    ...networkInputs(network, groups),
    ...Object.fromEntries(Object.entries(momentShapes(network, groups, rule)).map(([name, shape]) => [name, { shape }])),
  }
  const trained = Object.keys(networkInputs(network, groups))
  if (rule.decay) Object.assign(carried, withKeys(networkInputs(network, groups), averageKey))
  const donated = Object.fromEntries(Object.keys(carried).map((name): [string, NamedOutput] => [name, { donate: name }]))
  const augmented = policy.operations.length > 0
  return bindProgram<string, string, string>(device, {
    inputs: {
      ...carried,
      images: { shape: stackedShape(sets), dtype },
      ...(dtype === 'u8' ? { scale: { shape: [image[2]] }, shift: { shape: [image[2]] } } : {}),
      lr: isScheduled(rule) ? { shape: [], slots } : { shape: [] },
      ...(rule.decay ? { decay: { shape: [], slots } } : {}),
      index: { shape: [groups * batch], dtype: 'i32', slots },
      ...(set.softLabels
        ? { targets: { shape: [sets.length * set.shape[0], network.classes] } }
        : { labels: { shape: [groups, batch], dtype: 'i32' as const, slots } }),
      weights: { shape: [groups, batch], slots },
      ...(augmented ? { theta: { shape: [groups * batch, thetaSize], slots } } : {}),
      ...Object.fromEntries(drawing.map((name): [string, NamedInput] => [name, { shape: [2], dtype: 'u32' }])),
    },
    outputs: { ...donated, loss: { slots }, ...(options.countHits ? { hits: { slots } } : {}) },
    ...(drawing.length > 0 ? { step: 'step' } : {}),
    build(v) {
      const drawn = dtype === 'u8' ? imageGather(v.images, v.index, v.scale, v.shift) : gather(v.images, v.index)
      const x = reshape(augmented ? augment(drawn, v.theta) : drawn, [groups, batch, ...image])
      const { parameters, state } = networkValues(network, v)
      // Rows of weight 0 are padding: batch statistics leave them out too.
      const padding = set.shape[0] % batch === 0 && !options.rowsOf ? {} : { rowWeights: greater(v.weights, 0) }
      const draws = drawing.length > 0 ? { draws: { keys: drawing.map((name) => v[name]), counter: v.step } } : {}
      const targets = set.softLabels ? reshape(gather(v.targets, v.index), [groups, batch, network.classes]) : v.labels
      const lossAt = (values: typeof parameters) => {
        const applied = network.apply(values, x, { mode: 'train', state, ...padding, ...draws })
        const losses = set.squared ? squaredErrors(applied.logits, targets, labelScale) : softmaxCe(applied.logits, targets).loss
        return { applied, loss: sum(mul(losses, v.weights), { axes: [1] }) }
      }
      const own = names.map((name) => parameters[name])
      const { applied, loss } = lossAt(parameters)
      const gradientsAt = (at: readonly Value[]) =>
        grad(at === own ? sum(loss) : sum(lossAt(Object.fromEntries(names.map((name, i) => [name, at[i]]))).loss), at)
      const gradients = options.gsam ? gsamGradient(own, gradientsAt, options.gsam).gradients : gradientsAt(own)
      const next: Record<string, Value> = { loss, ...withKeys(applied.state, stateKey) }
      if (options.countHits)
        next.hits = sum(mul(equal(cast(argmax(applied.logits), 'f32'), cast(v.labels, 'f32')), greater(v.weights, 0)), { axes: [1] })
      for (const [i, name] of names.entries()) {
        const { gradient, decay } = decayed(gradients[i], parameters[name], state[startName(name)], rule)
        const { parameter, moments } = updated(name, parameters[name], gradient, v, { ...rule, weightDecay: decay })
        Object.assign(next, { [parameterKey(name)]: parameter, ...moments })
      }
      if (rule.decay) {
        for (const name of trained)
          next[averageKey(name)] = add(mul(v[averageKey(name)], v.decay), mul(next[name] ?? v[name], sub(1, v.decay)))
      }
      return next
    },
  })
}

/** Half the squared distance of each row, [G, N]; with a scale of labels the mean over classes of the square, over that of the scale. */
function squaredErrors(logits: Value, targets: Value, scale: number | undefined): Value {
  const wanted = scale === undefined ? targets : mul(targets, scale)
  const share = scale === undefined ? 0.5 : 1 / (targets.shape[2] * scale ** 2)
  return mul(sum(square(sub(logits, wanted)), { axes: [2] }), share)
}

/** The gradient with that of the decay times the squared distance from the start, where a network has one; else the decay is the optimiser's. */
function decayed(gradient: Value, parameter: Value, start: Value | undefined, { weightDecay }: TrainingRule) {
  if (!start || weightDecay === 0) return { gradient, decay: weightDecay }
  return { gradient: add(gradient, mul(sub(parameter, start), 2 * weightDecay)), decay: 0 }
}

/** Inputs of a program that holds `groups` networks. */
export const networkInputs = (network: Network, groups: number): Record<string, NamedInput> =>
  Object.fromEntries([
    ...network.parameters.map(({ name, shape }) => [parameterKey(name), { shape: [groups, ...shape] }]),
    ...network.state.map(({ name, shape }) => [stateKey(name), { shape: [groups, ...shape] }]),
  ])

/** The networks' tensors among a program's values, by their own names. */
export const networkValues = (network: Network, values: Readonly<Record<string, Value>>) => ({
  parameters: Object.fromEntries(network.parameters.map(({ name }) => [name, values[parameterKey(name)]])),
  state: Object.fromEntries(network.state.map(({ name }) => [name, values[stateKey(name)]])),
})

/** Writes freshly drawn parameters and the initial state of networks [first, first + groups) into device arrays. */
async function drawNetworks(
  device: Device,
  network: Network,
  { groups, first, key, into }: { groups: number; first: number; key: Key; into: NetworkArrays },
): Promise<void> {
  const { program, keyArray } = allOrNothing((own) => ({
    program: own(initialization(device, network, groups, first)),
    keyArray: own(device.array('u32', [2], Uint32Array.from(key))),
  }))
  try {
    await program.run({ key: keyArray, ...programArrays(into) }, { n: groups, startStep: first })
  } finally {
    keyArray.dispose()
    program.dispose()
  }
}

/** Replay i draws network i, the counter of its bits, into row i - first of the arrays: the same bits in any grouping. */
function initialization(device: Device, network: Network, groups: number, first: number): BoundProgram {
  const slots = { count: groups, add: groups - (first % groups) }
  return bindProgram(device, {
    inputs: { key: { shape: [2], dtype: 'u32' } },
    outputs: Object.fromEntries(Object.keys(networkInputs(network, groups)).map((name) => [name, { slots }])),
    step: 'network',
    build(v) {
      const drawn = {
        ...withKeys(initialize(network, { key: v.key, counter: v.network }), parameterKey),
        ...withKeys(initialState(network, 1), stateKey),
      }
      return Object.fromEntries(Object.entries(drawn).map(([name, value]) => [name, reshape(value, value.shape.slice(1))]))
    },
  })
}
