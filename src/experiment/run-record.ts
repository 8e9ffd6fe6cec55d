/** @file run.json: the settings and the state of a run, and the check of one that is read back. */
import { isRecord } from '../arguments.js'
import type { Plan } from '../engine/compile/program.js'
import { AludelError } from '../errors.js'
import { checkFields, type FieldRules, isConfig, isCount, isNumber, isNumbers, isScalars, isText, isTexts } from './json-fields.js'
import type { DistillSettings, EvaluationResult, ProtocolName, RepresentationRunSettings, RunConfig } from './types.js'

export const runFormat = 'aludel-run'
export const runVersion = 1

const statuses = ['running', 'done', 'stopped', 'failed'] as const
export type RunStatus = (typeof statuses)[number]

/** A list of accuracies under a heading such as 'distilled' or 'random real images'. */
export interface EvaluationRecord {
  readonly label: string
  /** Absent: 'dc', as in records of earlier versions. */
  readonly protocol?: ProtocolName
  readonly epochs: number | null
  /** Specification of the test data, seed and augmentation (null: the protocol's) of the networks; absent in records of earlier versions. */
  readonly data?: string
  readonly seed?: number
  readonly augment?: string | null
  /** Steps after which the images that were measured were saved; absent in records of earlier versions and of real images. */
  readonly steps?: number
  readonly results: readonly EvaluationResult[]
}

export interface Phase {
  readonly name: string
  readonly seconds: number
  /** Largest resident size of the process up to the phase's end. */
  readonly peakBytes: number
}

/** The training images of a run. */
export interface DataRecord {
  readonly specification: string
  readonly name: string
  /** Content hash. */
  readonly sha256: string
  readonly images: number
  /** [H, W, C] */
  readonly image?: readonly number[]
  /** In label order. */
  readonly classes?: readonly string[]
  /** Per channel, of pixels in [0, 1]. */
  readonly mean?: readonly number[]
  readonly std?: readonly number[]
  /** Whether mirrored images keep their class. */
  readonly flip?: boolean
  /** The whitening that the run works under; absent without one. */
  readonly zca?: { readonly order: string; readonly eps: number; readonly sha256: string }
}

/** How a run chooses its training images before anything else. */
export interface PruneRecord {
  /** The plan, with nothing left out. */
  readonly plan: Readonly<Record<string, unknown>>
  /** File or directory of the scores that were given; null where the run scores itself or draws. */
  readonly scores: string | null
  /** Of a run that scores itself: networks that score, as they were asked for. */
  readonly scoring?: { readonly network?: string; readonly runs?: number; readonly epochs?: number } | null
  /** The whitening that is fitted to the images that stay. */
  readonly zca: { readonly order: string; readonly eps?: number } | null
  /** Hash of the subset's record; null until it is chosen. */
  readonly subsetSha256: string | null
}

/** What real batches of a run are drawn by, where they do not come from all images at once. */
export interface ScheduleRecord {
  /** Settings of the rule, with nothing left out. */
  readonly rule: RunConfig
  /** Iterations of one epoch of it. */
  readonly every: number
  /** File or directory of the scores that it sorts by; null for a random order. */
  readonly scores: string | null
  /** Which score of those; null: as the command chooses where nobody says. */
  readonly kind: string | null
}

/** Settings as the user gave them: what a continuation resolves again. */
export type GivenSettings = Omit<DistillSettings, 'network'> & { readonly network?: string }

export type GivenRepresentationSettings = Omit<RepresentationRunSettings, 'network'> & { readonly network?: string }

export interface TeacherRecord {
  readonly path: string
  readonly sha256: string
  readonly output?: string
  readonly objective?: string
  readonly mean?: readonly number[]
  readonly std?: readonly number[]
  readonly scale?: number
}

export interface RunRecord {
  readonly format: typeof runFormat
  readonly version: typeof runVersion
  readonly status: RunStatus
  /** As given by the user, resolved settings are added when the run has started. */
  readonly config: RunConfig
  readonly settings?: GivenSettings
  /** The same of a run without labels, which has no `settings`. */
  readonly representations?: GivenRepresentationSettings
  /** Of a run without labels: where its teacher is, how it was opened, and its identity. */
  readonly teacher?: TeacherRecord
  /** The recipe that the settings came from, how it measures, and what its source reports. */
  readonly recipe?: {
    readonly name: string
    readonly evaluate?: {
      readonly networks?: readonly string[]
      readonly repeats?: number
      readonly protocol?: ProtocolName
      readonly epochs?: number
      readonly augment?: string
    }
    readonly reported?: { readonly accuracy: number; readonly spread?: number; readonly source: string }
  }
  readonly checkpointEvery?: number | null
  readonly data: DataRecord
  /** Absent in runs that take their data as it is. `data` is that of the images that stay, once they are chosen. */
  readonly prune?: PruneRecord
  /** Absent in runs that draw from all images in every iteration. */
  readonly schedule?: ScheduleRecord
  /** Of a run that matches experts: their store, its hash, and the experts that were finished when the run began. */
  readonly experts?: { readonly path: string; readonly sha256: string; readonly numbers: readonly number[] }
  readonly versions: Readonly<Record<string, string>>
  readonly host: Readonly<Record<string, string | number>>
  /** The compiled programs of the run, by name. */
  readonly plans?: Readonly<Record<string, Plan>>
  /** ISO 8601, UTC. */
  readonly started: string
  readonly finished: string | null
  readonly error: string | null
  /** Where and when the run was continued. */
  readonly resumes?: readonly Readonly<Record<string, unknown>>[]
  /** What the run has saved; absent while it is on. */
  readonly artifact?: { readonly manifestSha256: string } | null
  /** Of a run that was put together: the parts of the classes that it came from. */
  readonly parts?: readonly Readonly<Record<string, unknown>>[]
  readonly evaluations: readonly EvaluationRecord[]
  /** Of images that the run has since gone on from: the curve of accuracies over steps. */
  readonly earlier?: readonly EvaluationRecord[]
  /** What was done, in order, with its time and memory. */
  readonly phases?: readonly Phase[]
  /** The command lines that made the run what it is, in order. */
  readonly commands?: readonly string[]
}

const optional =
  (holds: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    value === undefined || value === null || holds(value)

const isTextOrNull = (value: unknown): boolean => value === null || isText(value)

const isData = (value: unknown): boolean =>
  isRecord(value) &&
  isText(value.specification) &&
  isText(value.name) &&
  isText(value.sha256) &&
  isCount(value.images) &&
  [value.image, value.mean, value.std].every((list) => list === undefined || isNumbers(list)) &&
  (value.classes === undefined || isTexts(value.classes)) &&
  (value.zca === undefined || (isRecord(value.zca) && isTexts([value.zca.order, value.zca.sha256]) && isNumber(value.zca.eps)))

const isInterval = (value: unknown): boolean => value === null || (Array.isArray(value) && value.length === 2 && isNumbers(value))

const isPerClass = (value: unknown): boolean => Array.isArray(value) && value.every((entry) => entry === null || isNumber(entry))

export const isResult = (value: unknown): boolean =>
  isRecord(value) &&
  isText(value.network) &&
  isNumber(value.mean) &&
  isNumber(value.std) &&
  isCount(value.n) &&
  isNumbers(value.values) &&
  isInterval(value.interval) &&
  isPerClass(value.perClass) &&
  optional(isTraining)(value.training)

const isTraining = (value: unknown): boolean =>
  isRecord(value) && isText(value.protocol) && isText(value.labels) && isNumber(value.learningRate) && isCount(value.batch)

export const isEvaluation = (value: unknown): boolean =>
  isRecord(value) &&
  isText(value.label) &&
  (value.epochs === null || isNumber(value.epochs)) &&
  optional(isText)(value.data) &&
  optional(isText)(value.protocol) &&
  optional(isCount)(value.seed) &&
  optional(isText)(value.augment) &&
  optional(isCount)(value.steps) &&
  Array.isArray(value.results) &&
  value.results.every(isResult)

const isPhase = (value: unknown): boolean => isRecord(value) && isText(value.name) && isNumber(value.seconds) && isNumber(value.peakBytes)

const isMeasuring = (value: unknown): boolean =>
  isRecord(value) &&
  optional(isTexts)(value.networks) &&
  optional(isCount)(value.repeats) &&
  optional(isText)(value.protocol) &&
  optional(isCount)(value.epochs) &&
  optional(isText)(value.augment)

const isReported = (value: unknown): boolean =>
  isRecord(value) && isNumber(value.accuracy) && optional(isNumber)(value.spread) && isText(value.source)

const isRecipe = (value: unknown): boolean =>
  isRecord(value) && isText(value.name) && optional(isMeasuring)(value.evaluate) && optional(isReported)(value.reported)

const isPrune = (value: unknown): boolean =>
  isRecord(value) &&
  isRecord(value.plan) &&
  isTextOrNull(value.scores) &&
  isTextOrNull(value.subsetSha256) &&
  [value.zca, value.scoring].every(optional(isRecord))

const isSchedule = (value: unknown): boolean =>
  isRecord(value) && isRecord(value.rule) && isConfig(value.rule) && isCount(value.every) && [value.scores, value.kind].every(isTextOrNull)

const isExperts = (value: unknown): boolean => isRecord(value) && isTexts([value.path, value.sha256]) && isNumbers(value.numbers)

const isTeacher = (value: unknown): boolean =>
  isRecord(value) &&
  isTexts([value.path, value.sha256]) &&
  [value.output, value.objective].every(optional(isText)) &&
  [value.mean, value.std].every(optional(isNumbers)) &&
  optional(isNumber)(value.scale)

const isArtifact = (value: unknown): boolean => isRecord(value) && isText(value.manifestSha256)

const rules: FieldRules<RunRecord> = [
  ['status', `one of ${statuses.join(', ')}`, (value) => statuses.some((status) => status === value)],
  ['config', 'settings by name', isConfig],
  ['data', 'specification, name and sha256 as text and the number of images', isData],
  ['prune', 'plan, scores, zca and subsetSha256', optional(isPrune)],
  ['schedule', 'rule, every, scores and kind', optional(isSchedule)],
  ['experts', 'path and sha256 as text and numbers', optional(isExperts)],
  ['settings', 'settings as they were given', optional(isRecord)],
  ['representations', 'settings as they were given', optional(isRecord)],
  ['teacher', 'path and sha256 as text, and how it is opened', optional(isTeacher)],
  ['recipe', 'a name, and how it measures', optional(isRecipe)],
  ['checkpointEvery', 'a number of steps or null', optional(isCount)],
  ['plans', 'plans by name', optional(isRecord)],
  ['parts', 'a list of parts', optional((value) => Array.isArray(value) && value.every(isRecord))],
  ['resumes', 'a list of continuations', optional((value) => Array.isArray(value) && value.every(isRecord))],
  ['artifact', 'manifestSha256 as text, or null', optional(isArtifact)],
  ['versions', 'versions by name', isScalars],
  ['host', 'properties by name', isScalars],
  ['started', 'a text', isText],
  ['finished', 'a text or null', isTextOrNull],
  ['error', 'a text or null', isTextOrNull],
  ['evaluations', 'a list of label, epochs and results', (value) => Array.isArray(value) && value.every(isEvaluation)],
  ['earlier', 'a list of label, epochs and results', optional((value) => Array.isArray(value) && value.every(isEvaluation))],
  ['phases', 'a list of name, seconds and bytes', (value) => value === undefined || (Array.isArray(value) && value.every(isPhase))],
  ['commands', 'a list of command lines', (value) => value === undefined || isTexts(value)],
]

/** `value`, after every field was found to be what it must be. Throws `invalid_data` naming the file and the field. */
export function checkRunRecord(path: string, value: unknown): RunRecord {
  if (!isRecord(value) || value.format !== runFormat || value.version !== runVersion) {
    throw new AludelError('invalid_data', `${path}: expected a run record (format '${runFormat}', version ${runVersion})`)
  }
  checkFields(path, value, rules)
  return value as unknown as RunRecord
}
