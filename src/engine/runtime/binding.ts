/** @file The only loader of the addon: $ALUDEL_BINARY, else build/Release/aludel.node of this package. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AludelError } from '../../errors.js'
import { opcodeHash } from '../ops/opcodes.js'
import type { NativeBinding, NativeInfo } from './native-types.js'

const require = createRequire(import.meta.url)
let loaded: NativeBinding | undefined

/** The addon, loaded once. Throws `unavailable` when it is absent, does not load, or was built from other sources. */
export function binding(): NativeBinding {
  loaded ??= load()
  return loaded
}

/** What this build and this machine offer. Throws like `binding`. */
export const info = (): NativeInfo => binding().info()

function load(): NativeBinding {
  const path = process.env.ALUDEL_BINARY ?? join(packageRoot(), 'build', 'Release', 'aludel.node')
  if (!existsSync(path)) throw unavailable(`the native addon is not built: no file ${path}`)
  let addon: NativeBinding
  try {
    addon = require(path) as NativeBinding
  } catch (cause) {
    throw unavailable(`the native addon ${path} does not load: ${(cause as Error).message}`, cause)
  }
  const received = addon.info().opcodeHash
  if (received !== opcodeHash) {
    throw unavailable(`the native addon ${path} is of another version: expected opcode hash ${opcodeHash} but received ${received}`)
  }
  return addon
}

const unavailable = (what: string, cause?: unknown) =>
  new AludelError('unavailable', `${what}; run \`npm run setup\` in the package folder`, cause === undefined ? undefined : { cause })

/** The nearest folder above this file with a package.json: the same from src/ and from dist/. */
function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json')) && dirname(folder) !== folder) folder = dirname(folder)
  return folder
}
