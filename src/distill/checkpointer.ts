/** @file When a run's state is saved: every so many steps, or by time so that saving costs next to nothing. Saving happens beside the steps. */
import { expected } from '../errors.js'
import type { CheckpointStore } from '../experiment/types.js'
import { checkFinite } from './divergence.js'
import type { StateValues } from './state.js'

/** A kill soon after the start costs this much at most. */
const firstSeconds = 15
/** By time: never more often than this, and so that saving takes at most `share` of the time. */
const leastSeconds = 30
const share = 0.01

export interface CheckpointerOptions {
  readonly store: CheckpointStore | undefined
  /** Steps between checkpoints; undefined: by time. */
  readonly every: number | undefined
  /** Takes the state as it is when called; runs that are submitted afterwards do not change what it resolves to. */
  readonly capture: () => Promise<StateValues>
  /** What a checkpoint holds beside the state. */
  readonly about: () => Omit<Parameters<CheckpointStore['save']>[0], 'tensors' | 'counters'>
  /** Seconds of a clock that never goes back. */
  readonly now: () => number
}

/** Throws `invalid_option` unless checkpoints can be that many steps apart. */
export function checkEvery(every: number | undefined): void {
  if (every !== undefined && !(Number.isSafeInteger(every) && every >= 1)) {
    throw expected('invalid_option', 'checkpointEvery', 'a whole number >= 1', every)
  }
}

export class Checkpointer {
  readonly #options: CheckpointerOptions
  #saving: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined
  #saved: number
  /** Whether the newest checkpoint was passed on the way to where the run is now. */
  #onTheWay = true
  #due: number

  /** `step`: the one that the run starts from, which needs no saving. */
  constructor(options: CheckpointerOptions, step: number) {
    this.#options = options
    this.#saved = step
    this.#due = options.now() + firstSeconds
  }

  /** Steps that may be run before the next look. */
  room(step: number): number {
    const { every, store } = this.#options
    return store && every !== undefined ? every - (step % every) : Number.POSITIVE_INFINITY
  }

  /** The step of the newest checkpoint, or where the run started; undefined when nothing is kept. */
  get saved(): number | undefined {
    return this.#options.store && this.#saved
  }

  /** Looks after each piece of work whether the state is to be saved, and starts it. Throws what went wrong with the save before. */
  async look(step: number): Promise<void> {
    const { store, every, now } = this.#options
    this.#throwFailure()
    if (!store) return
    const due = every !== undefined ? step % every === 0 : !this.#saving && now() >= this.#due
    if (due) await this.#begin(step, store)
  }

  /** Looks during work that changes the state and ends no step: the state is saved by time alone. */
  async lookWithin(step: number): Promise<void> {
    const { store, now } = this.#options
    this.#throwFailure()
    if (!store) return
    // what was saved is no longer where the run is
    this.#onTheWay = false
    if (!this.#saving && now() >= this.#due) await this.#begin(step, store)
  }

  /** Waits for the save at hand, saves `step` unless it is saved, and returns when it is durable. Throws what went wrong. */
  async finish(step: number): Promise<void> {
    await this.#saving
    this.#throwFailure()
    const { store } = this.#options
    if (!store || (this.#onTheWay && this.#saved === step)) return
    await this.#begin(step, store)
    await this.#saving
    this.#throwFailure()
  }

  /** Waits for the save at hand whatever becomes of it: the run ends or goes back to an earlier step. */
  async settle(): Promise<void> {
    await this.#saving
    this.#failure = undefined
    this.#onTheWay = false
  }

  async #begin(step: number, store: CheckpointStore): Promise<void> {
    // one at a time: more often than it can be written the run waits for the disk
    await this.#saving
    this.#throwFailure()
    this.#saving = this.#save(step, store, this.#options.capture()).then(
      () => {
        this.#saving = undefined
      },
      (error) => {
        this.#saving = undefined
        this.#failure = { error }
      },
    )
  }

  async #save(step: number, store: CheckpointStore, captured: Promise<StateValues>): Promise<void> {
    const about = this.#options.about()
    const { now } = this.#options
    const { tensors, counters } = await captured
    const start = now()
    await checkFinite(tensors, step)
    await store.save({ ...about, counters, tensors })
    this.#saved = step
    this.#onTheWay = true
    this.#due = now() + Math.max(leastSeconds, (now() - start) / share)
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error
  }
}
