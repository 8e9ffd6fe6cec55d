/** @file Several steps timed in turns within one bench, so that other work on the machine meets all of them. */
import { median, round } from './timer.mjs'

/** `entries` are [name, { plan, step }]; the result has `plans` and `step` of a bench, and `medians()` in milliseconds by name. */
export function timeInTurns(entries) {
  const runs = entries.map(([name, { plan, step }]) => ({ name, plan, step, ms: [] }))
  return {
    plans: runs.map(({ plan }) => plan),
    async step() {
      let value
      for (const run of runs) {
        const start = performance.now()
        value = await run.step()
        run.ms.push(performance.now() - start)
      }
      return value
    },
    /** The first step of each is a warm-up, where there are more. */
    medians: () => Object.fromEntries(runs.map(({ name, ms }) => [name, round(median(ms.length > 1 ? ms.slice(1) : ms))])),
  }
}
