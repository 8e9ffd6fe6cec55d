/** @file Messages between this package and the process that runs ONNX Runtime. Requests are answered one for one, in order. */

export interface OpenRequest {
  readonly type: 'open'
  /** Path of onnxruntime-node. */
  readonly runtime: string
}

/** Part of the bytes of the next model to load. */
export interface PieceRequest {
  readonly type: 'piece'
  readonly bytes: Uint8Array
}

export interface LoadRequest {
  readonly type: 'load'
  readonly session: number
  readonly threads: number
  readonly input: string
  /** Outputs whose rows a run gives, in this order. */
  readonly outputs: readonly string[]
  /** Rows of every run, for a model whose batch axis is not free. */
  readonly batch?: number | undefined
  readonly provider: 'auto' | 'cpu'
}

export interface RunRequest {
  readonly type: 'run'
  readonly session: number
  /** NHWC: bytes, or numbers that are scaled as bytes are. */
  readonly images: Uint8Array | Float32Array
  readonly shape: readonly [number, number, number, number]
  /** Per channel: the model sees pixel * scale + shift. */
  readonly scale: Float32Array
  readonly shift: Float32Array
}

export interface UnloadRequest {
  readonly type: 'unload'
  readonly session: number
}

/** Asks for the resident bytes of the process. */
export interface MemoryRequest {
  readonly type: 'memory'
}

export type RequestBody = OpenRequest | PieceRequest | LoadRequest | RunRequest | UnloadRequest | MemoryRequest
export type Request = RequestBody & { readonly id: number }

/** Rows of each output of the session, row after row. */
export type RunReply = readonly Float32Array[]

export interface OpenReply {
  readonly version: string
  /** Where it can compute: built in, or its library lies beside it. */
  readonly providers: readonly string[]
}

export interface SessionReply {
  readonly provider: 'cpu' | 'cuda'
}

export type Reply = { readonly id: number; readonly value?: unknown; readonly error?: string }
