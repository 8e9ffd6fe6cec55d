/** @file Who may import whom, in TypeScript and in C++, and no import cycles. The table below is the architecture's shortest form. */
import { dirname, posix } from 'node:path'
import { exists, filesUnder, isMain, read, report } from './lib/files.mjs'

const engineCore = ['errors', 'engine/tensor', 'engine/graph', 'engine/ops']
const upper = ['errors', 'arguments', 'engine/index', 'engine/tensor']
// Loops bind compiled steps; devices and arrays reach them as arguments, so they know the types only.
const programs = ['engine/bound-program', 'engine/all-or-nothing', 'engine/saved-plan']
// What a run ends with and an evaluation starts from.
const artifact = ['experiment/synthetic-set', 'experiment/representation-set']

/**
 * Longest matching prefix wins. `may` lists prefixes a module may import besides its own folder; `types` those from which it may import
 * types only; `node` says whether node: modules (files, sockets, processes) are allowed.
 */
const layers = {
  errors: { may: [] },
  arguments: { may: ['errors'] },
  crc32: { may: [] },
  'event-loop': { may: [] },
  'free-memory': { may: [] },
  'package-root': { may: [], node: true },
  files: { may: ['errors', 'arguments', 'event-loop'], node: true },
  index: { may: ['*'], node: false },
  'engine/isa': { may: [] },
  'engine/tensor': { may: ['errors'] },
  'engine/graph': { may: ['errors', 'engine/tensor'], types: ['engine/ops/opcodes'] },
  'engine/ops': { may: ['errors', 'arguments', 'engine/tensor', 'engine/graph'] },
  'engine/trace': { may: engineCore },
  'engine/autodiff': { may: [...engineCore, 'engine/trace'] },
  'engine/reference': { may: engineCore, types: ['engine/trace'] },
  'engine/compile': { may: [...engineCore, 'engine/isa', 'engine/reference'], types: ['engine/trace'] },
  'engine/runtime': {
    may: ['errors', 'arguments', 'free-memory', 'package-root', 'engine/isa', 'engine/tensor', 'engine/ops/opcodes'],
    types: ['engine/compile'],
    node: true,
  },
  'engine/bound-program': { may: ['engine', 'errors', 'arguments'] },
  'engine/all-or-nothing': { may: [] },
  'engine/saved-plan': { may: ['errors'], types: ['engine/compile'] },
  'engine/index': { may: ['engine', 'errors'] },
  nn: { may: upper },
  optim: { may: upper },
  ridge: { may: [...upper, 'event-loop'] },
  augment: { may: upper },
  data: {
    may: [
      ...['errors', 'arguments', 'crc32', 'event-loop', 'files', 'package-root', 'engine/tensor', 'nn/layout'],
      // Rows of a file are read by the addon, on a thread of Node's pool.
      ...['engine/runtime/binding', 'experiment/sealed-json', 'experiment/json-fields'],
    ],
    types: ['engine/runtime/native-types'],
    node: true,
  },
  preprocess: { may: [...upper, ...programs, 'event-loop', 'files', 'data'], types: ['engine/runtime'], node: true },
  scores: { may: [...upper, ...programs, 'event-loop', 'nn', 'optim', 'augment', 'data'], types: ['engine/runtime'] },
  prune: {
    may: ['errors', 'arguments', 'event-loop', 'files', 'data', 'scores', 'experiment/sealed-json', 'experiment/json-fields'],
    types: ['engine/runtime'],
    node: true,
  },
  schedule: { may: ['errors', 'arguments', 'event-loop', 'files/pieces', 'scores', 'prune/stable-order'] },
  scoring: {
    may: [
      'errors',
      'arguments',
      'event-loop',
      'files',
      'package-root',
      'engine',
      'nn',
      'optim',
      'augment',
      'data',
      'preprocess',
      'scores',
      'prune',
      'evaluate',
      'export',
      'onnx',
      'experiment',
    ],
    node: true,
  },
  experts: {
    may: [
      ...['errors', 'arguments', 'event-loop', 'files', 'package-root', 'engine', 'nn', 'optim', 'augment', 'data', 'preprocess'],
      ...['prune', 'schedule', 'evaluate', 'experiment'],
    ],
    node: true,
  },
  distill: {
    may: [
      ...upper,
      ...programs,
      ...artifact,
      'event-loop',
      ...['engine/isa', 'free-memory'],
      'nn',
      'optim',
      'ridge',
      'augment',
      'data',
      'preprocess',
      'schedule',
      'experts/store',
      ...['teachers/unlabelled-quality', 'teachers/encode-checked'],
    ],
    types: ['engine/runtime', 'engine/compile', 'experiment', 'evaluate', 'experts', 'teachers'],
  },
  evaluate: {
    may: [
      ...upper,
      ...programs,
      ...artifact,
      'event-loop',
      'nn',
      'optim',
      'augment',
      'data',
      'preprocess',
      'scores',
      'export/onnx',
      'onnx',
    ],
    types: ['engine/runtime', 'engine/compile', 'experiment', 'distill'],
  },
  transfer: {
    may: [
      ...[...upper, ...programs, 'event-loop', 'free-memory', 'engine/isa', 'files', 'nn', 'optim', 'augment', 'data', 'scores'],
      ...['evaluate/trainer', 'evaluate/schedule', 'evaluate/summary', 'experiment/cell-file', 'plan/planning-device', 'ridge'],
      'teachers/encode-checked',
    ],
    types: ['engine/runtime', 'experiment', 'export/onnx', 'teachers'],
    node: true,
  },
  nas: {
    may: [
      ...[...upper, ...programs, 'event-loop', 'files', 'nn', 'augment', 'data', 'preprocess', 'evaluate'],
      ...['experiment/cell-file', 'experiment/cell-journal', 'experiment/json-fields', 'experiment/synthetic-set'],
      ...['plan/planning-device', 'plan/rate'],
    ],
    types: ['engine/runtime', 'experiment'],
    node: true,
  },
  direct: {
    may: [...upper, ...programs, 'event-loop', 'engine/runtime/array', 'distill/matching/attention', 'ridge'],
    types: ['engine/runtime'],
  },
  recipes: { may: ['errors'] },
  plan: {
    may: [
      ...[...upper, ...programs, 'event-loop', 'free-memory', 'nn', 'augment', 'data', 'preprocess', 'distill', 'evaluate', 'engine/isa'],
      'teachers/encode-checked',
    ],
    types: ['engine/runtime', 'engine/compile', 'experiment', 'teachers'],
  },
  export: {
    may: [
      ...upper,
      ...artifact,
      'event-loop',
      'package-root',
      'crc32',
      'files',
      'nn',
      'data/png',
      'data/normalize',
      'data/whitening',
      'data/file-bytes',
    ],
    types: ['experiment'],
    node: true,
  },
  onnx: {
    may: ['errors', 'arguments', 'event-loop', 'package-root', 'engine/tensor', 'data', 'export'],
    types: ['engine/runtime'],
    node: true,
  },
  'pretrain/objectives': { may: upper },
  pretrain: {
    may: [
      ...[...upper, ...programs, 'event-loop', 'engine/isa', 'files', 'nn', 'optim', 'data', 'teachers', 'export/network-file'],
      ...['experiment/checkpoint-store', 'experiment/run-lock', 'experiment/sealed-json'],
    ],
    types: ['engine/runtime', 'engine/compile', 'experiment', 'export/onnx'],
    node: true,
  },
  teachers: {
    may: [
      ...[...upper, ...programs, 'event-loop', 'files', 'nn', 'data', 'onnx', 'evaluate/trainer', 'export/network-file'],
      ...['experiment/sealed-json', 'experiment/json-fields'],
    ],
    types: ['engine/runtime', 'experiment', 'export/onnx'],
    node: true,
  },
  experiment: {
    may: [
      'errors',
      'arguments',
      'crc32',
      'event-loop',
      'files',
      'engine',
      'nn',
      'optim',
      'augment',
      'data',
      'preprocess',
      'scores',
      'distill',
      'evaluate',
      'export',
    ],
    types: ['teachers', 'experts/store', 'schedule/data-schedule'],
    node: true,
  },
  golden: {
    may: [
      'errors',
      'crc32',
      'engine',
      'nn',
      'optim',
      'ridge',
      'augment',
      'data',
      'preprocess',
      'scores',
      'prune',
      'schedule',
      'distill',
      'pretrain/objectives',
    ],
    node: true,
  },
  report: {
    may: [
      'errors',
      'arguments',
      'files',
      'package-root',
      'experiment',
      'data',
      'scores',
      'prune',
      'scoring/score-directory',
      'evaluate/summary',
      // Cells of transfer, and the means of them; what a search of architectures has found.
      ...['transfer/cells', 'transfer/summary', 'transfer/source'],
      ...['nas/kept-result', 'nas/options', 'nas/record', 'nas/set-hash'],
      // Which parameters a run's mask keeps, and what its experts trained on, follow from its settings.
      ...['nn', 'schedule/pad-rule', 'distill/matching/gradient-method', 'distill/trajectory/mask', 'experts/record'],
    ],
    node: true,
  },
  cli: { may: ['*'], node: true },
}

const nativeLayers = [
  { folder: 'native/core', never: /napi|cuda|native\/(cpu|cuda|no_cuda|addon)\//, why: 'core knows the C++ standard library only' },
  {
    folder: 'native/cpu/kernels',
    never: /napi|cuda|native\/(cuda|no_cuda|addon)\/|^(vector|string|algorithm|memory|thread|mutex|map|functional|atomic|iostream)$/,
    why: 'kernel units are compiled once per instruction set and may not emit weak symbols',
  },
  { folder: 'native/cpu', never: /napi|cuda|native\/(cuda|no_cuda|addon)\//, why: 'a backend imports core only' },
  { folder: 'native/cuda', never: /napi|native\/(cpu|no_cuda|addon)\//, why: 'a backend imports core only' },
  { folder: 'native/no_cuda', never: /napi|native\/(cpu|addon)\//, why: 'a backend imports core only' },
  { folder: 'native/addon', never: /native\/(cpu|cuda)\/kernels\//, why: 'the addon reaches kernels through the backends' },
]

const importLine = /^\s*(?:import|export)\s+(type\s+)?(?:[\w*{}\s,$]+?\s+from\s+)?['"]([^'"]+)['"]/gm

/** Imports of one TypeScript source: `{ target, typeOnly }`, with relative targets resolved to a path under the root. */
export function importsOf(path, source) {
  const found = []
  for (const [, type, specifier] of source.matchAll(importLine)) {
    const relative = specifier.startsWith('.')
    const target = relative ? posix.join(dirname(path), specifier).replace(/\.js$/, '.ts') : specifier
    found.push({ target, relative, typeOnly: type !== undefined })
  }
  return found
}

const moduleOf = (path) => path.replace(/^src\//, '').replace(/\.ts$/, '')
const within = (module, prefix) => prefix === '*' || module === prefix || module.startsWith(`${prefix}/`)

function layerOf(module) {
  const names = Object.keys(layers).filter((name) => within(module, name))
  return names.sort((a, b) => b.length - a.length)[0]
}

function checkImport(path, name, { target, relative, typeOnly }) {
  const { may, types = [], node = false } = layers[name]
  if (!relative) {
    return target.startsWith('node:') && !node ? [`${path}: ${name} may not import ${target} (no files, processes or clocks here)`] : []
  }
  if (!exists(target)) return [`${path}: imports ${target}, which does not exist`]
  const module = moduleOf(target)
  const allowed =
    within(module, name) || may.some((prefix) => within(module, prefix)) || (typeOnly && types.some((prefix) => within(module, prefix)))
  return allowed
    ? []
    : [`${path}: ${name} may not import ${module}${types.some((prefix) => within(module, prefix)) ? ' except for types' : ''}`]
}

/** Strongly connected components of more than one file (Tarjan), each printed as a path list. */
export function findCycles(edges) {
  const state = new Map()
  const stack = []
  const cycles = []
  let next = 0
  const visit = (file) => {
    const mine = { index: next, low: next++, onStack: true }
    state.set(file, mine)
    stack.push(file)
    for (const target of edges.get(file) ?? []) {
      const other = state.get(target)
      if (!other) mine.low = Math.min(mine.low, visit(target).low)
      else if (other.onStack) mine.low = Math.min(mine.low, other.index)
    }
    if (mine.low === mine.index) {
      const component = stack.splice(stack.indexOf(file))
      for (const member of component) state.get(member).onStack = false
      if (component.length > 1 || edges.get(file)?.includes(file)) cycles.push(component)
    }
    return mine
  }
  for (const file of edges.keys()) if (!state.has(file)) visit(file)
  return cycles
}

function checkTypeScript() {
  const problems = []
  const edges = new Map()
  for (const path of filesUnder(['src'], ['.ts'])) {
    const imports = importsOf(path, read(path))
    const name = layerOf(moduleOf(path))
    // Type-only imports are erased and cannot make a run-time cycle.
    edges.set(
      path,
      imports.filter((i) => i.relative && !i.typeOnly && exists(i.target)).map((i) => i.target),
    )
    if (!name) problems.push(`${path}: belongs to no layer; add its folder to scripts/check-layers.mjs`)
    else for (const one of imports) problems.push(...checkImport(path, name, one))
  }
  for (const cycle of findCycles(edges)) problems.push(`import cycle: ${cycle.join(' -> ')}`)
  return problems
}

function checkNative() {
  const problems = []
  for (const path of filesUnder(['native'], ['.h', '.cc', '.cu', '.cuh'])) {
    const rule = nativeLayers.find(({ folder }) => path.startsWith(`${folder}/`))
    for (const [, header] of read(path).matchAll(/^\s*#\s*include\s*[<"]([^>"]+)[>"]/gm)) {
      if (header.endsWith('napi.h') && path !== 'native/addon/napi_config.h')
        problems.push(`${path}: includes ${header}; only native/addon/napi_config.h may`)
      else if (rule?.never.test(header)) problems.push(`${path}: includes ${header}; ${rule.why}`)
    }
  }
  return problems
}

export const checkLayers = () => [...checkTypeScript(), ...checkNative()]

if (isMain(import.meta)) report('layers', checkLayers())
