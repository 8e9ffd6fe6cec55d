/** @file Walking the tree and reading sources: shared by the checks. Paths are relative to the repository, with forward slashes. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** All files under `folders` whose name ends in one of `endings`, sorted. Missing folders are empty. */
export function filesUnder(folders, endings) {
  const found = []
  const visit = (folder) => {
    if (!existsSync(join(root, folder))) return
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      if (entry.name === 'node_modules') continue
      const path = `${folder}/${entry.name}`
      if (entry.isDirectory()) visit(path)
      else if (endings.some((ending) => entry.name.endsWith(ending))) found.push(path)
    }
  }
  for (const folder of folders) visit(folder)
  return found.sort()
}

export const read = (path) => readFileSync(join(root, path), 'utf8')

export const exists = (path) => existsSync(join(root, path))

/** Every page of documentation. */
export const pages = () => ['README.md', ...filesUnder(['docs', 'bench', 'data', 'test'], ['.md'])].filter(exists)

/** True when this module is what `node` was asked to run. */
export const isMain = (meta) => process.argv[1] === fileURLToPath(meta.url)

/** Prints a check's complaints and sets the exit code: the body of every check script. */
export function report(name, problems) {
  for (const problem of problems) console.log(problem)
  console.log(problems.length === 0 ? `${name}: ok` : `${name}: ${problems.length} problem${problems.length === 1 ? '' : 's'}`)
  if (problems.length > 0) process.exitCode = 1
}
