/** @file Whether every stage of a transfer has room on the device: their programs are laid out before the first network trains. */
import type { Device } from '../engine/runtime/device.js'
import { keyOf } from '../engine/tensor/key.js'
import { AludelError } from '../errors.js'
import { Turn } from '../event-loop.js'
import type { NetworkTensors } from '../export/onnx/export-network.js'
import type { Network } from '../nn/module.js'
import { mlp } from '../nn/networks/mlp.js'
import { networkByName } from '../nn/networks/registry.js'
import { plannedBytes } from '../plan/planning-device.js'
import { type Classifier, prepareDistillation } from './kd.js'
import { partsOf, prepareClusters } from './medoids.js'
import { type ForwardOptions, prepareForward, prepareFresh } from './networks.js'
import { prepareProbe } from './probe.js'
import type { ImageRows } from './rows.js'
import type { TransferProtocol, TransferSettings } from './settings.js'
import type { TransferSource } from './source.js'
import { countShares, type FittedTarget } from './target.js'
import { prepareTraining } from './train.js'

/** One network under one protocol, that is yet to be measured. */
export interface StageCell {
  readonly network: string
  readonly source: TransferSource
  readonly target: FittedTarget
  readonly protocol: TransferProtocol
}

export interface StageSizes {
  /** Of the set's images. */
  readonly shape: ImageRows['shape']
  readonly dim: number
  /** Real images; 0 without them. */
  readonly real: number
  readonly settings: TransferSettings
  readonly classifier: Classifier | undefined
}

interface Stage {
  readonly what: string
  /** Builds it on the device it is given. */
  readonly prepare: (device: Device) => unknown
  readonly todo: string
}

/** Throws `out_of_memory` naming the first stage of the cells that the device has no room for. */
export async function checkStages(device: Device, cells: readonly StageCell[], sizes: StageSizes): Promise<void> {
  const { freeBytes } = device
  // all programs share one workspace: what others have reserved of it is not needed again
  const { workspaceBytes } = device.memory()
  const turn = new Turn()
  const known = new Set<string>()
  for (const cell of cells) {
    for (const { what, prepare, todo } of [...sourceStages(cell, sizes), ...protocolStages(cell, sizes)]) {
      if (known.has(what)) continue
      known.add(what)
      await turn.breathe()
      const refuse = (why: string, cause?: unknown): never => {
        throw new AludelError('out_of_memory', `transfer: ${what} ${why}; ${todo}`, { cause })
      }
      let bytes = 0
      try {
        const { arrays, constants, workspace } = plannedBytes(device, prepare)
        bytes = arrays + constants + Math.max(0, workspace - workspaceBytes)
      } catch (error) {
        if (!(error instanceof AludelError) || error.code !== 'out_of_memory') throw error
        refuse(`has no room (${error.message})`, error)
      }
      if (bytes > freeBytes) refuse(`needs ${bytes} bytes on the device but ${freeBytes} are free`)
    }
  }
}

/** What a network is trained on has no influence on the bytes that it takes. */
const noTensors: NetworkTensors = { parameters: {}, state: {} }
const key = keyOf(0)
const noFloats = new Float32Array(0)
const images = (shape: ImageRows['shape'], pixels: ImageRows['pixels']): ImageRows => {
  const channels = new Array<number>(shape[3])
  return { pixels, shape, mean: channels.fill(0), std: [...channels].fill(1) }
}

/** Rows that a source has. */
function rowsOf(source: TransferSource, { shape, real }: StageSizes): ImageRows {
  const [n, ...image] = shape
  if (source === 'distilled') return images(shape, noFloats)
  return images([source === 'full' ? real : n, ...image], new Uint8Array(0))
}

function sourceStages({ network: name, source }: StageCell, sizes: StageSizes): Stage[] {
  if (source === 'none') return []
  const { shape, dim, real, settings } = sizes
  const network = networkByName(name, imageOf(shape), dim)
  const rows = rowsOf(source, sizes)
  const clusters = { data: noFloats, count: real, width: dim, ...partsOf(real) }
  const means: Stage = {
    what: `k-means of ${real} real images`,
    prepare: (device) => prepareClusters(device, clusters, shape[0]),
    todo: 'leave the source kmeans out',
  }
  const training: Stage = {
    what: `pretraining '${name}' on ${rows.shape[0]} ${source === 'distilled' ? 'distilled' : 'real'} images`,
    prepare: (device) => prepareTraining(device, network, noTensors, rows, { representations: noFloats }, settings.pretrain),
    todo: `${smaller('pretrain')}${source === 'full' ? ', or leave the source full out' : ''}`,
  }
  return [...(source === 'kmeans' ? [means] : []), drawing(network, name), training]
}

const imageOf = ([, ...image]: ImageRows['shape']) => image as [number, number, number]

const smaller = (part: string): string => `lower ${part}.batch (on the command line --set ${part}.batch=N) or take a smaller network`

const drawing = (network: Network, name: string): Stage => ({
  what: `drawing '${name}' of ${network.classes} outputs`,
  prepare: (device) => prepareFresh(device, network, key),
  todo: 'take a smaller network',
})

function protocolStages(cell: StageCell, sizes: StageSizes): Stage[] {
  const { network: name, target, protocol } = cell
  const network = networkByName(name, imageOf(sizes.shape), target.classes)
  const stages = { finetune: finetuneStages, kd: kdStages, linear: frozenStages, probe: frozenStages }
  return [drawing(network, name), ...stages[protocol](cell, network, sizes)]
}

/** Answers of a network for the images of a target. */
function answering(what: string, network: Network, rows: ImageRows, of: 'logits' | 'embedding', options?: ForwardOptions): Stage {
  const prepare = (device: Device) => prepareForward(device, network, noTensors, rows, of, options)
  return { what, prepare, todo: 'take fewer images (trainImages, testImages; on the command line --train-images, --test-images)' }
}

/** Rows as many and as large as those, without their bytes. */
const like = ({ shape }: ImageRows, count = shape[0]): ImageRows =>
  images([count, ...imageOf(shape)] as unknown as ImageRows['shape'], new Uint8Array(0))

function finetuneStages({ network: name, target }: StageCell, network: Network, { settings }: StageSizes): Stage[] {
  const { train, test, flip } = target
  const labels = { labels: new Int32Array(0) }
  const options = { ...settings.finetune, crop: { padding: 4, flip } }
  return [
    {
      what: `finetuning '${name}' on target '${target.name}'`,
      prepare: (device) => prepareTraining(device, network, noTensors, like(train), labels, options),
      todo: `${smaller('finetune')}, or fewer images (trainImages; on the command line --train-images)`,
    },
    answering(`measuring '${name}' on target '${target.name}'`, network, like(test), 'logits'),
  ]
}

function kdStages({ network: name, source, target }: StageCell, network: Network, sizes: StageSizes): Stage[] {
  const { settings, classifier } = sizes
  const noise = source === 'none'
  const [rows] = noise ? sizes.shape : rowsOf(source, sizes).shape
  const batch = Math.min(settings.kd.batch, rows)
  const options = { images: noFloats, rows, batch, noise, bnEval: settings.kd.bnEval, key }
  return [
    {
      what: `distilling the classifier into '${name}' on ${rows} ${noise ? 'images of noise' : 'images'}`,
      prepare: (device) => prepareDistillation(device, network, noTensors, { ...(classifier as Classifier), tensors: noTensors }, options),
      todo: smaller('kd'),
    },
    answering(`measuring '${name}' by kd on target '${target.name}'`, network, like(target.test), 'logits', {
      ...{ batchNorm: settings.kd.bnEval, batch: settings.kd.batch },
    }),
  ]
}

function frozenStages({ network: name, target, protocol }: StageCell, network: Network, { settings }: StageSizes): Stage[] {
  const { train, test, classes } = target
  const used = protocol === 'probe' ? sum(countShares(train.labels, classes, settings.probe.share)) : train.labels.length
  const width = network.parameters.find((parameter) => parameter.name === 'fc.weight')?.shape[0] ?? 0
  const linear = mlp({ input: [1, 1, width], classes, depth: 1 })
  const asRows = (rows: number) => ({ pixels: noFloats, shape: [rows, 1, 1, width] as const, mean: [], std: [] })
  const of = `'${name}' on target '${target.name}'`
  const head: Stage = {
    what: `protocol '${protocol}' of ${of}`,
    prepare: (device) =>
      protocol === 'probe'
        ? prepareProbe(device, { rows: used, width, classes, l2: settings.probe.l2 })
        : prepareTraining(device, linear, noTensors, asRows(used), { labels: new Int32Array(0) }, settings.linear),
    todo: `take fewer images (trainImages; on the command line --train-images)${protocol === 'linear' ? `, or ${smaller('linear')}` : ''}`,
  }
  return [
    answering(`features of ${used} training images by ${of}`, network, like(train, used), 'embedding'),
    answering(`features of the test images by ${of}`, network, like(test), 'embedding'),
    ...(protocol === 'linear' ? [drawing(linear, `the layer on ${of}`)] : []),
    head,
    answering(`measuring a layer on ${of}`, linear, asRows(test.labels.length), 'logits', { batch: 256 }),
  ]
}

const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0)
