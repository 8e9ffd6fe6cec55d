/** @file Scores that a run or a sweep computes itself, in a directory of its own: begun, continued, or there already. */
import type { Dataset } from '../data/dataset.js'
import type { Device } from '../engine/runtime/device.js'
import { expected } from '../errors.js'
import type { DeviceHandle } from '../experiment/types.js'
import type { ScoreName } from '../scores/registry.js'
import { isScoreDirectory, readRecord, type ScoresRecord } from '../scoring/score-directory.js'
import type { Library } from './library.js'
import type { Output } from './output.js'
import { withScoring } from './run-scoring.js'

/** Networks that score; what is not given is as `aludel score` has it. */
export interface OwnScoring {
  readonly network?: string
  readonly runs?: number
  readonly epochs?: number
}

export interface ScoringJob {
  readonly dir: string
  readonly kind: string
  readonly scoring: OwnScoring
  readonly seed: number
  /** The data as the user named it. */
  readonly specification: string
  readonly library: Library
  readonly output: Output
  readonly device: DeviceHandle
  /** The command that goes on after an interrupt. */
  readonly goOn: string
}

/** Throws what `scoreDataset` would, before anything is computed: `invalid_option`, `not_found`. */
export async function checkOwnScoring(
  train: Dataset,
  { kind, scoring, seed, device }: Pick<ScoringJob, 'kind' | 'scoring' | 'seed' | 'device'>,
): Promise<void> {
  const { planScoring } = await import('../scoring/options.js')
  planScoring(train, { ...scoring, kinds: [kind as ScoreName], seed, device: device as Device })
}

/** Scores `train` into the directory, from wherever that stands. Rejects with AbortError on a signal; what was reached stays. */
export async function scoreInto(train: Dataset, job: ScoringJob): Promise<void> {
  const { dir, kind, scoring, seed, specification, library, output, device, goOn } = job
  const begun = (await isScoreDirectory(dir)) ? await readRecord(dir) : undefined
  if (begun) checkSameScoring(dir, begun, job)
  if (begun?.status === 'done') return
  const work = { kinds: [kind as ScoreName], seed, specification, ...scoring }
  await withScoring(
    output,
    train,
    dir,
    async (hooks) => {
      if (begun) await library.resumeScoring(dir, train, { ...hooks, device })
      else await library.scoreToDirectory(dir, train, { ...work, ...hooks, device })
    },
    goOn,
  )
}

/** Throws `incompatible` for a directory of scores that are not those wanted. */
function checkSameScoring(dir: string, { source, kinds }: ScoresRecord, { kind, scoring, seed }: ScoringJob): void {
  const wanted: Readonly<Record<string, unknown>> = { ...scoring, seed }
  for (const [name, value] of Object.entries(wanted)) {
    if (value === undefined || source[name] === value) continue
    const todo = 'leave that option as it was, or give another directory'
    throw expected('incompatible', `${dir}: scores with ${name}`, String(value), String(source[name]), todo)
  }
  if (!kinds.includes(kind as ScoreName)) throw expected('incompatible', `${dir}: scores`, `'${kind}' among them`, kinds.join(', '))
}
