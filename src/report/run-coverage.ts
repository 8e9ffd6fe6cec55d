/** @file How a run's targets and images stand to the teacher's representations of real images. */
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { AludelError } from '../errors.js'
import { readRepresentationSample } from '../experiment/representation-sample.js'
import type { RepresentationSet } from '../experiment/representation-set.js'
import { packageRoot } from '../package-root.js'
import type { CoverageReply, CoverageRequest } from './coverage.js'

/** Fewer real images span no plane. */
const leastImages = 3

/** Undefined where the run has kept no representations, or too few. Throws `invalid_data` for a damaged file, `io`. */
export async function readRunCoverage(dir: string, { targets, dim }: RepresentationSet): Promise<CoverageReply | undefined> {
  const sample = await readRepresentationSample(dir, dim).catch((error) => {
    if (!(error instanceof AludelError) || error.code !== 'invalid_data') throw error
    throw new AludelError('invalid_data', `${error.message}; without this file the report leaves the coverage out: remove it`, {
      cause: error,
    })
  })
  if (!sample || sample.real.length < leastImages * dim) return undefined
  const { real, start, images } = sample
  return onThread({ dim, real, sets: { targets: targets.slice(0, images.length), start, images } })
}

function onThread(request: CoverageRequest): Promise<CoverageReply> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(join(packageRoot, 'dist', 'report', 'coverage-worker.js'), { workerData: request })
    worker.once('message', resolve)
    const failed = (why: string, cause?: unknown) =>
      reject(new AludelError('internal', `the thread that computes coverage ended: ${why}`, { cause }))
    worker.once('error', (error) => failed(error.message, error))
    worker.once('exit', (code) => failed(`exit code ${code}`))
  })
}
