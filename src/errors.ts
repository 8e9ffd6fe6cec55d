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
  | 'invalid_index' // an index or label out of range inside device data
  | 'invalid_program' // bytes that the native decoder refuses
  | 'unavailable' // a backend that is not built, or no addon
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

/** A failure of the operating system as an error with code 'io' that names the file; anything else is returned as it came. */
export function systemFailure(error: unknown): unknown {
  const { code, syscall, path, message } = (error ?? {}) as NodeJS.ErrnoException
  if (!(error instanceof Error) || error instanceof AludelError || code === undefined || syscall === undefined) return error
  const reason = systemReasons[code] ?? message
  return new AludelError('io', `${path ?? syscall}: ${reason} (${code})`, { cause: error })
}

const systemReasons: Readonly<Record<string, string>> = {
  ENOSPC: 'no space left on the device; free some or choose another place',
  EDQUOT: 'the disk quota is used up; free some or choose another place',
  EFBIG: 'the file would be larger than allowed; raise the limit or choose another place',
  EACCES: 'permission denied; choose a place that you may write',
  EROFS: 'the file system is read-only; choose another place',
  ENOTDIR: 'a part of the path is a file, not a directory',
  EEXIST: 'a file stands where a directory is needed',
  EISDIR: 'a directory stands where a file is needed',
}

/** "expected … but received …" in one spelling. */
export function expected(code: ErrorCode, what: string, wanted: string, received: unknown, todo?: string): AludelError {
  const shown = typeof received === 'string' ? `'${received}'` : String(received)
  return new AludelError(code, `${what}: expected ${wanted} but received ${shown}${todo ? `; ${todo}` : ''}`)
}
