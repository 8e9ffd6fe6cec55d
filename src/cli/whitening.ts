/** @file ZCA for commands: fitted for a new run, found again for one that continues, applied to what is compared with it. */
import { join } from 'node:path'
import type { Dataset } from '../data/dataset.js'
import { exists } from '../data/file-bytes.js'
import type { Whitening, ZcaOrder } from '../data/whitening.js'
import { AludelError, expected } from '../errors.js'
import type { RunDir } from '../experiment/run-dir.js'
import type { DeviceHandle } from '../experiment/types.js'
import { writeAtomic } from '../files/atomic-file.js'
import { encodeWhitening, readWhitening, whiteningFile } from '../preprocess/whitening-file.js'
import type { Library } from './library.js'
import { given } from './options.js'
import type { Output } from './output.js'

export interface ZcaChoice {
  readonly order: ZcaOrder
  readonly eps?: number
}

export interface WhiteningTools {
  readonly library: Library
  readonly output: Output
  readonly device: DeviceHandle
  /** Directory of fitted whitenings. */
  readonly cache?: string
}

/** The training images under a whitening fitted to them; as they are without `zca`. */
export async function whitenTraining(train: Dataset, zca: ZcaChoice | undefined, tools: WhiteningTools): Promise<Dataset> {
  if (zca === undefined) return train
  const { library, output, device, cache } = tools
  output.notice(`fitting the ZCA whitening to ${train.shape[0]} images`)
  const whitening = await library.fitZca(train, { device, ...zca, ...given({ cache }) })
  return library.whiten(train, whitening, device)
}

/** Writes the whitening of a new run into its directory, so that a continuation finds it. */
export const keepWhitening = ({ dir }: RunDir, dataset: Dataset): Promise<void> => keepWhiteningIn(dir, dataset)

/** Writes the whitening of a data set, where it has one, into a directory that is there. */
export async function keepWhiteningIn(dir: string, { whitened }: Dataset): Promise<void> {
  if (whitened) await writeAtomic(join(dir, whiteningFile), encodeWhitening(whitened.whitening))
}

/** As `whitenAs`, for a run. */
export const whitenAgain = (train: Dataset, { dir, record }: RunDir, tools: WhiteningTools): Promise<Dataset> =>
  whitenAs(train, dir, record.data.zca, tools)

/**
 * The training images under the whitening of a directory that was begun: the one in its directory, else fitted again. Throws `incompatible` when it is another
 * than the run began with.
 */
export async function whitenAs(
  train: Dataset,
  dir: string,
  zca: { readonly order: string; readonly eps: number; readonly sha256: string } | undefined | null,
  tools: WhiteningTools,
): Promise<Dataset> {
  if (!zca) return train
  const whitening = (await wholeWhitening(join(dir, whiteningFile), tools.output)) ?? (await refit(train, zca, tools))
  if (whitening.sha256 !== zca.sha256) {
    const todo = 'continue the run on its own data, instruction set and version of aludel, or put its file back'
    throw expected('incompatible', `${dir}: whitening`, `the one that the run began with (sha256 ${zca.sha256})`, whitening.sha256, todo)
  }
  return tools.library.whiten(train, whitening, tools.device)
}

/** The whitening in a file; undefined when the file is not there or is damaged, as that of a run killed at its start may be absent. */
async function wholeWhitening(path: string, output: Output): Promise<Whitening | undefined> {
  if (!(await exists(path))) return undefined
  try {
    return await readWhitening(path)
  } catch (error) {
    if (!(error instanceof AludelError && error.code === 'invalid_data')) throw error
    output.notice(`${error.message}. The whitening is fitted again`)
    return undefined
  }
}

async function refit(train: Dataset, { order, eps }: { order: string; eps: number }, tools: WhiteningTools): Promise<Whitening> {
  const { library, output, device, cache } = tools
  output.notice(`fitting the ZCA whitening to ${train.shape[0]} images`)
  return library.fitZca(train, { device, order: order as ZcaOrder, eps, ...given({ cache }) })
}
