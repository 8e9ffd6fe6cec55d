/** @file Runs that are killed at random moments and resumed until done, compared with runs that nobody touched. */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './files.mjs'

export const artifact = ['data.safetensors', 'manifest.json', 'preview.png']

/** Repeatable numbers in [0, 1): the kills of one seed are those of the next time. */
export function randomFrom(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** MNIST files of 12x12 images, three of each class, each class with a stripe of its own under noise: a step takes milliseconds. */
export function writeStripes(dir) {
  mkdirSync(dir, { recursive: true })
  const side = 12
  const rows = 30
  const idx = (shape, data) => {
    const header = new DataView(new ArrayBuffer(4 + 4 * shape.length))
    header.setUint32(0, 0x0800 | shape.length)
    for (const [i, d] of shape.entries()) header.setUint32(4 + 4 * i, d)
    return Buffer.concat([Buffer.from(header.buffer), data])
  }
  const pixel = (i) =>
    Math.floor((i % (side * side)) / side) === Math.floor(i / (side * side)) % 10 ? 220 : (Math.imul(i, 2654435761) >>> 24) % 90
  const images = Buffer.from(Array.from({ length: rows * side * side }, (_, i) => pixel(i)))
  for (const split of ['train', 't10k']) {
    writeFileSync(join(dir, `${split}-images-idx3-ubyte`), idx([rows, side, side], images))
    writeFileSync(join(dir, `${split}-labels-idx1-ubyte`), idx([rows], Buffer.from(Array.from({ length: rows }, (_, i) => i % 10))))
  }
  return `mnist:${dir}`
}

/** Runs `aludel args…`; kills it when the time is up. Resolves to its exit code, null when it was killed. */
export function aludel(args, killAfterMs) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, 'dist/cli/main.js'), ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
    let said = ''
    child.stderr.on('data', (text) => {
      said += text
    })
    const timer = killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfterMs)
    child.on('error', reject)
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ code, said })
    })
  })
}

/** Runs `aludel distill args…` in the same way. */
export const distill = (args, killAfterMs) => aludel(['distill', ...args], killAfterMs)

/** Steps in the log, in order; throws when one is missing or comes twice. */
export function checkSteps(dir, iterations) {
  const events = readFileSync(join(dir, 'events.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  const steps = events.filter(({ type }) => type === 'step').map(({ step }) => step)
  const wrong = steps.findIndex((step, i) => step !== i + 1)
  if (events.some(({ loss }) => loss === 0)) throw new Error(`${dir}: the loss is 0: nothing is learnt, and nothing shown by equal bytes`)
  if (wrong >= 0 || steps.length !== iterations) {
    throw new Error(
      `${dir}: the log has ${steps.length} of ${iterations} steps, ${wrong < 0 ? 'all in order' : `wrong from ${wrong + 1} on`}`,
    )
  }
}

/** Throws unless the artifacts of two runs are the same bytes. */
export function compareArtifacts(a, b) {
  for (const name of artifact) {
    if (!readFileSync(join(a, name)).equals(readFileSync(join(b, name)))) throw new Error(`${name} of ${a} and ${b} differ`)
  }
}

/**
 * Kills runs of one method `kills` times in all, at random moments of their lives, and resumes each until it is done. `onKill` hears of
 * every kill. Returns how many runs that took. Throws when a run fails, or ends with other bytes or steps than one that nobody touched.
 */
export async function killAndResume({ method, data, dir, kills, iterations, random, options = [], onKill = () => {} }) {
  const settings = [
    '--data',
    data,
    '--method',
    method,
    '--iterations',
    `${iterations}`,
    '--threads',
    '1',
    '--checkpoint-every',
    '3',
    ...options,
  ]
  const whole = join(dir, `${method}-whole`)
  const started = performance.now()
  await expectDone(distill([...settings, '--out', whole]))
  const life = performance.now() - started
  checkSteps(whole, iterations)
  let done = 0
  let runs = 0
  while (done < kills) {
    const run = join(dir, `${method}-${runs++}`)
    for (;;) {
      // killed before it has made its directory, a run is begun again
      const begun = readdirSync(dir).includes(`${method}-${runs - 1}`) && readdirSync(run).includes('run.json')
      const args = begun ? ['--resume', run] : [...settings, '--out', run]
      const after = done < kills ? random() * life : undefined
      const { code, said } = await distill(args, after)
      if (code === 0) break
      if (code !== null) throw new Error(`${method}: ended with exit code ${code}: ${said}`)
      onKill({ method, kill: ++done, after })
    }
    compareArtifacts(whole, run)
    checkSteps(run, iterations)
    const left = readdirSync(run).filter((name) => name.startsWith('.') || name.startsWith('run.lock'))
    if (left.length > 0) throw new Error(`${run}: left behind: ${left.join(', ')}`)
  }
  return runs
}

/** Files that a scoring ends with, by name; scores.json without the seconds that it took. */
function scoreFiles(dir) {
  const { seconds: _, sha256: __, ...record } = JSON.parse(readFileSync(join(dir, 'scores.json'), 'utf8'))
  const names = [...readdirSync(dir), ...readdirSync(join(dir, 'networks')).map((name) => join('networks', name))]
  const files = names.filter((name) => name.endsWith('.safetensors')).sort()
  const left = names.filter((name) => !files.includes(name) && !['scores.json', 'networks', 'report.html'].includes(name))
  if (left.length > 0) throw new Error(`${dir}: left behind: ${left.join(', ')}`)
  return { record: JSON.stringify(record), files: Object.fromEntries(files.map((name) => [name, readFileSync(join(dir, name))])) }
}

/**
 * Kills scorings by networks trained on the spot `kills` times in all, at random moments, and resumes each until it is done. Returns how
 * many that took. Throws when one fails, or ends with other bytes than one that nobody touched.
 */
export async function killAndResumeScoring({ data, dir, kills, random, onKill = () => {} }) {
  const kinds = 'loss,el2n,grand,grandLastLayer,forgetting,aum,prototypicality,selfPrototypicality,moderate,uniform'
  const more = ['--features', '--save-networks', '--allow-chance', '--threads', '1']
  const settings = ['score', '--data', data, '--kind', kinds, '--network', 'mlp', '--runs', '3', '--epochs', '12', ...more]
  const whole = join(dir, 'whole')
  const started = performance.now()
  await expectDone(aludel([...settings, '--out', whole]))
  const life = performance.now() - started
  const wanted = scoreFiles(whole)
  let done = 0
  let runs = 0
  while (done < kills) {
    const run = join(dir, `scores-${runs++}`)
    for (;;) {
      const begun = readdirSync(dir).includes(`scores-${runs - 1}`) && readdirSync(run).includes('scores.json')
      const after = done < kills ? random() * life : undefined
      const { code, said } = await aludel(begun ? ['score', '--resume', run] : [...settings, '--out', run], after)
      if (code === 0) break
      if (code !== null) throw new Error(`score: ended with exit code ${code}: ${said}`)
      onKill({ kill: ++done, after })
    }
    const { record, files } = scoreFiles(run)
    if (record !== wanted.record) throw new Error(`scores.json of ${whole} and ${run} differ`)
    if (Object.keys(files).join() !== Object.keys(wanted.files).join()) throw new Error(`${run}: other files than ${whole}`)
    for (const [name, bytes] of Object.entries(files))
      if (!bytes.equals(wanted.files[name])) throw new Error(`${name} of ${whole} and ${run} differ`)
  }
  return runs
}

/** Every file of a store of experts by name; throws when others are there. */
function expertFiles(dir) {
  // several processes may write the record of a store: what one that died left of it is removed after a day
  const stays = (name) => name === 'scores' || /^\.experts\.json\.\w+\.partial$/.test(name)
  const names = readdirSync(dir)
    .filter((name) => !stays(name))
    .sort()
  const left = names.filter((name) => !/^(expert-\d{4}\.(json|safetensors)|experts\.json|difficulty\.safetensors)$/.test(name))
  if (left.length > 0) throw new Error(`${dir}: left behind: ${left.join(', ')}`)
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(dir, name))]))
}

/**
 * Kills trainings of experts `kills` times in all, at random moments, and resumes each until it is done. Returns how many that took. Throws
 * when one fails, or ends with other bytes than one that nobody touched.
 */
export async function killAndResumeExperts({ data, dir, kills, random, options = [], onKill = () => {} }) {
  const training = ['--network', 'mlp', '--experts', '3', '--epochs', '12', '--optimizer', 'gsam', '--together', '2', '--threads', '1']
  const settings = ['experts', '--data', data, ...training, '--keep-epochs', '1-9', ...options]
  const whole = join(dir, 'whole')
  const started = performance.now()
  await expectDone(aludel([...settings, '--out', whole]))
  const life = performance.now() - started
  const wanted = expertFiles(whole)
  let done = 0
  let runs = 0
  while (done < kills) {
    const run = join(dir, `experts-${runs++}`)
    for (;;) {
      const begun = readdirSync(dir).includes(`experts-${runs - 1}`) && readdirSync(run).includes('experts.json')
      const after = done < kills ? random() * life : undefined
      const { code, said } = await aludel(begun ? ['experts', '--resume', run] : [...settings, '--out', run], after)
      if (code === 0) break
      if (code !== null) throw new Error(`experts: ended with exit code ${code}: ${said}`)
      onKill({ kill: ++done, after })
    }
    const files = expertFiles(run)
    if (Object.keys(files).join() !== Object.keys(wanted).join()) throw new Error(`${run}: other files than ${whole}`)
    for (const [name, bytes] of Object.entries(files))
      if (!bytes.equals(wanted[name])) throw new Error(`${name} of ${whole} and ${run} differ`)
  }
  return runs
}

const teacherFiles = (dir) =>
  Object.fromEntries(['network.safetensors', 'quality.json', 'teacher.json'].map((name) => [name, readFileSync(join(dir, name))]))

/**
 * As `killAndResumeExperts`, for a pretraining. Throws when it cannot be continued, or ends with other bytes than one that nobody touched.
 */
export async function killAndResumePretraining({ data, dir, kills, random, onKill = () => {} }) {
  const training = [
    '--network',
    'mlp',
    '--objective',
    'byol',
    '--epochs',
    '30',
    '--batch',
    '8',
    '--projector',
    '16,8',
    '--predictor',
    '16,8',
  ]
  const often = ['--checkpoint-seconds', '0', '--threads', '1']
  const settings = ['pretrain', '--data', data, ...training, ...often]
  const whole = join(dir, 'whole-teacher')
  const started = performance.now()
  await expectDone(aludel([...settings, '--out', whole]))
  const life = performance.now() - started
  const wanted = teacherFiles(whole)
  let done = 0
  let runs = 0
  while (done < kills) {
    const run = join(dir, 'teachers', String(runs++), 'whole-teacher')
    for (;;) {
      const begun = existsSync(join(run, 'pretraining.json'))
      const after = done < kills ? random() * life : undefined
      const { code, said } = await aludel(begun ? ['pretrain', '--resume', run, ...often] : [...settings, '--out', run], after)
      if (code === 0) break
      if (code !== null) throw new Error(`pretrain: ended with exit code ${code}: ${said}`)
      onKill({ kill: ++done, after })
    }
    for (const [name, bytes] of Object.entries(teacherFiles(run)))
      if (!bytes.equals(wanted[name])) throw new Error(`${name} of ${whole} and ${run} differ`)
  }
  return runs
}

async function expectDone(ended) {
  const { code, said } = await ended
  if (code !== 0) throw new Error(`a run that nobody killed ended with exit code ${code}: ${said}`)
}
