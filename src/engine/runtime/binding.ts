/** @file The only loader of the addon: $ALUDEL_BINARY, else build/Release/aludel.node of this package, else the platform's package. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { AludelError } from '../../errors.js'
import { packageRequire, packageRoot } from '../../package-root.js'
import { opcodeHash } from '../ops/opcodes.js'
import type { NativeBinding, NativeInfo } from './native-types.js'

/** The package that holds a built addon for this platform. */
const platformPackage = `@aludel/${process.platform}-${process.arch}`

let loaded: NativeBinding | undefined

/** The addon, loaded once. Throws `unavailable` when it is absent, does not load, or was built from other sources. */
export function binding(): NativeBinding {
  loaded ??= load()
  return loaded
}

/** What this build and this machine offer. Throws like `binding`. */
export const info = (): NativeInfo => binding().info()

function load(): NativeBinding {
  const path = findAddon()
  let addon: NativeBinding
  try {
    addon = packageRequire(path) as NativeBinding
  } catch (cause) {
    throw unavailable(`the native addon ${path} does not load: ${(cause as Error).message}`, cause)
  }
  const received = addon.info().opcodeHash
  if (received !== opcodeHash) {
    throw unavailable(`the native addon ${path} is of another version: expected opcode hash ${opcodeHash} but received ${received}`)
  }
  return addon
}

/** Path of the addon by the order above. An override that does not exist is an error, not a reason to take another. */
function findAddon(): string {
  const override = process.env.ALUDEL_BINARY
  const path = override ?? join(packageRoot, 'build', 'Release', 'aludel.node')
  if (existsSync(path)) return path
  if (override !== undefined) throw unavailable(`ALUDEL_BINARY names no file: ${path}`)
  try {
    return packageRequire.resolve(`${platformPackage}/aludel.node`)
  } catch {
    throw unavailable(`no native addon: neither ${path} nor the package ${platformPackage} is there`)
  }
}

const unavailable = (what: string, cause?: unknown) =>
  new AludelError(
    'unavailable',
    `${what}; install ${platformPackage}, or build it with \`npx aludel build\` (in a checkout: \`npm run setup\`)`,
    cause === undefined ? undefined : { cause },
  )
