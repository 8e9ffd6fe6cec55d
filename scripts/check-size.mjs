/** @file Small files, small total: no file over the hard stop, and a ceiling on src + native that only a decision record raises. */
import { filesUnder, isMain, read, report } from './lib/files.mjs'

const hardStop = 600
const ceiling = 90_000
const sources = ['src', 'native', 'test', 'bench', 'scripts']
const endings = ['.ts', '.mjs', '.h', '.cc', '.cu', '.cuh']

const countLines = (text) => text.split('\n').length - (text.endsWith('\n') ? 1 : 0)

function quantile(sorted, q) {
  return sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]
}

/** Lines of every source file, grouped by top folder. */
export function measure() {
  return sources.map((folder) => {
    const files = filesUnder([folder], endings).map((path) => ({ path, lines: countLines(read(path)) }))
    const sorted = files.map(({ lines }) => lines).sort((a, b) => a - b)
    return { folder, files, median: quantile(sorted, 0.5), p90: quantile(sorted, 0.9), total: sorted.reduce((a, b) => a + b, 0) }
  })
}

export function checkSize(folders = measure()) {
  const problems = []
  for (const { files } of folders) {
    for (const { path, lines } of files) {
      if (lines > hardStop) problems.push(`${path}: ${lines} lines, the hard stop is ${hardStop}; split it by concept`)
      if (/(^|\/)utils?[./]/.test(path)) problems.push(`${path}: a helper lives with its concept, not in a file called utils`)
    }
  }
  const product = folders.filter(({ folder }) => folder === 'src' || folder === 'native').reduce((sum, { total }) => sum + total, 0)
  if (product > ceiling) problems.push(`src + native: ${product} lines, the ceiling is ${ceiling}; raising it needs a decision record`)
  return problems
}

if (isMain(import.meta)) {
  const folders = measure()
  for (const { folder, files, median, p90, total } of folders) {
    console.log(`${folder}: ${files.length} files, ${total} lines, median ${median}, p90 ${p90}`)
  }
  report('size', checkSize(folders))
}
