/** @file The five methods of trajectory matching: one algorithm, other presets. */
import { trajectoryMethod } from './trajectory-method.js'

export const mtt = trajectoryMethod(
  'mtt',
  'Matching training trajectories: a student on the set is to go where experts went (2203.11932)',
  ['paper'],
)

export const ftd = trajectoryMethod('ftd', 'Flat trajectory distillation: experts in flat minima, the average of the images (2211.11004)', [
  'paper',
])

export const tesla = trajectoryMethod('tesla', 'Trajectory matching with a gradient approximated step by step (2211.10586)', ['paper'])

export const datm = trajectoryMethod(
  'datm',
  'Difficulty-aligned trajectory matching: a growing range of start epochs, learned soft labels (2310.05773)',
  ['yaml'],
)

export const pad = trajectoryMethod(
  'pad',
  'Prioritize alignment in distillation: experts from easy to hard samples, deep parameters matched (2408.03360)',
  ['paper', 'yaml'],
)
