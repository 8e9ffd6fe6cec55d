/** @file 50 picks of k-center greedy from float32 features of one class, [5000, 2048], as a caller has them. Value: the last row picked. */
import { kCenterGreedy } from '../../dist/scores/k-center.js'
import { classFeatures, picks } from './picks.mjs'

export function prepare(device) {
  const features = classFeatures()
  return { plans: [], step: async () => (await kCenterGreedy(features, picks, { device })).indices[picks - 1] }
}
