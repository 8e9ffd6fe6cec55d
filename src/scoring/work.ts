/** @file How far a scoring is: work counted in images through the forward pass of the network, so that the time left can be told. */
import type { ScoringPlan, ScoringProgress } from './options.js'

/** What an image costs in forward passes: forward and two backward passes, as do gradients of every image alone. */
const costs = { training: 3, outputs: 1, gradients: 3, features: 1 } as const

export type Phase = keyof typeof costs

export class WorkMeter {
  readonly #start = performance.now()
  readonly #total: number
  readonly #plan: ScoringPlan
  readonly #report: ((progress: ScoringProgress) => void) | undefined
  #done = 0
  #images = 0

  constructor(plan: ScoringPlan, images: number, report: ((progress: ScoringProgress) => void) | undefined) {
    this.#plan = plan
    this.#report = report
    const ofRun = plan.epochs * (WorkMeter.#training(plan) + costs.outputs) + (plan.kinds.includes('grand') ? costs.gradients : 0)
    this.#total = images * (plan.runs * ofRun + (plan.features ? costs.features : 0))
  }

  static #training = ({ weights }: ScoringPlan): number => (weights ? 0 : costs.training)

  /** What a continuation finds done: nothing of it was computed by this process. */
  skip(phase: Phase, images: number): void {
    if (phase !== 'training' || !this.#plan.weights) this.#done += costs[phase] * images
  }

  /** `images` more have been through `phase`. */
  add(phase: Phase, images: number, at: Pick<ScoringProgress, 'run' | 'epoch' | 'loss'>): void {
    this.skip(phase, images)
    this.#images += images
    const { runs, epochs } = this.#plan
    this.#report?.({
      ...{ done: Math.min(1, this.#done / this.#total), runs, phase, images: this.#images, ...at },
      ...(at.epoch !== undefined && { epochs }),
      seconds: (performance.now() - this.#start) / 1000,
    })
  }
}
