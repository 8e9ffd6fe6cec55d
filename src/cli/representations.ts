/** @file Distillation without labels for commands: what stands on the command line, the teacher behind it, and run directories of such runs. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { AludelError, expected } from '../errors.js'
import type { RepresentationSet } from '../experiment/representation-set.js'
import type { RunRecord, TeacherRecord } from '../experiment/run-dir.js'
import type { DeviceHandle, RepresentationRunSettings, RunConfig } from '../experiment/types.js'
import type { Teacher } from '../teachers/index.js'
import type { Library } from './library.js'
import { factor, flagOf, given, nonEmptyPath, numberList, wholeNumber } from './options.js'
import { type Distillation, type DistillationJob, newRecord, runInDirectory } from './run-distillation.js'

export interface RepresentationOptions {
  readonly n?: number
  readonly teacher?: string
  readonly teacherOutput?: string
  readonly teacherObjective?: string
  readonly mean?: number[]
  readonly std?: number[]
  readonly scale?: number
}

/** Names of these options in code. */
const ownOptions: readonly string[] = ['n', 'teacher', 'teacherOutput', 'teacherObjective', 'mean', 'std', 'scale']
/** Options of other methods: a run without labels has nothing that they could mean. */
const otherOptions = [
  'ipc',
  'init',
  'zca',
  'zcaEps',
  'prune',
  'scores',
  'dynamic',
  'classGroup',
  'shard',
  'mask',
  'experts',
  'recipe',
  'override',
  'schedule',
  'scheduleEvery',
  'kind',
]

export const addRepresentationOptions = (command: Command): Command =>
  addTeacherOptions(command.option('--n <n>', 'of krr-st: synthetic images in all, without classes', wholeNumber(1)))

export function addTeacherOptions(command: Command): Command {
  return command
    .option('--teacher <path>', 'of krr-st: a frozen encoder, an ONNX model or a directory of aludel pretrain', nonEmptyPath)
    .option('--teacher-output <name>', "with --teacher: the model's output that is taken (default: features, or the only one)")
    .option('--teacher-objective <name>', 'with --teacher: what the model was trained by, for the records (default: unknown)')
    .option('--mean <numbers>', "with --teacher: mean per channel of its input's normalisation (default: that of its metadata)", numberList)
    .option('--std <numbers>', 'with --teacher: standard deviation per channel', numberList)
    .option('--scale <factor>', 'with --teacher: what bytes are multiplied by before that, a number or 1/255 (default: 1/255)', factor)
}

/** Whether the method is one without labels. Throws `invalid_option` for options that the method has no use for, or lacks. */
export async function isRepresentationRun(method: string, options: RepresentationOptions, command: Command): Promise<boolean> {
  const isGiven = (name: string) => command.getOptionValueSource(name) === 'cli'
  const { representationMethodNames } = await import('../distill/registry.js')
  if (!representationMethodNames.includes(method)) {
    const wrong = ownOptions.find(isGiven)
    if (wrong !== undefined)
      throw new AludelError(
        'invalid_option',
        `${flagOf(wrong)}: goes with --method ${representationMethodNames.join(' or ')}; leave it out`,
      )
    return false
  }
  const wrong = otherOptions.find(isGiven)
  if (wrong !== undefined) throw new AludelError('invalid_option', `${flagOf(wrong)}: ${method} has no use for it; leave it out`)
  if (options.n === undefined) throw expected('invalid_option', '--n', `the number of images that ${method} is to make`, undefined)
  if (options.teacher === undefined)
    throw expected('invalid_option', '--teacher', `an encoder, whose representations ${method} learns`, undefined)
  return true
}

/** How the teacher of the command line is opened, but for its identity. */
export const teacherChoice = ({
  teacher,
  teacherOutput,
  teacherObjective,
  mean,
  std,
  scale,
}: RepresentationOptions): Omit<TeacherRecord, 'sha256'> => ({
  path: teacher as string,
  ...given({ output: teacherOutput, objective: teacherObjective, mean, std, scale }),
})

/** The caller disposes of it. */
export function openEncoder(
  library: Library,
  { path, output, objective, mean, std, scale }: Omit<TeacherRecord, 'sha256'>,
  { device, image }: { readonly device: DeviceHandle; readonly image: readonly number[] },
): Promise<Teacher> {
  const normalization = given({ mean, std, scale })
  const says = Object.keys(normalization).length > 0
  return library.openTeacher(path, {
    device,
    image: image as [number, number, number],
    ...given({ output, objective }),
    ...(says && { normalization }),
  })
}

export interface RepresentationJob extends Omit<DistillationJob, 'settings' | 'experts' | 'pruning' | 'recipe'> {
  readonly settings: RepresentationRunSettings
  readonly teacher: Teacher
  readonly choice: Omit<TeacherRecord, 'sha256'>
}

/** A run without labels in a directory of its own. */
export function runRepresentations(job: RepresentationJob): Promise<Distillation<RepresentationSet>> {
  const { library, dataset, settings, teacher } = job
  return runInDirectory(job, recordOf(job), (options) => library.distillRepresentations(dataset, { ...settings, ...options, teacher }))
}

function recordOf({ settings, teacher, choice, ...job }: RepresentationJob): RunRecord {
  const { methodOptions = {}, network, ...general } = settings
  const named = network === undefined ? {} : { network: typeof network === 'string' ? network : network.name }
  const config: RunConfig = { ...general, ...named, ...methodOptions }
  return newRecord(job, {
    config,
    representations: { ...general, ...named, ...given({ methodOptions: settings.methodOptions }) },
    teacher: { ...choice, path: resolve(choice.path), sha256: teacher.sha256 },
  })
}
