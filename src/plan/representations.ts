/** @file What a run without labels will hold and take: its pool, checkpoints, the teacher's answers that are kept, and the teacher itself. */
import { checkDevice, checkOptions, wholeNumber } from '../arguments.js'
import { asDataset, type Dataset, type DatasetInput } from '../data/dataset.js'
import { prepareRun } from '../distill/loop.js'
import { variantCount } from '../distill/regression/real-batches.js'
import type { RepresentationSettings } from '../distill/regression/representation-iterations.js'
import { resolveRepresentation } from '../distill/regression/resolve.js'
import { tableBytes } from '../distill/regression/teacher-targets.js'
import { neededBytes } from '../distill/run-memory.js'
import { isGpu } from '../engine/isa.js'
import type { Device } from '../engine/runtime/device.js'
import { AludelError } from '../errors.js'
import { Turn } from '../event-loop.js'
import type { RepresentationRunSettings, RunConfig } from '../experiment/types.js'
import { freeMemory } from '../free-memory.js'
import { encodeChecked } from '../teachers/encode-checked.js'
import type { Teacher } from '../teachers/teacher.js'
import { largest } from './largest.js'
import { planningDevice } from './phases.js'
import { type DeviceBytes, totalBytes } from './planning-device.js'
import { measureRate } from './rate.js'

export interface RepresentationPlanOptions extends RepresentationRunSettings {
  /** Says instruction set and threads; its speed is measured for about half a second. */
  readonly device: Device
  /** Is asked for a few images, to know its time. */
  readonly teacher: Teacher
  /** Bytes that may be used, of a GPU those on it; default: what is free for the device. */
  readonly memory?: number
}

export interface RepresentationPlan {
  readonly config: RunConfig
  /** Of the run on the device: `arrays`, `constants` and the shared `workspace`. */
  readonly bytes: DeviceBytes
  readonly totalBytes: number
  /** Of the state, most of it the pool: a checkpoint on the disk, of which there are two, and each of the copies while one is taken. */
  readonly stateBytes: number
  readonly poolBytes: number
  /** All answers of the teacher that the run keeps; 0 where it keeps none. */
  readonly tableBytes: number
  /** Of the process of an ONNX teacher, which is open and not free any more; null for others, whose weights are on the device. */
  readonly teacherBytes: number | null
  readonly dataBytes: number
  /** The most that is held at any time, without the teacher; of a GPU what is on it. */
  readonly peakBytes: number
  readonly freeBytes: number
  /** Of a GPU: and the data, the answers that are kept and a checkpoint fit this process. */
  readonly fits: boolean
  /** Floating-point operations before the first step (the pool) and of all steps. */
  readonly flops: { readonly pool: number; readonly steps: number }
  readonly flopsPerSecond: number
  /** Predicted: a guide. The teacher's are of all images that it will be asked for. */
  readonly seconds: { readonly pool: number; readonly steps: number; readonly teacher: number }
  /** Largest values that fit while all other settings stay; null where even 1 does not. */
  readonly largest: { readonly n: number | null; readonly realBatch: number | null; readonly poolModels: number | null }
}

const optionNames: Readonly<Record<keyof RepresentationPlanOptions, true>> = {
  ...{ method: true, n: true, iterations: true, realBatch: true, imageLr: true, augment: true, network: true, seed: true, preset: true },
  ...{ methodOptions: true, onDivergence: true, device: true, teacher: true, memory: true },
}

/**
 * Plans `distillRepresentations(data, settings)`. Nothing is distilled: programs are built and laid out as for the run, so bytes on the device
 * are exact. Rejects as `distillRepresentations` does for settings and a teacher that do not fit the data.
 */
export async function planRepresentations(data: Dataset | DatasetInput, options: RepresentationPlanOptions): Promise<RepresentationPlan> {
  checkOptions('planRepresentations', options, optionNames)
  checkDevice('planRepresentations', options.device)
  const { device, teacher, memory, ...settings } = options
  if (memory !== undefined) wholeNumber('planRepresentations: memory', memory)
  const train = asDataset(data)
  const resolved = resolveRepresentation(train, settings, teacher)
  const run = layOut(train, resolved, device)
  const asked = await timeTeacher(teacher, resolved, train.shape[0])
  const flopsPerSecond = await measureRate(device, resolved.network)
  const apart = isGpu(device.isa)
  const freeBytes = memory ?? device.freeBytes
  const dataBytes = train.pixels ? 0 : train.images.byteLength
  const needs = (one: Layout): number => (apart ? neededBytes(device.isa, one).device : neededBytes(device.isa, one).process + dataBytes)
  const inProcess = (one: Layout): number => neededBytes(device.isa, one).process + dataBytes
  const fitsNow = (one: Layout): boolean => needs(one) <= freeBytes && (!apart || inProcess(one) <= freeMemory())
  const fits = (change: Partial<RepresentationRunSettings>): boolean => {
    try {
      return fitsNow(layOut(train, resolveRepresentation(train, { ...settings, ...change }, teacher), device))
    } catch (error) {
      if (error instanceof AludelError && (error.code === 'out_of_memory' || error.code === 'invalid_shape')) return false
      throw error
    }
  }
  const flops = { pool: run.flopsBefore, steps: resolved.iterations * run.flopsPerStep }
  return {
    config: resolved.config,
    bytes: run.bytes,
    totalBytes: run.device,
    stateBytes: run.state,
    poolBytes: run.pool,
    tableBytes: run.table,
    teacherBytes: asked.bytes,
    dataBytes,
    peakBytes: needs(run),
    freeBytes,
    fits: fitsNow(run),
    flops,
    flopsPerSecond,
    seconds: { pool: flops.pool / flopsPerSecond, steps: flops.steps / flopsPerSecond, teacher: asked.seconds },
    largest: await largestSettings(train, settings, resolved, fits),
  }
}

interface Layout {
  readonly bytes: DeviceBytes
  readonly device: number
  readonly state: number
  readonly pool: number
  readonly table: number
  readonly flopsBefore: number
  readonly flopsPerStep: number
}

function layOut(train: Dataset, settings: RepresentationSettings, target: Device): Layout {
  const { device, planned } = planningDevice(target)
  // a run is only planned without the teacher's own first answers
  const { teacher: _, ...without } = settings
  const { work, state } = prepareRun(train, without, device)
  const { table, crop, dim } = settings
  const ofPool = Object.entries(state.arrays).filter(([name]) => isOfPool(name))
  return {
    bytes: planned.bytes,
    device: totalBytes(planned.bytes),
    state: state.bytes,
    pool: ofPool.reduce((sum, [, { bytes }]) => sum + bytes, 0),
    table: table ? tableBytes(train.shape[0], variantCount(crop), dim) : 0,
    flopsBefore: work.flopsBefore ?? 0,
    flopsPerStep: work.flopsPerIteration,
  }
}

/** Networks with their statistics and moments, and their counters; a run that may go back keeps them twice. */
const isOfPool = (name: string): boolean => /^(?:rollback\.)?(?:parameter:|state:|moment:|pool\.)/.test(name)

/** Images of the call that is timed. */
const mostTimed = 128

/** The time of all images that a run asks for: those of its steps and those that it starts from; of a table each view once at most. */
async function timeTeacher(teacher: Teacher, { ipc: n, realBatch, iterations, table, crop }: RepresentationSettings, images: number) {
  const [height, width, channels] = teacher.input.shape
  const rows = Math.min(mostTimed, realBatch)
  const pixels = new Float32Array(rows * height * width * channels).fill(0.5)
  // the first call loads what later ones find
  await encodeChecked(teacher, pixels, rows)
  const start = performance.now()
  await encodeChecked(teacher, pixels, rows)
  const perImage = (performance.now() - start) / 1000 / rows
  const asked = iterations * realBatch
  const views = variantCount(crop)
  // in passes over the data every image is met, and all its views are asked for then
  const ofSteps = table ? Math.min(asked, images) * views : asked
  return { seconds: (n + ofSteps) * perImage, bytes: (await teacher.memory?.()) ?? null }
}

/** No setting is planned further than this. */
const most = 10_000
const mostModels = 100

async function largestSettings(
  train: Dataset,
  settings: RepresentationRunSettings,
  { ipc, realBatch, regression }: RepresentationSettings,
  fits: (change: Partial<RepresentationRunSettings>) => boolean,
): Promise<RepresentationPlan['largest']> {
  const turn = new Turn()
  const upTo = async (
    change: (value: number) => Partial<RepresentationRunSettings>,
    chosen: number,
    end: number,
  ): Promise<number | null> => {
    await turn.breathe()
    const start = fits(change(chosen)) ? chosen : 1
    if (!fits(change(start))) return null
    return largest(start, Math.max(start, start === chosen ? end : chosen), (value) => fits(change(value)))
  }
  const total = train.shape[0]
  const ofPool = (poolModels: number) => ({ methodOptions: { ...settings.methodOptions, poolModels } })
  return {
    n: await upTo((n) => ({ n }), ipc, Math.min(most, total)),
    realBatch: await upTo((value) => ({ realBatch: value }), realBatch, Math.min(most, total)),
    poolModels: await upTo(ofPool, regression.pool.models, mostModels),
  }
}
