/** @file Documentation that cannot rot silently: links and paths exist, npm scripts exist, TypeScript snippets compile against src. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { exists, filesUnder, isMain, read, report, root } from './lib/files.mjs'

const pages = () => ['README.md', ...filesUnder(['docs', 'bench', 'data', 'test'], ['.md'])].filter(exists)

const fence = /^```(\w*)[^\n]*\n([\s\S]*?)^```/gm
const sourcePath = /`((?:src|native|scripts|test|bench|docs|data|\.ci)\/[\w./-]*[\w/])`/g

/** GitHub's anchor of a heading, near enough for the headings used here. */
const anchorOf = (heading) =>
  heading
    .toLowerCase()
    .replace(/[^\w\s-]/g, '')
    .trim()
    .replace(/\s/g, '-')

function checkLinks(page, text) {
  const problems = []
  for (const [, target] of text.matchAll(/\[[^\]\n]*\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue
    const [path, anchor] = target.split('#')
    const file = path === '' ? page : posix.join(dirname(page), path)
    if (!exists(file)) problems.push(`${page}: link to ${target}: ${file} does not exist`)
    else if (anchor && file.endsWith('.md')) {
      const anchors = [...read(file).matchAll(/^#+\s+(.*)$/gm)].map(([, heading]) => anchorOf(heading))
      if (!anchors.includes(anchor)) problems.push(`${page}: link to ${target}: no heading gives #${anchor}`)
    }
  }
  for (const [, path] of text.matchAll(sourcePath)) if (!exists(path)) problems.push(`${page}: names \`${path}\`, which does not exist`)
  return problems
}

function checkScripts(page, text) {
  const { scripts } = JSON.parse(read('package.json'))
  return [...text.matchAll(/npm run (?:-s )?([\w:-]+)/g)]
    .filter(([, name]) => !(name in scripts))
    .map(([, name]) => `${page}: \`npm run ${name}\` is not a script of package.json`)
}

/** Compiles every ts fence that imports the package; each is a module of its own in build/doc-snippets. */
async function checkSnippets() {
  const folder = join(root, 'build/doc-snippets')
  rmSync(folder, { recursive: true, force: true })
  const names = new Map()
  for (const page of pages()) {
    let n = 0
    for (const [, language, code] of read(page).matchAll(fence)) {
      if (language !== 'ts' || !/from 'aludel'/.test(code)) continue
      const path = join(folder, `${page.replace(/\W+/g, '-')}-${++n}.ts`)
      mkdirSync(folder, { recursive: true })
      writeFileSync(path, code)
      names.set(path, `${page}, snippet ${n}`)
    }
  }
  if (names.size === 0) return []
  const { default: ts } = await import('typescript')
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [...names.keys()] }, ts.sys, root)
  const program = ts.createProgram([...names.keys()], {
    ...options,
    noUnusedLocals: false,
    paths: { aludel: [join(root, 'src/index.ts')] },
  })
  const problems = []
  for (const [path, name] of names) {
    const file = program.getSourceFile(path)
    for (const d of [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]) {
      const line = d.start === undefined ? 0 : file.getLineAndCharacterOfPosition(d.start).line + 1
      problems.push(`${name}, line ${line}: ${ts.flattenDiagnosticMessageText(d.messageText, ' ')}`)
    }
  }
  return problems
}

export async function checkDocs() {
  const problems = pages().flatMap((page) => [...checkLinks(page, read(page)), ...checkScripts(page, read(page))])
  return [...problems, ...(await checkSnippets())]
}

if (isMain(import.meta)) report('docs', await checkDocs())
