/** @file Plain float64 formulas of the direct kernels, written from the equations and nothing else. */

const sumOf = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => a + b, 0)

/** Loss, EL2N and d loss / d logits of each row; labels are class indices or rows of weights. */
export function lossReference(logits: Float32Array, labels: Int32Array | Float32Array, classes: number) {
  const rows = logits.length / classes
  const out = { loss: new Array<number>(rows), el2n: new Array<number>(rows), gradient: new Array<number>(logits.length) }
  for (let row = 0; row < rows; row++) {
    const z = logits.subarray(row * classes, (row + 1) * classes)
    const t = Array.from(z, (_, k) => (labels instanceof Int32Array ? Number(labels[row] === k) : labels[row * classes + k]))
    const top = Math.max(...z)
    const e = Array.from(z, (v) => Math.exp(v - top))
    const p = e.map((v) => v / sumOf(e))
    const total = sumOf(t)
    out.loss[row] = total * (top + Math.log(sumOf(e))) - sumOf(t.map((weight, k) => weight * z[k]))
    out.el2n[row] = Math.sqrt(sumOf(p.map((v, k) => (v - t[k]) ** 2)))
    p.forEach((v, k) => {
      out.gradient[row * classes + k] = total * v - t[k]
    })
  }
  return out
}

export interface AttentionSettings {
  readonly spatialWeight?: number
  readonly channelWeight?: number
  readonly spatialPower?: number
  readonly channelPower?: number
  readonly classes?: { readonly count: number; readonly real: ArrayLike<number>; readonly synthetic: ArrayLike<number> }
}

interface Maps {
  readonly real: Float32Array
  readonly synthetic: Float32Array
  /** [N, H, W, C] of the real maps. */
  readonly shape: readonly number[]
}

/** One unit vector for each image: `slot` says which entry of the vector an element of the image adds to. */
function vectors(data: Float32Array, image: number, width: number, slot: (i: number) => number, p: number) {
  return Array.from({ length: data.length / image }, (_, row) => {
    const a = new Array<number>(width).fill(0)
    for (let i = 0; i < image; i++) a[slot(i)] += Math.abs(data[row * image + i]) ** p
    const length = Math.max(Math.sqrt(sumOf(a.map((v) => v * v))), 1e-12)
    return { length, z: a.map((v) => v / length) }
  })
}

/** The terms, the loss, and the closed-form gradient with respect to the synthetic maps. */
export function attentionReference({ real, synthetic, shape }: Maps, settings: AttentionSettings) {
  const [, height, width, channels] = shape
  const image = height * width * channels
  const { spatialWeight = 1, channelWeight = 1, spatialPower = 4, channelPower = 4, classes } = settings
  const sides = [real, synthetic].map((data, side) => {
    const rows = data.length / image
    const given = classes && (side === 0 ? classes.real : classes.synthetic)
    return { data, of: Array.from({ length: rows }, (_, row) => given?.[row] ?? 0) }
  })
  const gradient = new Array<number>(synthetic.length).fill(0)
  const term = (weight: number, p: number, length: number, slot: (i: number) => number): number | null => {
    if (weight === 0) return null
    const [a, b] = sides.map(({ data }) => vectors(data, image, length, slot, p))
    let total = 0
    for (let c = 0; c < (classes?.count ?? 1); c++) {
      const [mine, theirs] = [sides[0], sides[1]].map(({ of }) => of.flatMap((k, row) => (k === c ? [row] : [])))
      if (mine.length === 0 || theirs.length === 0) continue
      const mean = (all: typeof a, rows: number[], k: number) => sumOf(rows.map((row) => all[row].z[k])) / rows.length
      const difference = Array.from({ length }, (_, k) => mean(a, mine, k) - mean(b, theirs, k))
      total += sumOf(difference.map((d) => d * d))
      for (const row of theirs) {
        const { z, length: norm } = b[row]
        const g = difference.map((d) => (-2 * weight * d) / theirs.length)
        const along = sumOf(z.map((v, k) => v * g[k]))
        for (let i = 0; i < image; i++) {
          const f = synthetic[row * image + i]
          const k = slot(i)
          const slope = f === 0 ? 0 : p * Math.abs(f) ** (p - 1) * Math.sign(f)
          gradient[row * image + i] += ((g[k] - z[k] * along) / norm) * slope
        }
      }
    }
    return total
  }
  const spatial = term(spatialWeight, spatialPower, height * width, (i) => Math.floor(i / channels))
  const channel = term(channelWeight, channelPower, channels, (i) => i % channels)
  return { spatial, channel, loss: spatialWeight * (spatial ?? 0) + channelWeight * (channel ?? 0), gradient }
}
