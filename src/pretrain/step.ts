/** @file One step of a pretraining as a program: two views of a batch, the objective and its gradient, LARS, and for BYOL the target network. */
import { type BoundProgram, bindProgram, type NamedInput, type NamedOutput } from '../engine/bound-program.js'
import { add, grad, imageGather, mean, mul, reshape, slice, sqrt, squaredNorm, sub, type Value } from '../engine/index.js'
import type { Device } from '../engine/runtime/device.js'
import type { Network } from '../nn/module.js'
import { larsUpdate } from '../optim/lars.js'
import { normalisedPixels } from '../teachers/own-teacher.js'
import { barlowTwins } from './objectives/barlow-twins.js'
import { byol } from './objectives/byol.js'
import { centred, unitRows } from './objectives/embeddings.js'
import { ntXent } from './objectives/simclr.js'
import { vicreg } from './objectives/vicreg.js'
import { perceptron } from './perceptron.js'
import { lossNumbers, usual } from './recipes.js'
import type { PretrainPlan } from './settings.js'
import { viewSize } from './view-draws.js'
import { augmentedView } from './views.js'

/** Steps whose draws lie on the device at once. */
export const chunkSlots = 16

/** Networks that a training holds: those that the gradient moves, and those that follow them. */
export interface Parts {
  readonly online: Readonly<Record<string, Network>>
  readonly target: Readonly<Record<string, Network>>
}

export function partsOf({ objective, backbone, projector, projectorNorm, predictor }: PretrainPlan): Parts {
  const project = perceptron('projector', backbone.dim, projector, projectorNorm)
  const own = { backbone: backbone.network, projector: project }
  if (objective !== 'byol') return { online: own, target: {} }
  const end = projector[projector.length - 1]
  return { online: { ...own, predictor: perceptron('predictor', end, [...predictor.slice(0, -1), end], true) }, target: own }
}

export type TensorKind = 'parameter' | 'state' | 'velocity' | 'target' | 'target-state'
export const tensorKey = (kind: TensorKind, part: string, name: string): string => `${kind}:${part}/${name}`

/** All tensors that one step hands to the next, by their names in the program, without the group axis. */
export function carriedTensors({ online, target }: Parts): Record<string, readonly number[]> {
  const of = (parts: Readonly<Record<string, Network>>, list: 'parameters' | 'state', kind: TensorKind) =>
    Object.entries(parts).flatMap(([part, network]) =>
      network[list].map(({ name, shape }) => [tensorKey(kind, part, name), shape] as const),
    )
  return Object.fromEntries([
    ...of(online, 'parameters', 'parameter'),
    ...of(online, 'state', 'state'),
    ...of(online, 'parameters', 'velocity'),
    ...of(target, 'parameters', 'target'),
    ...of(target, 'state', 'target-state'),
  ])
}

type Values = Readonly<Record<string, Value>>

/** One network over both views, one after the other: the statistics of batch norm are those of each view. */
class Tower {
  readonly #networks: Readonly<Record<string, Network>>
  readonly #parameters: (part: string, name: string) => Value
  /** Running statistics by part, moved by every view. */
  readonly states: Record<string, Record<string, Value>>

  constructor(
    networks: Readonly<Record<string, Network>>,
    parameters: (part: string, name: string) => Value,
    state: (part: string, name: string) => Value,
  ) {
    this.#networks = networks
    this.#parameters = parameters
    this.states = Object.fromEntries(
      Object.entries(networks).map(([part, network]) => [
        part,
        Object.fromEntries(network.state.map(({ name }) => [name, state(part, name)])),
      ]),
    )
  }

  /** x [1, N, …] -> what `part` gives: the backbone its representations [N, dim], the others rows [N, width]. */
  through(part: string, x: Value): Value {
    const network = this.#networks[part]
    const parameters = Object.fromEntries(network.parameters.map(({ name }) => [name, this.#parameters(part, name)]))
    const applied = network.apply(parameters, x, { mode: 'train', state: this.states[part] })
    this.states[part] = { ...this.states[part], ...applied.state }
    const y = part === 'backbone' ? applied.embedding : applied.logits
    return reshape(y, y.shape.slice(1))
  }

  /** Rows [N, F] through a perceptron. */
  rows(part: string, x: Value): Value {
    return this.through(part, reshape(x, [1, x.shape[0], 1, 1, x.shape[1]]))
  }
}

/** sqrt(mean ||u - mean u||²) of the unit rows u of x [N, D]: 0 when all point one way. */
const spreadOf = (x: Value): Value => sqrt(mean(squaredNorm(centred(unitRows(x)), { axes: [1] })))

/** Slots of `chunkSlots` steps; `images` u8 [samples, H, W, C] stay. */
export function pretrainStep(device: Device, plan: PretrainPlan, samples: number): BoundProgram {
  const { batch, objective, record, weightDecay } = plan
  const parts = partsOf(plan)
  const carried = carriedTensors(parts)
  const slots = { count: chunkSlots }
  const [height, width, channels] = record.image
  const isByol = objective === 'byol'
  const donated = Object.fromEntries(Object.keys(carried).map((name): [string, NamedOutput] => [name, { donate: name }]))
  return bindProgram<string, string>(device, {
    inputs: {
      ...Object.fromEntries(Object.entries(carried).map(([name, shape]): [string, NamedInput] => [name, { shape: [1, ...shape] }])),
      images: { shape: [samples, height, width, channels], dtype: 'u8' },
      scale: { shape: [channels] },
      shift: { shape: [channels] },
      index: { shape: [batch], dtype: 'i32', slots },
      views: { shape: [2, batch, viewSize], slots },
      lr: { shape: [], slots },
      ...(isByol ? { share: { shape: [], slots } } : {}),
    },
    outputs: { ...donated, loss: { slots }, spread: { slots } },
    build(v) {
      const x = imageGather(v.images, v.index, v.scale, v.shift)
      const views = [0, 1].map((k) => viewOf(x, v.views, k, record))
      const online = new Tower(
        parts.online,
        (part, name) => v[tensorKey('parameter', part, name)],
        (part, name) => v[tensorKey('state', part, name)],
      )
      const features = views.map((view) => online.through('backbone', view))
      const z = features.map((rows) => online.rows('projector', rows)) as [Value, Value]
      const target = isByol ? targetTower(parts, v) : undefined
      const loss = target
        ? byol(z.map((rows) => online.rows('predictor', rows)) as [Value, Value], targetProjections(target, views))
        : plainLoss(plan, z)
      const names = Object.keys(carried)
      const next: Record<string, Value> = { loss, spread: spreadOf(features[0]) }
      const trained = names.filter((name) => name.startsWith('parameter:'))
      const gradients = grad(
        loss,
        trained.map((name) => v[name]),
      )
      for (const [i, name] of trained.entries()) {
        const velocity = name.replace('parameter:', 'velocity:')
        const update = larsUpdate(v[name], v[velocity], gradients[i], {
          ...{ lr: v.lr, momentum: usual.momentum, eta: usual.eta, weightDecay, adapt: carried[name].length > 1 },
        })
        next[name] = update.parameter
        next[velocity] = update.velocity
      }
      Object.assign(next, statesOf('state', online), target ? statesOf('target-state', target) : {})
      for (const name of names.filter((one) => one.startsWith('target:'))) {
        const moved = next[name.replace('target:', 'parameter:')]
        next[name] = add(mul(v[name], v.share), mul(moved, sub(1, v.share)))
      }
      return next
    },
  })
}

const statesOf = (kind: TensorKind, { states }: Tower): Values =>
  Object.fromEntries(
    Object.entries(states).flatMap(([part, state]) => Object.entries(state).map(([name, value]) => [tensorKey(kind, part, name), value])),
  )

const targetTower = ({ target }: Parts, v: Values): Tower =>
  new Tower(
    target,
    (part, name) => v[tensorKey('target', part, name)],
    (part, name) => v[tensorKey('target-state', part, name)],
  )

/** No gradient flows into them: `byol` stops it. */
const targetProjections = (target: Tower, views: readonly Value[]): [Value, Value] =>
  views.map((view) => target.rows('projector', target.through('backbone', view))) as [Value, Value]

/** [1, N, H, W, C], normalised. */
function viewOf(x: Value, draws: Value, k: number, { image, mean: means, std }: PretrainPlan['record']): Value {
  const [, n, columns] = draws.shape
  const rows = reshape(slice(draws, [k, 0, 0], [k + 1, n, columns]), [n, columns])
  return reshape(normalisedPixels(augmentedView(x, rows), { mean: means, std }), [1, n, ...image])
}

function plainLoss({ objective, temperature }: PretrainPlan, [z1, z2]: readonly [Value, Value]): Value {
  if (objective === 'simclr') return ntXent(z1, z2, { temperature })
  if (objective === 'vicreg') return vicreg(z1, z2, lossNumbers.vicreg)
  return barlowTwins(z1, z2, lossNumbers.barlowTwins)
}
