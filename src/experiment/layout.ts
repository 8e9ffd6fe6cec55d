/** @file NHWC inside, NCHW in files: the one place where images cross. */

/** NHWC -> NCHW copy. */
export function nhwcToNchw(images: Float32Array, [n, h, w, c]: readonly [number, number, number, number]): Float32Array {
  const out = new Float32Array(images.length)
  const plane = h * w
  for (let i = 0; i < n; i++) {
    for (let p = 0; p < plane; p++) {
      for (let k = 0; k < c; k++) out[(i * c + k) * plane + p] = images[(i * plane + p) * c + k]
    }
  }
  return out
}

/** NCHW -> NHWC copy; `shape` is that of the result. */
export function nchwToNhwc(images: Float32Array, [n, h, w, c]: readonly [number, number, number, number]): Float32Array {
  const out = new Float32Array(images.length)
  const plane = h * w
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < c; k++) {
      for (let p = 0; p < plane; p++) out[(i * plane + p) * c + k] = images[(i * c + k) * plane + p]
    }
  }
  return out
}
