/** @file Continues the run in a directory: settings, data, instruction set and state are its own. */
import { resolve } from 'node:path'
import type { Dataset } from '../data/dataset.js'
import { AludelError, expected } from '../errors.js'
import type { RepresentationSet } from '../experiment/representation-set.js'
import { loadRunRepresentations, loadRunSet, type RunDir, type RunRecord, runFile, runSpecification } from '../experiment/run-dir.js'
import type { OnDivergence } from '../experiment/types.js'
import type { ExpertStore } from '../experts/store.js'
import type { DeviceOptions } from './commands/shared-options.js'
import { completedBy, openOptions } from './data-options.js'
import { hostDescription, versions } from './host.js'
import type { Library } from './library.js'
import { given } from './options.js'
import type { Output } from './output.js'
import { commandLine } from './phase.js'
import { openEncoder } from './representations.js'
import { type Distillation, distillPruned, finishDistillation } from './run-distillation.js'
import { scheduleOfRun } from './run-schedule.js'
import { openSameDevice } from './same-device.js'
import { whitenAgain } from './whitening.js'

export interface ResumeJob {
  readonly library: Library
  readonly output: Output
  /** The command line, for run.json. */
  readonly args: readonly string[]
  /** Open; the caller closes it. */
  readonly runDir: RunDir
  /** Where the data is now; default where it was. */
  readonly data?: string
  readonly cache?: string
  /** Where to compute, within what the run was begun with. */
  readonly chosen: DeviceOptions
  /** Where the experts are now; default where they were. */
  readonly experts?: string
  /** Where the teacher is now; default where it was. */
  readonly teacher?: string
  readonly checkpointEvery?: number
  readonly iterations?: number
  readonly onDivergence?: OnDivergence
}

/** Steps of a run that has done all it was to do, and whose set is whole; undefined when there is something left to do. */
export async function completedSteps({ dir, record }: RunDir, iterations: number | undefined, output: Output): Promise<number | undefined> {
  const planned = record.config.iterations
  if (record.status !== 'done' || typeof planned !== 'number' || (iterations ?? planned) !== planned) return undefined
  try {
    await (record.representations ? loadRunRepresentations(dir, record) : loadRunSet(dir, record))
    return planned
  } catch (error) {
    if (!(error instanceof AludelError)) throw error
    output.notice(`${error.message}. The set is made again from the run's state`)
    return undefined
  }
}

/** Throws `incompatible` for other data, another instruction set or other settings; run.json is as it was then. */
export async function resumeDistillation(job: ResumeJob): Promise<Distillation> {
  const { library, output, runDir, iterations, onDivergence } = job
  const { record } = runDir
  const settings = settingsOf(runDir)
  if (job.teacher !== undefined)
    throw expected('invalid_option', `${runDir.dir}: --teacher`, 'a run that learns representations', record.config.method)
  const { train, specification } = await dataOf(job)
  const experts = await expertsOf(job)
  const device = await openSameDevice(library, job.chosen, record.host, 'run')
  try {
    const checkpointEvery = job.checkpointEvery ?? record.checkpointEvery ?? undefined
    const changed = { data: { ...record.data, specification }, settings: { ...settings, ...given({ iterations, onDivergence }) } }
    const continuation = { ...continued(job, hostDescription(device)), ...changed, checkpointEvery: checkpointEvery ?? null }
    if (record.prune && record.prune.subsetSha256 === null) {
      // the run ended before its images were chosen
      const tools = { library, output, device, runDir, train, continuation, ...openOptions(job) }
      return await distillPruned({ ...tools, settings: changed.settings, ...given({ checkpointEvery }) })
    }
    const dataset = await whitenAgain(train, runDir, { library, output, device, ...openOptions(job) })
    const abort = new AbortController()
    const run = await library.distill(dataset, {
      ...settings,
      ...(await scheduleOfRun(dataset, record)),
      ...given({ iterations, onDivergence, checkpointEvery, experts }),
      device,
      signal: abort.signal,
      checkpoints: runDir.checkpoints,
    })
    return await finishDistillation({ run, runDir, tools: { library, output, device, dataset }, abort, continuation })
  } finally {
    await device.close()
  }
}

/** The data of the run, where it is now. Throws `incompatible` for other data. */
async function dataOf(job: ResumeJob): Promise<{ train: Dataset; specification: string }> {
  const { library, runDir } = job
  const { record } = runDir
  const ofRun = record.data.specification
  const specification = completedBy(job.data ?? ofRun, ofRun)
  const own = runSpecification(runDir.dir, { ...record, data: { ...record.data, specification } })
  const train = await library.openDataset(own, 'train', openOptions(job))
  if (train.sha256 !== record.data.sha256) {
    const todo = 'a run continues on its own data; --data says where it is'
    throw expected('incompatible', `${specification}: sha256`, `${record.data.sha256}, that of the run,`, train.sha256, todo)
  }
  return { train, specification }
}

/** As `resumeDistillation`, of a run without labels; throws `incompatible` for another teacher too. */
export async function resumeRepresentations(job: ResumeJob): Promise<Distillation<RepresentationSet>> {
  const { library, output, runDir, iterations, onDivergence } = job
  const { record } = runDir
  const { representations: settings, teacher: begun } = record
  if (!settings || !begun) throw new AludelError('incompatible', `${runDir.dir}/${runFile}: has no settings and teacher to continue with`)
  if (job.experts !== undefined)
    throw expected('invalid_option', `${runDir.dir}: --experts`, 'a run that matches experts', record.config.method)
  const { train, specification } = await dataOf(job)
  const device = await openSameDevice(library, job.chosen, record.host, 'run')
  try {
    const choice = { ...begun, path: job.teacher ?? begun.path }
    const teacher = await openEncoder(library, choice, { device, image: train.shape.slice(1) })
    try {
      if (teacher.sha256 !== begun.sha256) {
        const todo = 'a run continues with its own teacher; --teacher says where it is'
        throw expected('incompatible', `teacher ${choice.path}: sha256`, begun.sha256, teacher.sha256, todo)
      }
      const checkpointEvery = job.checkpointEvery ?? record.checkpointEvery ?? undefined
      const changed = {
        data: { ...record.data, specification },
        representations: { ...settings, ...given({ iterations, onDivergence }) },
        teacher: { ...choice, path: resolve(choice.path) },
      }
      const continuation = { ...continued(job, hostDescription(device)), ...changed, checkpointEvery: checkpointEvery ?? null }
      const abort = new AbortController()
      const run = await library.distillRepresentations(train, {
        ...changed.representations,
        ...given({ checkpointEvery }),
        device,
        teacher,
        signal: abort.signal,
        checkpoints: runDir.checkpoints,
      })
      return await finishDistillation({ run, runDir, tools: { library, output, device, dataset: train, teacher }, abort, continuation })
    } finally {
      await teacher.dispose()
    }
  } finally {
    await device.close()
  }
}

/** The experts that the run began with, of which more may be finished by now. Throws `incompatible` for another store, `invalid_option`. */
async function expertsOf({ library, runDir, experts: dir }: ResumeJob): Promise<ExpertStore | undefined> {
  const { experts: begun } = runDir.record
  if (!begun) {
    if (dir !== undefined)
      throw expected('invalid_option', `${runDir.dir}: --experts`, 'a run that matches experts', runDir.record.config.method)
    return undefined
  }
  const store = await library.openExperts(dir ?? begun.path)
  const todo = 'a run continues with its own experts; --experts says where they are'
  if (store.sha256 !== begun.sha256) throw expected('incompatible', `experts in ${store.dir}: sha256`, begun.sha256, store.sha256, todo)
  const missing = begun.numbers.filter((number) => !store.experts.includes(number))
  if (missing.length > 0)
    throw expected('incompatible', `experts in ${store.dir}`, `all that the run began with: ${begun.numbers}`, store.experts, todo)
  return { ...store, experts: begun.numbers }
}

/** Settings as they were given; what they lead to is compared with the checkpoint's. */
function settingsOf({ dir, record }: RunDir) {
  const { settings } = record
  if (settings) return settings
  throw new AludelError('incompatible', `${dir}/${runFile}: has no settings to continue with; it was made by an earlier version`)
}

/** run.json of a run that goes on. */
function continued({ runDir, output, args }: ResumeJob, host: RunRecord['host']) {
  const { record } = runDir
  const now = versions()
  if (record.versions.aludel !== now.aludel) {
    const change = `the run was begun with aludel ${record.versions.aludel} and goes on with ${now.aludel}`
    output.notice(`${change}: its bytes may differ from those of an uninterrupted run`)
  }
  const resumes = [...(record.resumes ?? []), { started: new Date().toISOString(), versions: now, host }]
  const commands = [...(record.commands ?? []), commandLine(args)]
  // What was measured on an earlier set says nothing of the one to come, but how the run came along.
  const earlier = [...(record.earlier ?? []), ...record.evaluations.filter(({ steps }) => steps !== undefined)]
  return { status: 'running', finished: null, error: null, artifact: null, evaluations: [], earlier, resumes, commands } as const
}
