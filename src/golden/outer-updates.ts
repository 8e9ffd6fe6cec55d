/** @file Replays of outer updates of trajectory matching: SGD with momentum on pixels, label logits and learning rate, behind the gate. */
import { type OuterState, outerUpdate } from '../distill/trajectory/outer-update.js'
import { type GoldenCase, readArray } from './case-file.js'
import { type Check, CheckList } from './compare.js'
import type { GoldenEngine } from './engines.js'
import { fieldAt, listAt, numberAt, scalarTensor } from './fields.js'
import type { GoldenNetwork } from './network.js'
import type { GoldenTensor } from './tensor.js'
import { networkOf, splitFlat } from './trajectory.js'
import { named, type SyntheticState, toNchw, toNhwc, Unroll } from './unroll.js'

export const isOuterUpdates = (golden: GoldenCase): boolean =>
  ['trajectory', 'images_after0'].every((name) => golden.arrayNames.includes(name))

/** Outer updates one after the other; the displacement of what they move is compared, not its value. */
export async function replayOuterUpdates(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const checks = new CheckList(engine.name)
  const images = readArray(golden, 'images')
  const net = networkOf(golden, images)
  const begin: SyntheticState = { images: toNhwc(images), labelLogits: readArray(golden, 'label_logits'), lr: readArray(golden, 'lr') }
  const zeros = ({ shape, data }: GoldenTensor): GoldenTensor => ({ shape, data: new Float64Array(data.length) })
  let state: Record<string, GoldenTensor> = { ...begin }
  for (const name of Object.keys(begin)) state[`velocity.${name}`] = zeros(state[name])
  for (const [i] of listAt(golden, 'meta', 'iterations').entries()) {
    const { gradients, loss } = await gradientsAt(golden, engine, net, state as unknown as SyntheticState, i)
    checks.add(`iterations.${i}.loss`, 'trajectory', scalarTensor(loss), scalarTensor(numberAt(golden, 'meta', 'iterations', i, 'loss')))
    const { applied, ...next } = await updateAt(golden, engine, { state, gradients, loss })
    const wanted = fieldAt(golden, 'meta', 'iterations', i, 'applied') === true
    checks.add(`iterations.${i}.applied`, 'exact', applied, scalarTensor(Number(wanted)))
    state = next
    if (golden.arrayNames.includes(`images_after${i}`)) checkMoved(checks, golden, i, begin, state as unknown as SyntheticState)
  }
  return checks.checks
}

async function gradientsAt(golden: GoldenCase, engine: GoldenEngine, net: GoldenNetwork, set: SyntheticState, iteration: number) {
  const trajectory = readArray(golden, 'trajectory')
  const size = trajectory.shape[1]
  const at = (name: string) => numberAt(golden, 'meta', 'iterations', iteration, name)
  const epoch = (e: number) => splitFlat(net, { shape: [size], data: trajectory.data.slice(e * size, (e + 1) * size) })
  const batches = listAt(golden, 'meta', 'iterations', iteration, 'batches') as readonly (readonly number[])[]
  const segment = { start: epoch(at('start_epoch')), target: epoch(at('target_epoch')), batches }
  const unroll = new Unroll(engine, net, { set, segment })
  const { thetas } = await unroll.forward()
  const mask = { mode: 'depth', alpha: numberAt(golden, 'meta', 'hyper', 'alpha') } as const
  const { images, labelLogits, lr, loss } = await unroll.gradients(thetas, mask, 'exact')
  return { loss, gradients: { images, labelLogits: labelLogits as GoldenTensor, lr } }
}

function updateAt(
  golden: GoldenCase,
  engine: GoldenEngine,
  { state, gradients, loss }: { state: Record<string, GoldenTensor>; gradients: SyntheticState; loss: number },
): Promise<Record<string, GoldenTensor>> {
  const hyper = (name: string) => scalarTensor(numberAt(golden, 'meta', 'hyper', name))
  const rates = {
    imageLr: hyper('lr_img'),
    imageMomentum: hyper('mom_img'),
    labelLr: hyper('lr_y'),
    labelMomentum: hyper('mom_y'),
    lrLr: hyper('lr_lr'),
    lrMomentum: hyper('mom_lr'),
  }
  const threshold = numberAt(golden, 'meta', 'threshold')
  const inputs = { ...state, ...named('gradient.', { ...gradients }), ...named('rate.', rates), loss: scalarTensor(loss) }
  return engine.run((v) => {
    const before: OuterState = {
      images: v.images,
      velocity: v['velocity.images'],
      labels: { logits: v.labelLogits, velocity: v['velocity.labelLogits'] },
      learningRate: v.lr,
      lrVelocity: v['velocity.lr'],
    }
    const steps = { images: v['gradient.images'], labels: v['gradient.labelLogits'], lr: v['gradient.lr'] }
    const rate = (name: keyof typeof rates) => v[`rate.${name}`]
    const all = {
      ...{ imageLr: rate('imageLr'), imageMomentum: rate('imageMomentum'), labelLr: rate('labelLr') },
      ...{ labelMomentum: rate('labelMomentum'), lrLr: rate('lrLr'), lrMomentum: rate('lrMomentum') },
    }
    const next = outerUpdate(before, v.loss, steps, { ...all, threshold, emaDecay: null })
    return {
      images: next.images,
      labelLogits: (next.labels as NonNullable<OuterState['labels']>).logits,
      lr: next.learningRate,
      'velocity.images': next.velocity,
      'velocity.labelLogits': (next.labels as NonNullable<OuterState['labels']>).velocity,
      'velocity.lr': next.lrVelocity,
      applied: next.applied,
    }
  }, inputs)
}

function checkMoved(checks: CheckList, golden: GoldenCase, iteration: number, begin: SyntheticState, state: SyntheticState): void {
  const moved = (after: GoldenTensor, before: GoldenTensor) => ({ shape: after.shape, data: after.data.map((x, i) => x - before.data[i]) })
  const expected = (name: string) => moved(readArray(golden, `${name}_after${iteration}`), readArray(golden, name))
  const compare = (name: string, actual: GoldenTensor) => checks.add(`${name}_after${iteration}`, 'trajectory', actual, expected(name))
  compare('images', toNchw(moved(state.images, begin.images)))
  compare('label_logits', moved(state.labelLogits, begin.labelLogits))
  compare('lr', moved(state.lr, begin.lr))
}
