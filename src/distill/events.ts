/** @file Events of a run for one or more readers: bounded, and a slow reader loses steps, never the start or the end. */
import type { RunEvent } from '../experiment/types.js'

const capacity = 256

/**
 * Pushed to by the loop, read with `for await`. The first reader sees everything from the start, however late it comes; each further one
 * the start and what happens from then on.
 */
export class EventStream implements AsyncIterable<RunEvent> {
  readonly #readers = new Set<Reader>()
  /** Keeps the events of the time before anyone reads; handed to the first reader. */
  #waiting: Reader | undefined
  #start: RunEvent | undefined
  #end: { readonly last?: RunEvent; readonly error?: unknown } | undefined

  constructor() {
    this.#waiting = this.#addReader()
  }

  push(event: RunEvent): void {
    if (event.type === 'start') this.#start = event
    for (const reader of this.#readers) reader.push(event)
  }

  /** Ends the stream, with `last` as the final event or with an error that readers see as a rejection. */
  end(end: { readonly last?: RunEvent; readonly error?: unknown }): void {
    this.#end = end
    for (const reader of this.#readers) reader.end(end)
  }

  [Symbol.asyncIterator](): AsyncIterator<RunEvent> {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting) return waiting
    const reader = this.#addReader()
    if (this.#start) reader.push(this.#start)
    if (this.#end) reader.end(this.#end)
    return reader
  }

  #addReader(): Reader {
    const reader = new Reader(() => this.#readers.delete(reader))
    this.#readers.add(reader)
    return reader
  }
}

class Reader implements AsyncIterator<RunEvent> {
  readonly #queue: RunEvent[] = []
  readonly #onReturn: () => void
  #end: { readonly error?: unknown } | undefined
  #wake: (() => void) | undefined

  constructor(onReturn: () => void) {
    this.#onReturn = onReturn
  }

  push(event: RunEvent): void {
    if (this.#queue.length >= capacity) {
      const oldestStep = this.#queue.findIndex((queued) => queued.type === 'step')
      if (oldestStep >= 0) this.#queue.splice(oldestStep, 1)
    }
    this.#queue.push(event)
    this.#wake?.()
  }

  end(end: { readonly last?: RunEvent; readonly error?: unknown }): void {
    if (end.last) this.push(end.last)
    this.#end = end
    this.#wake?.()
  }

  async next(): Promise<IteratorResult<RunEvent>> {
    while (this.#queue.length === 0) {
      if (this.#end) {
        this.#onReturn()
        if (this.#end.error !== undefined) {
          const { error } = this.#end
          this.#end = {}
          throw error
        }
        return { done: true, value: undefined }
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = undefined
    }
    return { done: false, value: this.#queue.shift()! }
  }

  async return(): Promise<IteratorResult<RunEvent>> {
    this.#onReturn()
    return { done: true, value: undefined }
  }
}
