/**
 * @file `npm run stress [-- --kills N] [--seed N] [--method NAME]`: kills small runs of every method, scorings (`--method score`) and trainings of experts (`--method
 * experts`), N times (default 50) at random moments, resumes them, and compares every byte with runs that nobody touched; then runs all tests of the CUDA
 * backend on the emulated GPU, in every build of it and many orders of threads (`--method emulated`). Needs a build (`npm run build`).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runEmulated, stressRuns } from './emulated.mjs'
import { killAndResume, killAndResumeExperts, killAndResumeScoring, randomFrom, writeStripes } from './lib/stress.mjs'

const { values } = parseArgs({
  options: { kills: { type: 'string', default: '50' }, seed: { type: 'string', default: '1' }, method: { type: 'string' } },
})
const kills = Number(values.kills)
const { methodNames } = await import('../dist/index.js')
const dir = mkdtempSync(join(tmpdir(), 'aludel-stress-'))
try {
  const data = writeStripes(join(dir, 'data'))
  const random = randomFrom(Number(values.seed))
  const kinds = [...methodNames.map((method) => [method]), ['dm', '--dynamic', 'bilp:every=3']]
  for (const [method, ...more] of kinds.filter(([method]) => values.method === undefined || method === values.method)) {
    const label = [method, ...more].join(' ')
    const onKill = ({ kill, after }) => process.stderr.write(`\r${label}: kill ${kill} of ${kills}, after ${Math.round(after)} ms   `)
    const runs = await killAndResume({
      method,
      data,
      dir: mkdtempSync(join(dir, 'runs-')),
      kills,
      iterations: 40,
      random,
      onKill,
      // enough rows that an effect of one of them means something
      // kip has no network
      options: ['--real-batch', more.length > 0 ? '8' : '2', ...(method === 'kip' ? [] : ['--network', 'mlp']), ...more],
    })
    process.stderr.write('\r')
    console.log(`${label}: ${kills} kills in ${runs} runs, the same bytes as an uninterrupted run`)
  }
  if (values.method === undefined || values.method === 'score') {
    const onKill = ({ kill, after }) => process.stderr.write(`\rscore: kill ${kill} of ${kills}, after ${Math.round(after)} ms   `)
    const runs = await killAndResumeScoring({ data, dir: mkdtempSync(join(dir, 'scores-')), kills, random, onKill })
    process.stderr.write('\r')
    console.log(`score: ${kills} kills in ${runs} scorings, the same bytes as an uninterrupted one`)
  }
  if (values.method === undefined || values.method === 'experts') {
    const onKill = ({ kill, after }) => process.stderr.write(`\rexperts: kill ${kill} of ${kills}, after ${Math.round(after)} ms   `)
    const options = ['--schedule', 'pad:addEndEpoch=2,removeMiddle=5,removeEnd=8', '--scores', 'random']
    const runs = await killAndResumeExperts({ data, dir: mkdtempSync(join(dir, 'experts-')), kills, random, options, onKill })
    process.stderr.write('\r')
    console.log(`experts: ${kills} kills in ${runs} trainings, the same bytes as an uninterrupted one`)
  }
  if (values.method === undefined || values.method === 'emulated')
    for (const run of stressRuns) {
      if (!runEmulated(run)) throw new Error(`emulated GPU, ${run.name}: failed`)
      console.log(`emulated GPU, ${run.name}: passed`)
    }
  rmSync(dir, { recursive: true })
} catch (error) {
  console.error(`\n${error.message}\nthe runs are in ${dir}`)
  process.exitCode = 1
}
