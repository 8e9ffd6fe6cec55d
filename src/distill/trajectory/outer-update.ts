/** @file The update of pixels, label logits and learning rate after a sweep: SGD with momentum behind a gate, and FTD's average of the images. */
import {
  add,
  addAll,
  equal,
  greater,
  greaterEqual,
  isFiniteMask,
  mul,
  type Operand,
  select,
  squaredNorm,
  sub,
  type Value,
} from '../../engine/index.js'
import { sgdUpdate } from '../../optim/sgd.js'

/** Settings of the update, as constants or as values that the program reads. */
export interface OuterRates {
  readonly imageLr: Operand
  readonly imageMomentum: Operand
  readonly labelLr: Operand
  readonly labelMomentum: Operand
  readonly lrLr: Operand
  readonly lrMomentum: Operand
  /** A loss above it changes nothing; null = no gate. */
  readonly threshold: number | null
  /** d of ema = d ema + (1 - d) X; null = no average. */
  readonly emaDecay: number | null
}

/** All that one iteration hands to the next. */
export interface OuterState {
  readonly images: Value
  readonly velocity: Value
  /** Where labels are learned. */
  readonly labels?: { readonly logits: Value; readonly velocity: Value }
  /** f32 [] */
  readonly learningRate: Value
  readonly lrVelocity: Value
  readonly ema?: Value
}

export interface OuterUpdate extends OuterState {
  /** The loss as it was given; not finite either where it would have been followed but a gradient is not finite, f32 []. */
  readonly loss: Value
  /** 1 where the step was taken, 0 where the gate was shut, f32 []. */
  readonly applied: Value
  /** 1 where the learning rate would have become 0 or less and was kept, f32 []. */
  readonly guarded: Value
}

/**
 * One step down `gradients`. A loss that is not finite or above the threshold changes nothing, momenta and average included, nor does a
 * gradient of pixels or labels that is not finite: a student that ran away may still end at a finite distance. A learning rate
 * that would become 0 or less, or no number, keeps its value, and its momentum is cleared.
 */
export function outerUpdate(
  state: OuterState,
  loss: Value,
  gradients: { readonly images: Value; readonly labels?: Value; readonly lr: Value },
  rates: OuterRates,
): OuterUpdate {
  const finite = isFiniteMask(loss)
  const open = rates.threshold === null ? finite : mul(finite, greaterEqual(rates.threshold, loss))
  const norm = addAll([gradients.images, ...(gradients.labels ? [gradients.labels] : [])].map((g) => squaredNorm(g)))
  const applied = mul(open, isFiniteMask(norm))
  const gated = (next: Value, before: Value) => select(applied, next, before)
  const image = sgdUpdate(state.images, state.velocity, gradients.images, { lr: rates.imageLr, momentum: rates.imageMomentum })
  const images = gated(image.parameter, state.images)
  const rate = sgdUpdate(state.learningRate, state.lrVelocity, gradients.lr, { lr: rates.lrLr, momentum: rates.lrMomentum })
  const sound = greater(rate.parameter, 0)
  return {
    images,
    velocity: gated(image.velocity, state.velocity),
    ...labelUpdate(state, gradients.labels, rates, gated),
    learningRate: gated(select(sound, rate.parameter, state.learningRate), state.learningRate),
    lrVelocity: gated(select(sound, rate.velocity, 0), state.lrVelocity),
    ...(state.ema && rates.emaDecay !== null && { ema: gated(averaged(state.ema, images, rates.emaDecay), state.ema) }),
    loss: select(greater(open, applied), norm, loss),
    applied,
    guarded: mul(applied, equal(sound, 0)),
  }
}

/** As a step from the average towards the images: where both are equal it stays as it is. */
const averaged = (ema: Value, images: Value, decay: number): Value => add(ema, mul(sub(images, ema), 1 - decay))

function labelUpdate(
  { labels }: OuterState,
  gradient: Value | undefined,
  { labelLr, labelMomentum }: OuterRates,
  gated: (next: Value, before: Value) => Value,
): Pick<OuterState, 'labels'> {
  if (!labels || !gradient) return {}
  const { parameter, velocity } = sgdUpdate(labels.logits, labels.velocity, gradient, { lr: labelLr, momentum: labelMomentum })
  return { labels: { logits: gated(parameter, labels.logits), velocity: gated(velocity, labels.velocity) } }
}
