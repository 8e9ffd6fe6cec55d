/** @file Learning rates by completed steps: linear and cosine (PyTorch's LinearLR and CosineAnnealingLR, optax's decay to a share), with a warm-up. */

/** After `completed` steps of `total`: from lr to endFactor lr along a line; step 1 uses lr itself. Past the end it stays at the end. */
export function linearSchedule(lr: number, total: number, endFactor: number): (completed: number) => number {
  return (completed) => lr * (1 + (endFactor - 1) * (Math.min(completed, total) / total))
}

export interface CosineOptions {
  /** Share of lr that it ends at. Default 0. */
  readonly endFactor?: number
  /** Steps over which the rate rises from 0 along a line, counted within `total`. Default 0. */
  readonly warmUp?: number
}

/** After `completed` steps of `total`: half a cosine from lr to endFactor lr, behind the warm-up. Past the end it stays at the end. */
export function cosineSchedule(
  lr: number,
  total: number,
  { endFactor = 0, warmUp = 0 }: CosineOptions = {},
): (completed: number) => number {
  return (completed) => {
    if (completed < warmUp) return (lr * completed) / warmUp
    const share = total > warmUp ? Math.min(completed - warmUp, total - warmUp) / (total - warmUp) : 1
    return lr * (endFactor + ((1 - endFactor) * (1 + Math.cos(Math.PI * share))) / 2)
  }
}
