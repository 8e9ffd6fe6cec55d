/** @file What must not stand in tracked files: machine paths, download addresses in the lock file, unfinished code, tests held back. */
import { execFileSync } from 'node:child_process'
import { exists, isMain, read, report, root } from './lib/files.mjs'

const rules = [
  { where: /./, pattern: /(?:^|[^\w.-])\/(?:work|root|home\/\w+)\/[\w.]/, say: 'a path of one machine' },
  { where: /package-lock\.json$/, pattern: /"resolved":\s*"https?:/, say: 'a download address (npm ci must work with any registry)' },
  { where: /^(src|native|test|bench|scripts)\//, pattern: /\b(?:TO)(?:DO)\b|\bFIX(?:ME)\b|\bXXX\b/, say: 'an unfinished-work mark' },
  { where: /^test\//, pattern: /\b(?:it|test|describe)\.(?:only|todo)\(/, say: 'a test that is held back or that holds others back' },
  {
    where: /^native\/cuda\/(?!(?:launch|ptx)\.cuh$)/,
    pattern: /<<<|\bextern\s+__shared__|\basm\b\s*(?:volatile\s*)?\(|\b__noinline__\b/,
    say: 'CUDA that g++ cannot compile for the tests: launch.cuh and ptx.cuh have launches, dynamic shared memory and assembly',
  },
]
const binary = /\.(?:png|gz|npz|bin|node|safetensors)$/

/** Tracked files only: what a clone would contain. Without git (an unpacked archive) there is nothing to check. */
function trackedFiles() {
  try {
    return execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      .split('\0')
      .filter(Boolean)
  } catch {
    return []
  }
}

export function checkWords() {
  const problems = []
  for (const path of trackedFiles()) {
    if (binary.test(path) || path.startsWith('test/golden/data/') || !exists(path)) continue
    const applying = rules.filter(({ where }) => where.test(path))
    read(path)
      .split('\n')
      .forEach((line, i) => {
        for (const { pattern, say } of applying) if (pattern.test(line)) problems.push(`${path}:${i + 1}: ${say}`)
      })
  }
  return problems
}

if (isMain(import.meta)) report('words', checkWords())
