/** @file Writes native/core/opcodes.inc from src/engine/ops/opcodes.ts. With --check: fails when the file on disk is not what would be written. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const sourcePath = fileURLToPath(new URL('../src/engine/ops/opcodes.ts', import.meta.url))
const targetPath = fileURLToPath(new URL('../native/core/opcodes.inc', import.meta.url))

/** Opcodes that are storage, structure or gone when a program is encoded: no kernel exists. */
const structural = new Set(['input', 'constant', 'loop', 'ridge_solution', 'ridge_weights'])

/** The text is read instead of imported because this runs before any TypeScript is built. */
function readOpcodes(text) {
  const list = /export const opcodes = \[([\s\S]*?)\] as const/.exec(text)?.[1]
  if (list === undefined) throw new Error(`${sourcePath}: expected "export const opcodes = [ ... ] as const"`)
  const names = [...list.replace(/\/\/.*$/gm, '').matchAll(/'([^']*)'/g)].map((match) => match[1])
  for (const name of names) if (!/^[a-z][a-z0-9_]*$/.test(name)) throw new Error(`opcode '${name}' is not snake_case`)
  if (new Set(names).size !== names.length) throw new Error('an opcode is listed twice')
  for (const edge of ['neg', 'select', ...structural]) if (!names.includes(edge)) throw new Error(`opcode '${edge}' is missing`)
  return names
}

/** FNV-1a over the names joined by commas, as opcodes.ts computes it. */
const hashOf = (names) => [...names.join(',')].reduce((h, c) => Math.imul(h ^ c.charCodeAt(0), 0x01000193) >>> 0, 0x811c9dc5)

function render(names) {
  const elementwise = new Set(names.slice(names.indexOf('neg'), names.indexOf('select') + 1))
  const list = (macro, chosen) => `#define ${macro}(X) \\\n${chosen.map((name) => `  X(${name}, ${names.indexOf(name)})`).join(' \\\n')}\n`
  return [
    '// GENERATED from src/engine/ops/opcodes.ts by scripts/gen-opcodes.mjs: every opcode with its number, and the hash that both sides compare.',
    '#pragma once',
    '// clang-format off',
    `#define ALUDEL_OPCODE_HASH 0x${hashOf(names).toString(16).padStart(8, '0')}u`,
    '',
    '// Storage and structure: no kernel.',
    list(
      'ALUDEL_STRUCTURAL_OPCODES',
      names.filter((name) => structural.has(name)),
    ),
    '// All run by kernel_elementwise.',
    list(
      'ALUDEL_ELEMENTWISE_OPCODES',
      names.filter((name) => elementwise.has(name)),
    ),
    '// Each run by the kernel of its name.',
    list(
      'ALUDEL_KERNEL_OPCODES',
      names.filter((name) => !structural.has(name) && !elementwise.has(name)),
    ),
    `#define ALUDEL_OPCODES(X) ALUDEL_STRUCTURAL_OPCODES(X) ALUDEL_ELEMENTWISE_OPCODES(X) ALUDEL_KERNEL_OPCODES(X)`,
    `#define ALUDEL_OPCODE_COUNT ${names.length}`,
    '',
  ].join('\n')
}

const wanted = render(readOpcodes(readFileSync(sourcePath, 'utf8')))
if (process.argv.includes('--check')) {
  if (readFileSync(targetPath, 'utf8') !== wanted) {
    console.error('native/core/opcodes.inc is stale: run `node scripts/gen-opcodes.mjs`')
    process.exitCode = 1
  }
} else if (!existsSync(targetPath) || readFileSync(targetPath, 'utf8') !== wanted) {
  // Only then: a newer file would rebuild every kernel.
  writeFileSync(targetPath, wanted)
}
