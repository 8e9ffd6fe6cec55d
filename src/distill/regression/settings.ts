/** @file What the iterations of a method of kernel ridge regression go by. */
import type { InitSpace } from '../../experiment/representation-set.js'
import type { Ridge } from '../../ridge/ridge.js'
import type { InnerLoss, InnerOptimiser } from './inner-step.js'
import type { PoolRule } from './pool-schedule.js'

export interface PoolSettings extends PoolRule {
  readonly optimiser: InnerOptimiser
  readonly loss: InnerLoss
}

/** 'globalStd': targets are divided by one number, the root of the mean variance of the teacher's dimensions; undone in the set. */
export const targetScalings = ['none', 'globalStd'] as const
export type TargetScaling = (typeof targetScalings)[number]

/** Whether answers of the teacher are kept for every image and crop: 'auto' where they are few enough and are asked for often. */
export const teacherTables = ['auto', 'on', 'off'] as const
export type TeacherTable = (typeof teacherTables)[number]

/** Images without labels and a teacher's representations of them (KRR-ST). */
export interface TeacherRegression {
  readonly pool: PoolSettings
  readonly ridge: Ridge
  /** Decoupled, of images and targets. */
  readonly weightDecay: number
  /** The learning rate after the last step, as a share of the first. */
  readonly lrEnd: number
  readonly initSpace: InitSpace
  readonly targetScaling: TargetScaling
  /** Black pixels around a real image before a crop of its own size is taken. */
  readonly padding: number
  readonly teacherTable: TeacherTable
}
