/** @file `node scripts/gpu-summary.mjs DIR`: writes summary.md of a folder of scripts/gpu-check.sh: what was done, and rates beside peaks and peers. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMain } from './lib/files.mjs'

/** The JSON lines of a text; others are skipped. */
export const jsonLines = (text) =>
  text.split('\n').flatMap((line) => {
    try {
      return line.startsWith('{') ? [JSON.parse(line)] : []
    } catch {
      return []
    }
  })

const table = (head, rows) => [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')
const fixed = (x, digits = 1) => (Number.isFinite(x) ? x.toFixed(digits) : '')
const percent = (x) => (Number.isFinite(x) ? `${(100 * x).toFixed(0)} %` : '')

/** The most that was seen of memory (GB/s) and of products (TFLOP/s by precision), by us or by PyTorch. */
export function peaksOf(results) {
  const torch = results.find(({ name }) => name === 'torch-peaks') ?? {}
  const own = (name, precision) =>
    results.find((one) => one.who === 'aludel' && one.name === name && (!precision || one.precision === precision))
  const most = (...values) => Math.max(...values.filter(Number.isFinite))
  const product = (precision) => most(own('matrix-peak', precision)?.gflop_s / 1000, torch[`${precision}_tflop_s`])
  return {
    copy: most(own('copy-peak')?.gbyte_s, torch.copy_gbyte_s),
    f32: product('f32'),
    tf32: product('tf32'),
    bf16: product('bf16'),
  }
}

/** Benches of one name are one thing, whoever ran it: the peers call some of them otherwise. */
const renamed = { 'embed 256': 'embed256', embed: 'embed256' }
const nameOf = ({ name, step }) => renamed[name ?? step] ?? name ?? step

function benchTable(results, peaks) {
  const own = results.filter(({ who, median_s: seconds }) => who === 'aludel' && seconds > 0)
  const peer = (name, who) => results.find((one) => one.who === who && nameOf(one) === name)?.median_s
  const rows = own.map(({ name, precision, median_s: seconds, gflop_s: gflops, gbyte_s: gbytes }) => {
    const [eager, compiled] = [peer(name, 'torch eager'), peer(name, 'torch compiled')]
    return [
      ...[name, precision, fixed(1000 * seconds, 3)],
      ...[fixed(gflops / 1000, 2), percent(gflops / 1000 / peaks[precision])],
      ...[fixed(gbytes), percent(gbytes / peaks.copy)],
      ...[fixed(1000 * eager, 3), fixed(1000 * compiled, 3), fixed(Math.min(...[eager, compiled].filter(Number.isFinite)) / seconds, 2)],
    ]
  })
  const head = [
    'bench',
    'precision',
    'ms',
    'TFLOP/s',
    'of matrix peak',
    'GB/s',
    'of copy peak',
    'torch eager ms',
    'compiled ms',
    'times as fast',
  ]
  return table(head, rows)
}

function convTable(results, peaks) {
  const benches = results.filter(({ who, name }) => who === 'aludel' && name === 'conv')
  const rates = (bench) => Object.entries(bench).filter(([, value]) => value?.tflop_s !== undefined)
  const rows = benches.flatMap((bench) =>
    rates(bench).map(([name, { ms, tflop_s: rate }]) => [
      name,
      bench.precision,
      fixed(ms, 3),
      fixed(rate, 1),
      percent(rate / peaks[bench.precision]),
    ]),
  )
  const torch = results
    .filter(({ who, lib }) => who === 'torch eager' && lib === 'pytorch')
    .map(({ c, k, hw, fwd, bwd_data: data, bwd_w: weights }) => [
      `PyTorch ${c}->${k} ${hw}x${hw}: forward, input gradient, weight gradient`,
      ...['tf32', '', [fwd, data, weights].map(({ med }) => fixed(med / 1000, 1)).join(', '), ''],
    ])
  return table(['convolution', 'precision', 'ms', 'TFLOP/s', 'of matrix peak'], [...rows, ...torch])
}

function lossTable(results) {
  const bench = results.find(({ who, name }) => who === 'aludel' && name === 'per-sample-loss') ?? {}
  const rows = Object.entries(bench)
    .filter(([, value]) => value?.gb_s !== undefined)
    .map(([name, { gb_s: rate, of_copy: share }]) => [name, fixed(rate), percent(share)])
  return table(['call', 'GB/s', 'of the copy of that shape'], rows)
}

function choleskyTable(results) {
  const rows = results
    .filter(({ name, factor_s: seconds }) => name === 'cholesky' && seconds > 0)
    .map((one) => [
      one.n,
      ...['gram', 'factor', 'solve'].flatMap((what) => [fixed(1000 * one[`${what}_s`], 2), fixed(one[`${what}_gflop_s`] / 1000, 2)]),
      one.residual,
    ])
  return table(['rows', 'Gram ms', 'TFLOP/s', 'Cholesky ms', 'TFLOP/s', 'solve ms', 'TFLOP/s', 'residual'], rows)
}

/** Tests of vitest's JSON report that failed, and the counts. */
export function testLines(name, report) {
  const failed = report.testResults.flatMap(({ name: file, assertionResults, message }) => {
    const tests = assertionResults.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName)
    const where = file.replace(/^.*\/(test\/)/, '$1')
    return tests.length > 0
      ? tests.map((test) => `${where}: ${test}`)
      : message && assertionResults.length === 0
        ? [`${where}: ${message}`]
        : []
  })
  const counts = `${name}: ${report.numPassedTests} passed, ${report.numFailedTests} failed, ${report.numPendingTests} skipped`
  return [counts, ...failed.slice(0, 40).map((line) => `  - ${line.split('\n')[0].slice(0, 200)}`)]
}

export function summaryOf({ steps, results, machine, reports }) {
  const peaks = peaksOf(results)
  const shown = Object.entries(peaks).filter(([, value]) => Number.isFinite(value))
  const units = (name) => (name === 'copy' ? 'GB/s copied' : `TFLOP/s in ${name} products`)
  const section = (title, body) => (body ? `## ${title}\n\n${body}\n` : '')
  const some = (name) => results.some((one) => one.who === 'aludel' && one.name === name)
  return [
    '# GPU check\n',
    section('Machine', `\`\`\`\n${machine.trim()}\n\`\`\``),
    section('Steps', table(['step', 'outcome', 'seconds', 'last word'], steps)),
    section(
      'Tests',
      Object.entries(reports)
        .flatMap(([name, report]) => testLines(name, report))
        .map((line) => (line.startsWith('  ') ? line : `- ${line}`))
        .join('\n'),
    ),
    section('Peaks measured here', shown.map(([name, value]) => `- ${fixed(value)} ${units(name)}`).join('\n')),
    section('Benches', results.some(({ who }) => who === 'aludel') && benchTable(results, peaks)),
    section('Convolutions', some('conv') && convTable(results, peaks)),
    section('Loss and EL2N of samples', some('per-sample-loss') && lossTable(results)),
    section('Linear algebra in float64', some('cholesky') && choleskyTable(results)),
  ]
    .filter(Boolean)
    .join('\n')
}

if (isMain(import.meta)) {
  const [dir] = process.argv.slice(2)
  if (dir === undefined) {
    console.error('usage: node scripts/gpu-summary.mjs DIR')
    process.exit(2)
  }
  const text = (name) => (existsSync(join(dir, name)) ? readFileSync(join(dir, name), 'utf8') : '')
  const steps = text('steps.tsv')
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split('\t').map((cell) => cell.replaceAll('|', '\\|')))
  const reports = Object.fromEntries(
    ['ops', 'suite'].filter((name) => text(`${name}.json`)).map((name) => [name, JSON.parse(text(`${name}.json`))]),
  )
  writeFileSync(
    join(dir, 'summary.md'),
    summaryOf({ steps, results: jsonLines(text('bench.jsonl')), machine: text('machine.log'), reports }),
  )
  console.log(join(dir, 'summary.md'))
}
