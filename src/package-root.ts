/** @file Where this package lies: the only module that asks for its own place, since that differs between ESM and CommonJS builds. */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = import.meta.url

/** Resolves packages as this package does. */
export const packageRequire: NodeRequire = createRequire(here)

/** The nearest folder above with a package.json that has a name: the same from src/, dist/ and dist/cjs/. */
export const packageRoot: string = findRoot(dirname(fileURLToPath(here)))

export const packageVersion: string = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')).version

function findRoot(folder: string): string {
  const path = join(folder, 'package.json')
  if (existsSync(path) && JSON.parse(readFileSync(path, 'utf8')).name !== undefined) return folder
  const above = dirname(folder)
  return above === folder ? folder : findRoot(above)
}
