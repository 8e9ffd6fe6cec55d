/**
 * @file One training step of an expert by GSAM (adaptive, rho 0.01, alpha 0.3) at the shapes of `expert`, and in turn with it the plain step without
 * momentum: the report has both in milliseconds, and their ratio. Value: the loss.
 */
import { timeInTurns } from '../lib/turns.mjs'
import { expertTrainer } from './expert.mjs'

const rule = { momentum: 0, weightDecay: 0 }
const kinds = { sgd: {}, gsam: { gsam: { rho: 0.01, alpha: 0.3, adaptive: true } } }

export function prepare(device) {
  const turns = timeInTurns(Object.entries(kinds).map(([name, options]) => [name, expertTrainer(device, { rule, ...options })]))
  return {
    ...turns,
    report() {
      const { sgd, gsam } = turns.medians()
      return { sgd_ms: sgd, gsam_ms: gsam, of_sgd: Number((gsam / sgd).toPrecision(4)) }
    },
  }
}
