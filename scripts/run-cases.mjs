/**
 * @file `node scripts/run-cases.mjs [FILTER] [--device cpu|cuda] [--forward] [--every N]`: runs the op case table (test/cases), derivatives included,
 * once each on a device and prints a hash of the results a case. Two runs that print the same computed the same bits; a sanitizer may
 * watch one of them. `--forward` leaves derivatives out, `--every N` all cases but each N-th. Comparing with the reference is the tests' work.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { exists, filesUnder, isMain, root } from './lib/files.mjs'

const made = 'build/cases'

/** The case table as JavaScript beside `dist`; made again only where there is a compiler for it. */
export async function loadCases() {
  const sources = [...filesUnder(['test/cases'], ['.ts']), 'test/device/derivatives.ts', 'test/device/run-traced.ts']
  const typescript = await import('typescript').catch(() => undefined)
  if (typescript) {
    const { transpileModule, ModuleKind, ScriptTarget } = typescript.default
    for (const path of sources) {
      const { outputText } = transpileModule(readFileSync(join(root, path), 'utf8'), {
        compilerOptions: { module: ModuleKind.ESNext, target: ScriptTarget.ES2022, verbatimModuleSyntax: true },
      })
      const target = join(root, made, path.replace(/\.ts$/, '.js'))
      mkdirSync(dirname(target), { recursive: true })
      writeFileSync(target, outputText.replaceAll("'../../src/", "'../../../../dist/"))
    }
  } else if (!exists(made)) throw new Error(`${made}: was not made beforehand, and TypeScript is not installed to make it`)
  const load = (path) => import(join(root, made, path))
  const [{ allCases, caseTitle }, { caseGraphs }, { runTraced }] = await Promise.all([
    load('test/cases/index.js'),
    load('test/device/derivatives.js'),
    load('test/device/run-traced.js'),
  ])
  return { allCases, caseTitle, caseGraphs, runTraced }
}

function hashOf(results) {
  const hash = createHash('sha256')
  for (const { buffer, byteOffset, byteLength } of results) hash.update(new Uint8Array(buffer, byteOffset, byteLength))
  return hash.digest('hex').slice(0, 16)
}

async function main() {
  const options = {
    device: { type: 'string' },
    forward: { type: 'boolean' },
    every: { type: 'string', default: '1' },
    prepare: { type: 'boolean' },
  }
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  const { allCases, caseTitle, caseGraphs, runTraced } = await loadCases()
  if (values.prepare) return
  const every = Number(values.every)
  if (!Number.isInteger(every) || every < 1) throw new Error(`--every: expected a whole number from 1 but received '${values.every}'`)
  const { Device } = await import('../dist/engine/runtime/device.js')
  const device = await Device.open(values.device === undefined ? {} : { device: values.device })
  const chosen = allCases.filter((one) => caseTitle(one).includes(positionals[0] ?? '')).filter((_, i) => i % every === 0)
  try {
    for (const one of chosen) {
      for (const { order, traced, inputs } of caseGraphs(one)) {
        if (values.forward && order !== 'forward') continue
        const { results } = await runTraced(device, traced, inputs)
        console.log(`${hashOf(results)} ${caseTitle(one)}, ${order}`)
      }
    }
    console.error(`${chosen.length} cases on ${device.isa}, precision ${device.precision}`)
  } finally {
    await device.close()
  }
}

if (isMain(import.meta)) await main()
