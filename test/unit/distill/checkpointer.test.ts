/** @file When checkpoints are taken, on a clock of the test's own. */
import { describe, expect, it } from 'vitest'
import { Checkpointer, checkEvery } from '../../../src/distill/checkpointer.js'
import type { Checkpoint } from '../../../src/experiment/types.js'
import { expectError } from '../data/fixtures.js'

const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

function setUp({ every, saveSeconds = 0, from = 0 }: { every?: number; saveSeconds?: number; from?: number } = {}) {
  const clock = { seconds: 0, saves: [] as [seconds: number, step: number][], fail: undefined as Error | undefined }
  const saving: (() => void)[] = []
  let step = from
  const checkpointer = new Checkpointer(
    {
      every,
      now: () => clock.seconds,
      about: () => ({ config: {}, data: { classes: [], mean: [], std: [], flip: true }, plans: {}, seconds: clock.seconds }),
      capture: async () => ({ tensors: {}, counters: { step, rollbacks: 0 } }),
      store: {
        load: async () => undefined,
        async save({ counters }: Checkpoint) {
          clock.saves.push([clock.seconds, counters.step])
          if (saveSeconds === Number.POSITIVE_INFINITY) await new Promise<void>((resolve) => saving.push(resolve))
          else clock.seconds += saveSeconds
          if (clock.fail) throw clock.fail
        },
      },
    },
    from,
  )
  /** Goes on to `until`, one step and one look each `stepSeconds`. */
  const goOn = async (until: number, stepSeconds: number) => {
    while (step < until) {
      clock.seconds += stepSeconds
      step++
      await checkpointer.look(step)
      await nextTurn()
    }
  }
  return { clock, checkpointer, goOn, finishSaving: () => saving.shift()?.() }
}

describe('by time', () => {
  it('come after 15 seconds first, then every 30 when saving is cheap', async () => {
    const { clock, goOn } = setUp()
    await goOn(200, 0.5)
    expect(clock.saves).toEqual([
      [15, 30],
      [45, 90],
      [75, 150],
    ])
  })

  it('take a hundredth of the time when saving is dear', async () => {
    const { clock, goOn } = setUp({ saveSeconds: 2 })
    await goOn(900, 1)
    const [first, second, third] = clock.saves.map(([seconds]) => seconds)
    expect([first, second - first, third - second]).toEqual([15, 202, 202])
  })

  it('wait while one is being written, without holding the run', async () => {
    const { clock, goOn, finishSaving, checkpointer } = setUp({ saveSeconds: Number.POSITIVE_INFINITY })
    await goOn(300, 1)
    expect(clock.saves).toEqual([[15, 15]])
    finishSaving()
    await nextTurn()
    const finished = checkpointer.finish(300)
    await nextTurn()
    finishSaving()
    await finished
    expect(clock.saves).toEqual([
      [15, 15],
      [300, 300],
    ])
  })
})

describe('by steps', () => {
  it('come at multiples of the step, also in a run that starts between them', async () => {
    const { clock, checkpointer, goOn } = setUp({ every: 10, from: 4 })
    expect([checkpointer.room(4), checkpointer.room(10), checkpointer.room(19)]).toEqual([6, 10, 1])
    await goOn(33, 0.001)
    expect(clock.saves.map(([, step]) => step)).toEqual([10, 20, 30])
    await checkpointer.finish(33)
    await checkpointer.finish(33)
    expect(clock.saves.map(([, step]) => step)).toEqual([10, 20, 30, 33])
  })

  it('are saved again on the way back to a step that was saved before', async () => {
    const { clock, checkpointer, goOn } = setUp({ every: 10 })
    await goOn(10, 1)
    await checkpointer.settle()
    await checkpointer.finish(10)
    expect(clock.saves.map(([, step]) => step)).toEqual([10, 10])
  })
})

it('a failure is thrown at the next look, once it is known', async () => {
  const { clock, checkpointer, goOn } = setUp({ every: 5 })
  clock.fail = new Error('no room')
  await expect(goOn(20, 1)).rejects.toThrow('no room')
  expect(clock.saves).toEqual([[5, 5]])
  expect(checkpointer.saved).toBe(0)
})

it('nothing is saved without a store', async () => {
  const options = { store: undefined, every: undefined, now: () => 1e9, capture: () => Promise.reject(new Error('asked')) }
  const checkpointer = new Checkpointer(
    { ...options, about: () => ({ config: {}, data: { classes: [], mean: [], std: [], flip: true }, plans: {}, seconds: 0 }) },
    0,
  )
  expect(checkpointer.room(3)).toBe(Number.POSITIVE_INFINITY)
  await checkpointer.look(5)
  await checkpointer.finish(9)
})

it.each([0, -1, 1.5, Number.NaN])('%s steps apart is refused', (every) =>
  expectError(() => checkEvery(every), 'invalid_option', /checkpointEvery/),
)
