/** @file The learning rate of a mean squared error by the number of outputs that it is a mean over. */

/** Outputs that KRR-ST's rates were found at: representations of a ResNet-18 (arXiv 2310.06511). */
const usualOutputs = 512

/**
 * A mean over k outputs divides the gradient by k: the rate that is stable for 512 outputs is too large for fewer, by as much as they are
 * fewer. For more it stays as published.
 */
export const rateForOutputs = (lr: number, outputs: number): number => lr * Math.min(1, outputs / usualOutputs)
