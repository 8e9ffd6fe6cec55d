/**
 * @file `npm run stress [-- --kills N] [--seed N] [--method NAME]`: kills small runs of every method N times (default 50) at random
 * moments, resumes them, and compares every byte with runs that nobody touched. Needs a build (`npm run build`).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { killAndResume, randomFrom, writeStripes } from './lib/stress.mjs'

const { values } = parseArgs({
  options: { kills: { type: 'string', default: '50' }, seed: { type: 'string', default: '1' }, method: { type: 'string' } },
})
const kills = Number(values.kills)
const { methodNames } = await import('../dist/index.js')
const dir = mkdtempSync(join(tmpdir(), 'aludel-stress-'))
try {
  const data = writeStripes(join(dir, 'data'))
  const random = randomFrom(Number(values.seed))
  for (const method of values.method ? [values.method] : methodNames) {
    const onKill = ({ kill, after }) => process.stderr.write(`\r${method}: kill ${kill} of ${kills}, after ${Math.round(after)} ms   `)
    const runs = await killAndResume({
      method,
      data,
      dir,
      kills,
      iterations: 40,
      random,
      onKill,
      options: ['--real-batch', '2', '--network', 'mlp'],
    })
    process.stderr.write('\r')
    console.log(`${method}: ${kills} kills in ${runs} runs, the same bytes as an uninterrupted run`)
  }
  rmSync(dir, { recursive: true })
} catch (error) {
  console.error(`\n${error.message}\nthe runs are in ${dir}`)
  process.exitCode = 1
}
