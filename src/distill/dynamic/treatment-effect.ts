/**
 * @file How much each real sample moves the gradient of the synthetic pixels (BiLP, arXiv 2305.18381): ITE_i = dL(B)/dS - dL(B \ {i})/dS.
 * A loss that sees the real side through class means F = mean_i f_i alone gives it from one pass: F without i is F - (f_i - F) / (n - 1), so
 *
 *     ITE_i = H (f_i - F) / (n - 1),   H = d^2 L / dS dF,
 *
 * to first order, and exactly when dL/dS is linear in F, as for squared distances of means. Its length is estimated along random
 * directions u of the pixels: <u, ITE_i> = <H'u, f_i - F> / (n - 1), and H'u serves all samples at once.
 */
import {
  add,
  addAll,
  broadcast,
  div,
  grad,
  matmul,
  maximum,
  mul,
  reshape,
  stopGradient,
  sub,
  sum,
  transpose,
  type Value,
} from '../../engine/index.js'
import { applyTo, classMeans } from '../matching/class-means.js'
import type { ClassBatch, LossContext, LossMethod } from '../method.js'
import type { MethodOptions } from '../method-options.js'

/** Synthetic images that the directions move: one of every class for each direction. */
export interface Probes {
  /** f32 [probes * classes, H, W, C]: image c of probe p in row p * classes + c, as it is in the state. */
  readonly pixels: Value
  /** The same as the network sees them. */
  readonly batch: ClassBatch
  /** Directions, shaped as `pixels`. */
  readonly directions: Value
}

export interface Effects {
  /** <u_p, ITE_i>, f32 [classes, rows per class, probes]; for a class of one sample 0. */
  readonly along: Value
  /** Features of the real rows, f32 [N, D] each, in the order in which the loss reads them: what `meansOfFeatures` goes on from. */
  readonly features: readonly Value[]
}

/** `context` holds the step's batches: real rows class-major, as many places for every class; synthetic rows `ipc` a class. */
export function treatmentEffects(
  method: LossMethod,
  options: MethodOptions,
  context: LossContext,
  { probes, ipc }: { readonly probes: Probes; readonly ipc: number },
): Effects {
  const { classes, real, synthetic } = context
  const count = probes.pixels.shape[0] / classes
  const repeated = (means: Value): Value => {
    const width = means.shape[1]
    return reshape(broadcast(reshape(means, [1, classes, width]), [count, classes, width]), [count * classes, width])
  }
  const terms: { readonly features: Value; readonly means: Value; readonly repeated: Value }[] = []
  const loss = method.loss(
    {
      ...context,
      means: (_, taps) => {
        const apply = applyTo(context, taps)
        const [ofReal, ofSynthetic, ofProbes] = [real, synthetic, probes.batch].map(apply)
        return (rows) => {
          const features = rows(ofReal)
          const means = classMeans(features, real, classes)
          // Copies for every probe, so that each probe's H'u comes apart.
          const copies = repeated(stopGradient(means))
          terms.push({ features, means, repeated: copies })
          const moved = rows(ofProbes)
          // The class mean as it is, moving with the probed image alone.
          const still = repeated(stopGradient(classMeans(rows(ofSynthetic), synthetic, classes)))
          return [copies, add(still, div(sub(moved, stopGradient(moved)), ipc))]
        }
      },
    },
    options,
  )
  const [gradient] = grad(loss, [probes.pixels])
  const directed = grad(
    sum(mul(gradient, probes.directions)),
    terms.map((term) => term.repeated),
  )
  const perClass = real.classIndex.shape[0] / classes
  const others = reshape(maximum(sub(real.counts, 1), 1), [classes, 1, 1])
  const along = terms.map(({ features, means }, i) => {
    const width = features.shape[1]
    const centred = sub(reshape(features, [classes, perClass, width]), reshape(means, [classes, 1, width]))
    return matmul(centred, transpose(reshape(directed[i], [count, classes, width]), [1, 0, 2]), { transposeB: true })
  })
  return { along: div(addAll(along), others), features: terms.map(({ features }) => features) }
}
