/** @file Documentation that cannot rot silently: links, source paths, npm scripts and error codes exist. Snippets are compiled by check-types. */
import { dirname, posix } from 'node:path'
import { exists, isMain, pages, read, report } from './lib/files.mjs'

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

const errorSource = 'src/errors.ts'
const errorPage = 'docs/errors.md'

/** The table of error codes has a row for every code there is, in the same order, and no other. */
export function checkErrorCodes(source, page) {
  const union = /export type ErrorCode =\n((?:\s*\| '\w+'.*\n)+)/.exec(source)?.[1] ?? ''
  const codes = [...union.matchAll(/^\s*\| '(\w+)'/gm)].map(([, code]) => code)
  const rows = [...page.matchAll(/^\| `(\w+)` \|/gm)].map(([, code]) => code)
  if (codes.length === 0) return [`${errorSource}: expected "export type ErrorCode =" with one code a line`]
  return [
    ...codes.filter((code) => !rows.includes(code)).map((code) => `${errorPage}: no row for the code \`${code}\` of ${errorSource}`),
    ...rows.filter((code) => !codes.includes(code)).map((code) => `${errorPage}: \`${code}\` is no code of ${errorSource}`),
    ...(rows.join() !== codes.join() && rows.length === codes.length ? [`${errorPage}: rows in another order than in ${errorSource}`] : []),
  ]
}

export const checkDocs = () => [
  ...pages().flatMap((page) => [...checkLinks(page, read(page)), ...checkScripts(page, read(page))]),
  ...checkErrorCodes(read(errorSource), read(errorPage)),
]

if (isMain(import.meta)) report('docs', checkDocs())
