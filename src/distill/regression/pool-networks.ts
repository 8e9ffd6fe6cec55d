/**
 * @file The pool of partly trained networks: parameters, running statistics and moments of all of them in arrays with a slot each, and the
 * programs that train one or draw it anew. All of it is state of the run.
 */
import { allOrNothing, type Own } from '../../engine/all-or-nothing.js'
import { type BoundProgram, bindProgram, type NamedInput } from '../../engine/bound-program.js'
import type { Plan } from '../../engine/compile/program.js'
import { full, type Value } from '../../engine/index.js'
import type { DeviceArray } from '../../engine/runtime/array.js'
import type { Device } from '../../engine/runtime/device.js'
import { fold, type Key } from '../../engine/tensor/key.js'
import { initialize, initialState, type Network } from '../../nn/module.js'
import { networkInputs, parametersAsOutputs, parametersOf, stateAsOutputs, stateOf } from '../gradient-step.js'
import type { IterationState } from '../iterations.js'
import type { TensorDeclaration } from '../state.js'
import { innerStep, type Moments, momentShapes } from './inner-step.js'
import { initialSteps, PoolSchedule } from './pool-schedule.js'
import type { PoolSettings } from './settings.js'

type Values = Readonly<Record<string, Value>>
type Shapes = Readonly<Record<string, readonly number[]>>

export interface PoolShape {
  readonly network: Network
  readonly pool: PoolSettings
  /** Shapes of the synthetic images [n, H, W, C] and of their targets [n, k]. */
  readonly images: readonly number[]
  readonly targets: readonly number[]
}

/** The state tensor of counters and ages, i32 [2, models]; a counter of -1 is that of a network that is not drawn yet. */
const countersName = 'pool.counters'
const momentKey = (name: string): string => `moment:${name}`

/** What a fresh pool is brought to before the first step, and how far that is. */
export interface WarmUp {
  readonly done: number
  readonly total: number
}

/** Owns programs and the loss of the last inner step; the networks are in the run's state. */
export class PoolNetworks {
  /** Tensors that a run keeps for the pool, by name. */
  readonly declared: Readonly<Record<string, TensorDeclaration>>
  readonly plans: Readonly<Record<'train' | 'renew', Plan>>
  readonly #pool: PoolSettings
  readonly #key: Key
  readonly #train: BoundProgram
  readonly #renew: BoundProgram
  readonly #own: Readonly<Record<'key' | 'counter' | 'innerLoss', DeviceArray>>
  #schedule: PoolSchedule

  constructor(device: Device, shape: PoolShape, key: Key) {
    const { network, pool } = shape
    this.#pool = pool
    this.#key = key
    this.declared = declaredTensors(network, pool)
    const draws = fold(key, 'pool-networks')
    const made = allOrNothing((own) => ({
      train: own(trainProgram(device, shape)),
      renew: own(renewProgram(device, shape)),
      own: ownArrays(own, device, draws),
    }))
    this.#train = made.train
    this.#renew = made.renew
    this.#own = made.own
    this.plans = { train: made.train.plan, renew: made.renew.plan }
    const { models } = pool
    this.#schedule = new PoolSchedule(pool, new Int32Array(models).fill(-1), new Int32Array(models))
  }

  /** Counters now, by network. */
  get schedule(): PoolSchedule {
    return this.#schedule
  }

  /** Operations of `warmUp` on a fresh pool. */
  get warmUpFlops(): number {
    return this.#pool.start === 'trained' ? this.plans.train.flops * initialSteps(this.#key, this.#pool).reduce((sum, n) => sum + n, 0) : 0
  }

  /** Takes over counters and ages as they are on the device. */
  async load(state: IterationState): Promise<void> {
    const values = (await state[countersName].read()) as Int32Array
    const { models } = this.#pool
    this.#schedule = new PoolSchedule(this.#pool, values.subarray(0, models), values.subarray(models))
  }

  /**
   * Draws the networks of a fresh pool and trains each for its steps; goes on where an earlier call was cut off. `look` hears how far it is
   * now and then, with the state as it is then, and ends it by false.
   */
  async warmUp(state: IterationState, look: (warmUp: WarmUp) => Promise<boolean>, signal?: AbortSignal): Promise<void> {
    const { counters, ages } = this.#schedule
    const wanted = initialSteps(this.#key, this.#pool)
    const trained = this.#pool.start === 'trained'
    const total = trained ? wanted.reduce((sum, steps) => sum + steps, 0) : 0
    for (const [network, steps] of wanted.entries()) {
      if (counters[network] < 0) {
        await this.#draw(state, network, network, signal)
        counters[network] = trained ? 0 : steps
      }
      while (counters[network] < steps) {
        await this.#train.run({ ...this.#own, ...state }, { startStep: network, ...(signal && { signal }) })
        counters[network]++
        ages[network]++
        await this.#keep(state)
        if (!(await look({ done: ages.reduce((sum, age) => sum + age, 0), total }))) return
      }
    }
    await this.#keep(state)
  }

  /** After an outer step with `network`: trains it once on images and targets as they are in `state`, or draws it anew. */
  async visit(state: IterationState, { network, step }: { readonly network: number; readonly step: number }, signal?: AbortSignal) {
    const visit = this.#schedule.visit(network)
    // draws of the warm-up have the first counters
    const run =
      visit === 'renew'
        ? this.#draw(state, network, this.#pool.models + step, signal)
        : this.#train.run({ ...this.#own, ...state }, { startStep: network, ...(signal && { signal }) })
    await Promise.all([run, this.#keep(state)])
  }

  async #draw(state: IterationState, network: number, counter: number, signal?: AbortSignal): Promise<void> {
    const written = this.#own.counter.write(Uint32Array.of(counter))
    await Promise.all([written, this.#renew.run({ ...this.#own, ...state }, { startStep: network, ...(signal && { signal }) })])
  }

  #keep(state: IterationState): Promise<void> {
    const { counters, ages } = this.#schedule
    const both = new Int32Array(counters.length + ages.length)
    both.set(counters)
    both.set(ages, counters.length)
    return state[countersName].write(both)
  }

  dispose(): void {
    this.#train.dispose()
    this.#renew.dispose()
    for (const array of Object.values(this.#own)) array.dispose()
  }
}

function declaredTensors(network: Network, pool: PoolSettings): Record<string, TensorDeclaration> {
  const { models } = pool
  const counters = { dtype: 'i32' as const, shape: [2, models], start: new Int32Array(2 * models).fill(-1, 0, models) }
  const slots = Object.entries(memberShapes(network, pool)).map(([name, shape]) => [name, { shape: [models, ...shape] }])
  return { ...Object.fromEntries(slots), [countersName]: counters }
}

/** Shapes of one network's tensors, by their names in state and programs. */
function memberShapes(network: Network, { optimiser }: PoolSettings): Shapes {
  const moments = Object.entries(momentShapes(network, optimiser)).map(([name, shape]) => [momentKey(name), shape])
  return {
    ...Object.fromEntries(Object.entries(networkInputs(network)).map(([name, { shape }]) => [name, shape])),
    ...Object.fromEntries(moments),
  }
}

const slotsOf = ({ models }: PoolSettings) => ({ count: models, mul: 1, add: 0 })

/** Inputs of a program that reads the network of a slot, the number of the replay. */
export function frozenInputs(network: Network, pool: PoolSettings): Record<string, NamedInput> {
  const slots = slotsOf(pool)
  return Object.fromEntries(Object.entries(networkInputs(network)).map(([name, input]) => [name, { ...input, slots }]))
}

const momentsOf = (network: Network, { optimiser }: PoolSettings, values: Values): Moments =>
  Object.fromEntries(Object.keys(momentShapes(network, optimiser)).map((name) => [name, values[momentKey(name)]]))

const momentsAsOutputs = (moments: Moments): Record<string, Value> =>
  Object.fromEntries(Object.entries(moments).map(([name, value]) => [momentKey(name), value]))

function trainProgram(device: Device, { network, pool, images, targets }: PoolShape): BoundProgram {
  const slots = slotsOf(pool)
  const shapes = memberShapes(network, pool)
  const names = Object.keys(shapes)
  return bindProgram<string, string>(device, {
    inputs: {
      ...Object.fromEntries(names.map((name) => [name, { shape: shapes[name], slots }])),
      images: { shape: images },
      targets: { shape: targets },
    },
    outputs: { ...Object.fromEntries(names.map((name) => [name, { donate: name, slots }])), innerLoss: {} },
    build(v) {
      const member = { parameters: parametersOf(network, v), state: stateOf(network, v), moments: momentsOf(network, pool, v) }
      const { parameters, state, moments, loss } = innerStep(network, member, { images: v.images, targets: v.targets }, pool)
      return { ...parametersAsOutputs(parameters), ...stateAsOutputs(state), ...momentsAsOutputs(moments), innerLoss: loss }
    },
  })
}

/** Draws the network of a slot by `counter`, with running statistics and moments of a fresh one. */
function renewProgram(device: Device, { network, pool }: PoolShape): BoundProgram {
  const slots = slotsOf(pool)
  const moments = momentShapes(network, pool.optimiser)
  return bindProgram<string, string>(device, {
    inputs: { key: { shape: [2], dtype: 'u32' }, counter: { shape: [1], dtype: 'u32' } },
    outputs: Object.fromEntries(Object.keys(memberShapes(network, pool)).map((name) => [name, { slots }])),
    build: (v) => ({
      ...parametersAsOutputs(initialize(network, { key: v.key, counter: v.counter })),
      ...stateAsOutputs(initialState(network)),
      ...momentsAsOutputs(Object.fromEntries(Object.entries(moments).map(([name, shape]) => [name, full(shape, 0)]))),
    }),
  })
}

const ownArrays = (own: Own, device: Device, key: Key) => ({
  key: own(device.array('u32', [2], Uint32Array.from(key))),
  counter: own(device.array('u32', [1])),
  innerLoss: own(device.array('f32', [])),
})
