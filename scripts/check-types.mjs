/**
 * @file Type check of all TypeScript and of the documentation's ts snippets that import the package, in one program. What did not
 * change since the last run is not checked again (build/check.tsbuildinfo).
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { isMain, pages, read, report, root } from './lib/files.mjs'

const folder = join(root, 'build/doc-snippets')
const fence = /^```ts[^\n]*\n([\s\S]*?)^```/gm

/** Each snippet becomes a module of its own, with the blank lines that make its line numbers those of the page. */
function writeSnippets() {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const names = new Map()
  for (const page of pages()) {
    const text = read(page)
    for (const { index, 1: code } of text.matchAll(fence)) {
      if (!code.includes("from 'aludel'")) continue
      const line = text.slice(0, index).split('\n').length
      const path = join(folder, `${page.replace(/\W+/g, '-')}-${line}.ts`)
      writeFileSync(path, '\n'.repeat(line) + code)
      names.set(path, page)
    }
  }
  return names
}

export async function checkTypes() {
  const { default: ts } = await import('typescript')
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options, fileNames } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const snippets = writeSnippets()
  const program = ts.createIncrementalProgram({
    rootNames: [...fileNames, ...snippets.keys()],
    options: {
      ...options,
      noEmit: true,
      incremental: true,
      tsBuildInfoFile: join(root, 'build/check.tsbuildinfo'),
      paths: { aludel: [join(root, 'src/index.ts')] },
    },
  })
  const diagnostics = [
    ...program.getConfigFileParsingDiagnostics(),
    ...program.getOptionsDiagnostics(),
    ...program.getSyntacticDiagnostics(),
    ...program.getGlobalDiagnostics(),
    ...program.getSemanticDiagnostics(),
  ]
  program.emit()
  return diagnostics.map(({ file, start, messageText }) => {
    const text = ts.flattenDiagnosticMessageText(messageText, '\n  ')
    if (!file) return text
    const { line } = file.getLineAndCharacterOfPosition(start ?? 0)
    return `${snippets.get(file.fileName) ?? relative(root, file.fileName)}:${line + 1}: ${text}`
  })
}

if (isMain(import.meta)) report('types', await checkTypes())
