/** @file Offsets for buffers with known lifetimes in one arena. Pure; no two buffers alive at one time share a byte. */

export const alignment = 64
export const align = (bytes: number): number => Math.ceil(bytes / alignment) * alignment

/** A buffer of `bytes`, alive from time `first` to time `last`, both included. */
export interface Lifetime {
  readonly bytes: number
  readonly first: number
  readonly last: number
}

export interface MemoryPlan {
  /** Per lifetime, a multiple of 64. */
  readonly offsets: readonly number[]
  readonly peakBytes: number
}

interface Hole {
  offset: number
  bytes: number
}

/** Free space below the top of the arena: holes by offset, merged when they touch. */
class FreeSpace {
  private readonly holes: Hole[] = []
  top = 0

  take(bytes: number): number {
    let best = -1
    for (let i = 0; i < this.holes.length; i++) {
      if (this.holes[i].bytes >= bytes && (best < 0 || this.holes[i].bytes < this.holes[best].bytes)) best = i
    }
    if (best >= 0) {
      const hole = this.holes[best]
      const { offset } = hole
      hole.offset += bytes
      hole.bytes -= bytes
      if (hole.bytes === 0) this.holes.splice(best, 1)
      return offset
    }
    const last = this.holes.at(-1)
    const touchesTop = last !== undefined && last.offset + last.bytes === this.top
    const offset = touchesTop ? last.offset : this.top
    if (touchesTop) this.holes.pop()
    this.top = offset + bytes
    return offset
  }

  give(offset: number, bytes: number): void {
    let low = 0
    for (let high = this.holes.length; low < high; ) {
      const middle = (low + high) >> 1
      if (this.holes[middle].offset < offset) low = middle + 1
      else high = middle
    }
    this.holes.splice(low, 0, { offset, bytes })
    this.mergeWithNext(low)
    if (low > 0) this.mergeWithNext(low - 1)
  }

  private mergeWithNext(i: number): void {
    const next = this.holes[i + 1]
    if (next === undefined || this.holes[i].offset + this.holes[i].bytes !== next.offset) return
    this.holes[i].bytes += next.bytes
    this.holes.splice(i + 1, 1)
  }
}

/** Best fit over the events in time order: a buffer takes the smallest hole that holds it. */
function bestFit(lifetimes: readonly Lifetime[]): MemoryPlan {
  const opens = lifetimes
    .map((_, i) => i)
    .sort((a, b) => lifetimes[a].first - lifetimes[b].first || lifetimes[b].bytes - lifetimes[a].bytes || a - b)
  const closes = lifetimes.map((_, i) => i).sort((a, b) => lifetimes[a].last - lifetimes[b].last || a - b)
  const offsets = new Array<number>(lifetimes.length).fill(0)
  const free = new FreeSpace()
  let closed = 0
  for (const i of opens) {
    for (; lifetimes[closes[closed]].last < lifetimes[i].first; closed++) {
      const done = closes[closed]
      if (lifetimes[done].bytes > 0) free.give(offsets[done], align(lifetimes[done].bytes))
    }
    if (lifetimes[i].bytes > 0) offsets[i] = free.take(align(lifetimes[i].bytes))
  }
  return { offsets, peakBytes: free.top }
}

/** Large buffers first, each at the lowest place free over its whole life: often tighter, quadratic, so only for short lists. */
function largestFirst(lifetimes: readonly Lifetime[]): MemoryPlan {
  const order = lifetimes
    .map((_, i) => i)
    .sort((a, b) => lifetimes[b].bytes - lifetimes[a].bytes || lifetimes[a].first - lifetimes[b].first || a - b)
  const offsets = new Array<number>(lifetimes.length).fill(0)
  const placed: number[] = [] // sorted by offset
  let peakBytes = 0
  for (const i of order) {
    const { bytes, first, last } = lifetimes[i]
    if (bytes === 0) continue
    const size = align(bytes)
    let offset = 0
    for (const j of placed) {
      const other = lifetimes[j]
      if (other.first > last || other.last < first) continue
      if (offsets[j] - offset >= size) break
      offset = Math.max(offset, offsets[j] + align(other.bytes))
    }
    offsets[i] = offset
    peakBytes = Math.max(peakBytes, offset + size)
    const at = placed.findIndex((j) => offsets[j] > offset)
    placed.splice(at < 0 ? placed.length : at, 0, i)
  }
  return { offsets, peakBytes }
}

const quadraticLimit = 1500

/** Offsets of all buffers; the tighter of two heuristics. */
export function planMemory(lifetimes: readonly Lifetime[]): MemoryPlan {
  const events = bestFit(lifetimes)
  if (lifetimes.length > quadraticLimit) return events
  const sized = largestFirst(lifetimes)
  return sized.peakBytes < events.peakBytes ? sized : events
}
