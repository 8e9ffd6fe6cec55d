/** @file 50 picks of herding from float32 features of one class, [5000, 2048], as a caller has them. Value: the last row picked. */
import { herd } from '../../dist/scores/herding.js'
import { classFeatures, picks } from './picks.mjs'

export function prepare(device) {
  const features = classFeatures()
  return { plans: [], step: async () => (await herd(features, picks, { device }))[picks - 1] }
}
