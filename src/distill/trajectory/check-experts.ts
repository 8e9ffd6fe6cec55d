/** @file What a store of experts must be for a run: of its data and network, with all epochs that will be read. */

import type { Dataset } from '../../data/dataset.js'
import { AludelError, expected } from '../../errors.js'
import type { RunConfig } from '../../experiment/types.js'
import { checkExperts, type ExpertStore, rangesOf } from '../../experts/store.js'
import type { Network } from '../../nn/module.js'
import type { Method } from '../method.js'
import type { TrajectorySettings } from './options.js'

/** Expert epochs that a run may read: starts in [T-, T+) and the epochs M later. */
export function epochsRead({ minStartEpoch, maxStartEpoch, expertEpochs }: TrajectorySettings): number[] {
  const starts = Array.from({ length: maxStartEpoch - minStartEpoch }, (_, i) => minStartEpoch + i)
  return [...new Set([...starts, ...starts.map((s) => s + expertEpochs)])].sort((a, b) => a - b)
}

/**
 * Throws `incompatible` for experts of another network, data or whitening, `invalid_option` where none is finished or an epoch is not stored.
 */
export function checkExpertsFit(
  store: ExpertStore,
  run: { network: string | Network; dataset: Dataset; settings: TrajectorySettings },
): void {
  const { network, dataset, settings } = run
  checkExperts(store, { network, data: dataset })
  const { kept, epochs } = store.record
  const { maxStartEpoch, expertEpochs, minStartEpoch } = settings
  const last = maxStartEpoch - 1 + expertEpochs
  const range = `starts in [${minStartEpoch}, ${maxStartEpoch}) and ${expertEpochs} epochs from there (M counts epochs of the expert, N steps on synthetic images)`
  if (last > epochs) {
    const most = `maxStartEpoch + expertEpochs - 1 = ${last}`
    throw expected(
      'invalid_option',
      `${most}, from ${range}`,
      `at most ${epochs}, the epochs that the experts in ${store.dir} were trained for`,
      last,
      'lower maxStartEpoch or expertEpochs',
    )
  }
  const missing = epochsRead(settings).filter((epoch) => !kept.includes(epoch))
  if (missing.length > 0) {
    const todo = 'choose other start epochs (minStartEpoch, maxStartEpoch), or train experts that keep them'
    throw expected(
      'invalid_option',
      `experts in ${store.dir}: epochs ${rangesOf(missing)}, needed for ${range}`,
      `one of those stored: ${rangesOf(kept)}`,
      rangesOf(missing),
      todo,
    )
  }
}

/** Throws `invalid_option` for a method that needs experts and got none. */
export function requireExperts(method: Method, experts: ExpertStore | undefined): void {
  if (!('trajectory' in method) || experts) return
  const todo = "train some with 'aludel experts' and give them: experts: await openExperts(DIR), on the command line --experts DIR"
  throw new AludelError('invalid_option', `experts: ${method.name} matches the training of experts, and none were given; ${todo}`)
}

/** What of a store is part of what a run is. */
export const expertsConfig = ({ sha256, experts }: ExpertStore): RunConfig => ({ experts, expertsSha256: sha256 })
