/** @file Every failure a user can see: a stable code, what was expected, what came, and what to do. */

export type ErrorCode =
  | 'invalid_option' // an option of a method, command or function
  | 'invalid_shape'
  | 'invalid_dtype'
  | 'invalid_data' // a file or array whose content is not what it must be
  | 'not_found' // a file, method, network or data set that does not exist
  | 'not_differentiable'
  | 'disposed' // use after close or dispose
  | 'detached' // a typed array whose buffer was transferred away
  | 'out_of_memory'
  | 'not_finite' // NaN or infinity in a loss or an image
  | 'not_positive_definite' // a ridge regression that no ridge tried makes solvable
  | 'invalid_index' // an index or label out of range inside device data
  | 'invalid_program' // bytes that the native decoder refuses
  | 'unavailable' // a backend that is not built, or no addon
  | 'device_lost' // a GPU that answers no more; what it held is gone, a new device may be opened
  | 'io' // the system refused to read or write: no space, no permission, not a directory
  | 'locked' // a run directory that another process works in
  | 'incompatible' // a run or checkpoint that does not fit what it is to be continued with: other data, settings, instruction set, version
  | 'internal'

/** Base of all errors thrown by this package. `code` is stable across releases; `message` is for people. */
export class AludelError extends Error {
  readonly code: ErrorCode
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'AludelError'
    this.code = code
  }
}

/** Rejection of an aborted call: `name` is 'AbortError' as everywhere in Node, `cause` is the signal's reason. */
export class AbortError extends Error {
  readonly code = 'aborted'
  constructor(reason?: unknown) {
    super('the operation was aborted', { cause: reason })
    this.name = 'AbortError'
  }
}

/** Whether a failure of the operating system says that there is no such file. */
export const isMissing = (error: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException | null)?.code ?? '')

/**
 * A failure of the operating system as an error with code 'io' that names the file; anything else is returned as it came. `path` is the
 * file that the caller spoke of: what the system names may be a temporary one, or nothing when the file was open already.
 */
export function systemFailure(error: unknown, path?: string): unknown {
  const failure = (error ?? {}) as NodeJS.ErrnoException
  const { code, syscall, message } = failure
  if (!(error instanceof Error) || error instanceof AludelError || code === undefined || syscall === undefined) return error
  const reason = systemReasons[code] ?? message
  return new AludelError('io', `${path ?? failure.path ?? syscall}: ${reason} (${code})`, { cause: error })
}

/** Runs `action` on the file `path`: what the system refuses is an `io` error that names it. */
export async function onFile<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    throw systemFailure(error, path)
  }
}

const systemReasons: Readonly<Record<string, string>> = {
  ENOSPC: 'no space left on the device; free some or choose another place',
  EDQUOT: 'the disk quota is used up; free some or choose another place',
  EFBIG: 'the file would be larger than allowed; raise the limit or choose another place',
  EACCES: 'permission denied; choose a place that you may use',
  EPERM: 'permission denied; choose a place that you may use',
  EROFS: 'the file system is read-only; choose another place',
  ENOENT: 'no such file or directory; choose a place that exists or can be made',
  ENOTDIR: 'a part of the path is a file, not a directory',
  EEXIST: 'a file stands where a directory is needed',
  EISDIR: 'a directory stands where a file is needed',
  ENAMETOOLONG: 'the path is too long',
  ELOOP: 'the path goes through too many symbolic links',
  EMFILE: 'too many files are open; raise the limit of open files',
  EIO: 'the device failed to read or write',
}

/** "expected … but received …" in one spelling. */
export function expected(code: ErrorCode, what: string, wanted: string, received: unknown, todo?: string): AludelError {
  return new AludelError(code, `${what}: expected ${wanted} but received ${describe(received)}${todo ? `; ${todo}` : ''}`)
}

const longestText = 200
const longestList = 8

/** A value as an error shows it: short, and whatever it is, no failure of its own. */
function describe(value: unknown, depth = 0): string {
  if (typeof value === 'string') return `'${value.length > longestText ? `${value.slice(0, longestText)}…` : value}'`
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return String(value)
  try {
    return Array.isArray(value) ? describeList(value, depth) : kindOf(value)
  } catch {
    return 'an object'
  }
}

function describeList(list: readonly unknown[], depth: number): string {
  if (depth > 1) return 'a list'
  const shown = [...list.slice(0, longestList)].map((entry) => describe(entry, depth + 1))
  return `[${shown.join(', ')}${list.length > longestList ? ', …' : ''}]`
}

/** 'Float32Array(3)', 'Promise', or 'an object' for one of no class. */
function kindOf(value: object): string {
  const { name } = value.constructor ?? {}
  if (typeof name !== 'string' || name === '' || name === 'Object') return 'an object'
  return ArrayBuffer.isView(value) && !(value instanceof DataView) ? `${name}(${(value as Uint8Array).length})` : name
}
