/** @file The packed package, installed as a user installs it: scripts off, from the tarballs, ESM and CommonJS, with and without an addon. */
import { spawnSync } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { freshDir } from '../unit/data/fixtures.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

function run(command: string, args: readonly string[], cwd: string, env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8', env: { ...process.env, ...env } })
  return { status, stdout, stderr }
}

const imports = 'AludelError, distill, fashionMnist, openDevice'
const body = `
  try {
    const device = await openDevice({ threads: 1 })
    try {
      const run = distill(await fashionMnist(), { method: 'dm', ipc: 1, iterations: 2, realBatch: 4, device })
      const set = await run.result
      console.log(JSON.stringify(set.shape))
    } finally {
      await device.close()
    }
  } catch (error) {
    console.log(error instanceof AludelError, error.code, error.message)
  }`
const esm = `import { ${imports} } from 'aludel'\n${body}\n`
const commonJs = `const { ${imports} } = require('aludel')\n;(async () => {${body}\n})()\n`

let tarballs: string[]

/** A project with the given tarballs installed. Packages come from npm's cache where it has them. */
function project(packages: readonly string[]): string {
  const dir = freshDir()
  writeFileSync(join(dir, 'package.json'), '{ "name": "app", "private": true }\n')
  const installed = run('npm', ['install', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', ...packages], dir)
  expect(installed, installed.stderr).toMatchObject({ status: 0 })
  writeFileSync(join(dir, 'esm.mjs'), esm)
  writeFileSync(join(dir, 'commonjs.cjs'), commonJs)
  return dir
}

beforeAll(() => {
  const out = freshDir()
  const packed = run(process.execPath, [join(root, 'scripts/pack.mjs'), '--platform', '--host-isas', '--out', out], root)
  expect(packed, packed.stderr).toMatchObject({ status: 0 })
  tarballs = readdirSync(out).map((name) => join(out, name))
  expect(tarballs).toHaveLength(2)
})

it('passes the checkers of packages and of their types', () => {
  const [main] = tarballs
  for (const [tool, ...args] of [
    ['publint', main],
    ['attw', main, '--no-color'],
  ]) {
    const checked = run(join(root, 'node_modules/.bin', tool), args, root)
    expect(checked, checked.stdout).toMatchObject({ status: 0 })
  }
})

describe('with the addon of this platform', () => {
  let dir: string
  beforeAll(() => {
    dir = project(tarballs)
  })

  it.each(['esm.mjs', 'commonjs.cjs'])('computes from %s', (file) => {
    expect(run(process.execPath, [file], dir)).toMatchObject({ status: 0, stdout: '[10,28,28,1]\n' })
  })

  it('exports the same names to both', () => {
    const names = (code: string) => run(process.execPath, ['-e', code], dir).stdout
    const listed = names("import('aludel').then((library) => console.log(Object.keys(library).sort().join()))")
    expect(listed).toContain('openDevice')
    expect(names("console.log(Object.keys(require('aludel')).sort().join())")).toBe(listed)
  })

  it.each(['import', 'require'])('measures networks by the engine without onnxruntime-node, and says so for what needs it (%s)', (kind) => {
    const load = kind === 'import' ? "await import('aludel')" : "require('aludel')"
    const code = `(async () => {
      const { evaluate, evaluateModel, fashionMnist, openDevice, randomRealSet } = ${load}
      const device = await openDevice({ threads: 1 })
      const test = await fashionMnist(undefined, 'test')
      const options = { networks: ['mlp'], repeats: 1, epochs: 1, test, device }
      const [{ inference }] = await evaluate(randomRealSet(await fashionMnist(), 1, 0), options)
      const codes = []
      for (const refused of [evaluateModel(new Uint8Array(8), { test, device }), evaluate(randomRealSet(test, 1, 0), { ...options, inference: 'onnx' })])
        await refused.catch(({ code, message }) => codes.push(code, message.includes('npm install --ignore-scripts onnxruntime-node')))
      await device.close()
      console.log(JSON.stringify([inference, ...codes]))
    })()`
    const { stdout, stderr } = run(process.execPath, ['-e', code], dir)
    expect([stderr, stdout]).toEqual(['', '["engine","unavailable",true,"unavailable",true]\n'])
  })

  it('has types for both', () => {
    const use = "import { openDevice, type Device } from 'aludel'\nexport const opened: Promise<Device> = openDevice()\n"
    for (const name of ['esm.mts', 'commonjs.cts']) writeFileSync(join(dir, name), use)
    const options = '--noEmit --strict --module nodenext --target es2022 --lib es2023,esnext.disposable,dom'.split(' ')
    const compiled = run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), ...options, 'esm.mts', 'commonjs.cts'], dir)
    expect(compiled, compiled.stdout).toMatchObject({ status: 0 })
  })

  it('runs the command line', () => {
    const doctor = run(join(dir, 'node_modules/.bin/aludel'), ['doctor', '--json'], dir)
    expect(JSON.parse(doctor.stdout)).toMatchObject({ backends: { cpu: { available: true } } })
  })
})

describe('without an addon', () => {
  it('says which package is missing and how to build it, and that an override names no file', () => {
    const dir = project(tarballs.slice(0, 1))
    for (const file of ['esm.mjs', 'commonjs.cjs']) {
      const { status, stdout } = run(process.execPath, [file], dir)
      expect({ status, stdout }).toMatchObject({ status: 0, stdout: expect.stringMatching(/^true unavailable no native addon: /) })
      expect(stdout).toContain(`install @aludel/${process.platform}-${process.arch}, or build it with \`npx aludel build\``)
    }
    const overridden = run(process.execPath, ['esm.mjs'], dir, { ALUDEL_BINARY: '/no/such/file.node' })
    expect(overridden.stdout).toMatch(/^true unavailable ALUDEL_BINARY names no file: \/no\/such\/file\.node/)
    const doctor = run(join(dir, 'node_modules/.bin/aludel'), ['doctor'], dir)
    expect(doctor).toMatchObject({ status: 1, stdout: expect.stringContaining('npx aludel build') })
  })
})
