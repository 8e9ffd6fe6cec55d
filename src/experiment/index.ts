/** @file Run directories, artifacts, and the types that the shell and the library share. */

export { decodeSafetensors, encodeSafetensors, type SafeTensor } from '../files/safetensors.js'
export { checkpointStore } from './checkpoint-store.js'
export { type Manifest, manifestFormat, manifestVersion } from './manifest.js'
export {
  createRepresentationSet,
  loadRepresentationSet,
  type RepresentationManifest,
  type RepresentationSet,
  type RepresentationSetFields,
  readRepresentationManifest,
  type TargetStatistics,
  type TeacherIdentity,
} from './representation-set.js'
export {
  createRunDir,
  type EvaluationRecord,
  type LoggedEvent,
  type RunDir,
  type RunRecord,
  type RunStatus,
  readEvents,
  readRunRecord,
  reopenRunDir,
  runStatus,
} from './run-dir.js'
export { createSyntheticSet, loadSyntheticSet, readManifest } from './synthetic-set.js'
export type * from './types.js'
