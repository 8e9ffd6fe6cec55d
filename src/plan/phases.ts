/** @file The phases of a run as they would be set up: the same code as the real thing builds its programs and arrays on a planning device. */
import { parseAugment } from '../augment/dsa.js'
import type { Dataset } from '../data/dataset.js'
import { prepareRun } from '../distill/loop.js'
import { resolveSettings } from '../distill/settings.js'
import type { Device } from '../engine/runtime/device.js'
import { keyOf } from '../engine/tensor/key.js'
import { networkUnder } from '../evaluate/centred-network.js'
import { planEvaluation } from '../evaluate/plan.js'
import type { Protocol } from '../evaluate/protocol.js'
import type { DistillOptions, DistillSettings, LabelKind, RunConfig } from '../experiment/types.js'
import { resolveNetwork } from '../nn/networks/registry.js'
import { type DeviceBytes, PlanningDevice } from './planning-device.js'

export interface Phase {
  readonly name: string
  readonly bytes: DeviceBytes
  /** Floating-point operations of the whole phase. */
  readonly flops: number
  /** Steps of the phase: iterations, or training steps of all networks. */
  readonly steps: number
}

/** A planning device, as what it stands in for and as what it is. */
export const planningDevice = (target: Device): { device: Device; planned: PlanningDevice } => {
  const planned = new PlanningDevice(target)
  // the code that is planned reads no more of a device than this class has
  return { device: planned as unknown as Device, planned }
}

export interface PlannedDistillation {
  readonly phase: Phase
  /** Bytes of its state. */
  readonly stateBytes: number
  /** Settings as they are resolved. */
  readonly config: RunConfig
  /** What the set will have beside its images: a rate, and labels of logits. */
  readonly learns: { readonly rate: boolean; readonly labels: LabelKind }
}

export type PlannedSettings = DistillSettings & Pick<DistillOptions, 'experts'>

/** The distillation, and what its set will be. */
export function distillationPhase(dataset: Dataset, settings: PlannedSettings, target: Device): PlannedDistillation {
  const resolved = resolveSettings(dataset, settings)
  const { device, planned } = planningDevice(target)
  const { work, state } = prepareRun(dataset, resolved, device)
  const { iterations, config } = resolved
  const labels = ['soft', 'learned', 'solve'].includes(resolved.methodOptions.labels as string) ? 'soft' : 'hard'
  const learns = { rate: 'trajectory' in resolved.method, labels } as const
  const phase = {
    name: 'distill',
    bytes: planned.bytes,
    flops: (work.flopsBefore ?? 0) + iterations * work.flopsPerIteration,
    steps: iterations,
  }
  return { phase, stateBytes: state.bytes, config, learns }
}

export interface EvaluationSize {
  readonly network: string
  readonly ipc: number
  readonly repeats: number
  readonly protocol: Protocol
  readonly labels: LabelKind
  readonly epochs: number
}

/** Training and measuring of the networks of one name, on `train`'s shapes. */
export function evaluationPhase(train: Dataset, test: Dataset, size: EvaluationSize, target: Device): Phase {
  const { ipc, repeats, protocol, labels, epochs } = size
  const image = train.shape.slice(1) as [number, number, number]
  const rows = train.classes.length * ipc
  const { device, planned } = planningDevice(target)
  const network = networkUnder(protocol, resolveNetwork(size.network, image, train.classes.length))
  const set = {
    images: new Float32Array(0),
    shape: [rows, ...image],
    labels: new Int32Array(rows),
    ...(labels === 'soft' && { softLabels: new Float32Array(rows * train.classes.length) }),
    mean: train.mean,
    std: train.std,
  } as const
  const { flops, steps } = planEvaluation(device, {
    network,
    set,
    test,
    repeats,
    protocol,
    epochs,
    augment: parseAugment('dsa', train.flip),
    key: keyOf(0),
  })
  return { name: `evaluate ${size.network}`, bytes: planned.bytes, flops, steps }
}
