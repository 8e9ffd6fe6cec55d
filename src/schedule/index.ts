/** @file Public API of this folder. */
export { type DataSchedule, type PadScheduleOptions, padSchedule } from './data-schedule.js'
export { type PadRule, padCifar10, padManyClasses, padStretch } from './pad-rule.js'
export { type StartEpochs, startEpochBound } from './start-epoch.js'
