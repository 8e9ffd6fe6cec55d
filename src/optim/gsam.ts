/** @file GSAM, sharpness-aware minimisation guided by the surrogate gap (arXiv 2203.08065), traced into the step: what FTD, DATM and PAD train experts with. */
import { checkOptions } from '../arguments.js'
import { add, addAll, div, mul, reshape, sqrt, squaredNorm, sub, sum, type Value } from '../engine/index.js'
import { expected } from '../errors.js'

export interface GsamOptions {
  /** Radius of the perturbation, >= 0; 0 is plain gradient descent whatever `alpha`. FTD, DATM and PAD: 0.01. */
  readonly rho: number
  /** Weight of the part of the gradient that is orthogonal to the perturbed one, >= 0; 0 is SAM. DATM and PAD: 0.3. */
  readonly alpha: number
  /** Whether the perturbation of each weight scales with the weight itself. FTD, DATM and PAD: true. */
  readonly adaptive: boolean
}

export interface GsamGradient {
  /** What takes the place of the gradient in the update, in the order of the parameters. */
  readonly gradients: readonly Value[]
  /** Gradient at the parameters. */
  readonly clean: readonly Value[]
  /** What is added to the parameters, and the gradient there; absent where rho is 0. */
  readonly perturbation?: readonly Value[]
  readonly perturbed?: readonly Value[]
}

/** Added to norms that are divided by, as in the authors' code. */
const eps = 1e-12

/** Throws `invalid_option` unless every option is one. */
export function checkGsam(what: string, options: GsamOptions): GsamOptions {
  checkOptions<GsamOptions>(what, options, { rho: true, alpha: true, adaptive: true })
  const { rho, alpha, adaptive } = options
  for (const [name, value] of Object.entries({ rho, alpha }))
    if (typeof value !== 'number' || !Number.isFinite(value) || value < 0)
      throw expected('invalid_option', `${what}: ${name}`, 'a number >= 0', value)
  if (typeof adaptive !== 'boolean') throw expected('invalid_option', `${what}: adaptive`, 'true or false', adaptive)
  return { rho, alpha, adaptive }
}

/**
 * The gradient of one GSAM step of G networks: parameters [G, ...] each, norms and products over all parameters of each network.
 * `gradientsAt` gives the gradients of the loss at other parameters, of the same batch under the same draws; it is called twice, or once
 * where rho is 0: then the graph is that of gradient descent, to the bit.
 *
 *     n = || |w| g1 ||,  e = rho w² g1 / (n + eps)      adaptive;  else n = ||g1||, e = rho g1 / (n + eps)
 *     g2 = gradient at w + e,  c = <g1, g2> / (|g1| |g2| + eps)
 *     g  = g2 - alpha (g1 - c |g1| g2 / (|g2| + eps))
 */
export function gsamGradient(
  parameters: readonly Value[],
  gradientsAt: (parameters: readonly Value[]) => readonly Value[],
  { rho, alpha, adaptive }: GsamOptions,
): GsamGradient {
  const clean = gradientsAt(parameters)
  if (rho === 0) return { gradients: clean, clean }
  const scaled = adaptive ? clean.map((g, i) => mul(parameters[i], g)) : clean
  const radius = div(rho, add(normOf(scaled), eps))
  const perturbation = scaled.map((g, i) => mul(adaptive ? mul(parameters[i], g) : g, spread(radius, g)))
  const perturbed = gradientsAt(parameters.map((w, i) => add(w, perturbation[i])))
  if (alpha === 0) return { gradients: perturbed, clean, perturbation, perturbed }
  const [norm1, norm2] = [normOf(clean), normOf(perturbed)]
  const product = addAll(clean.map((g, i) => perNetwork(mul(g, perturbed[i]))))
  const cosine = div(product, add(mul(norm1, norm2), eps))
  const along = div(mul(cosine, norm1), add(norm2, eps))
  const gradients = perturbed.map((g2, i) => sub(g2, mul(sub(clean[i], mul(g2, spread(along, g2))), alpha)))
  return { gradients, clean, perturbation, perturbed }
}

const axesOf = ({ shape }: Value): number[] => shape.slice(1).map((_, i) => i + 1)
/** [G, ...] -> [G] */
const perNetwork = (x: Value): Value => sum(x, { axes: axesOf(x) })
/** Euclidean norm over all tensors of each network, [G]. */
const normOf = (tensors: readonly Value[]): Value => sqrt(addAll(tensors.map((x) => squaredNorm(x, { axes: axesOf(x) }))))
/** A number for each network against a tensor of theirs. */
const spread = (x: Value, tensor: Value): Value => reshape(x, [x.shape[0], ...axesOf(tensor).map(() => 1)])
