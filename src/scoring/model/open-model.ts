/** @file Everything that a scoring by a model works with, opened and held against each other before anything is computed. */
import { basename } from 'node:path'
import { datasetStream, type ImageStream } from '../../data/image-stream.js'
import { isOfFiles, type OpenOptions, openImageStream } from '../../data/open.js'
import { listingHash } from '../../data/packed/pack-files.js'
import { formatSpecification, parseSpecification } from '../../data/specification.js'
import type { Device } from '../../engine/runtime/device.js'
import { AludelError } from '../../errors.js'
import { hashOfParts } from '../../files/pieces.js'
import { describeModel, OnnxClassifier, type PixelNormalization, RuntimeProcess, readModelFile } from '../../onnx/index.js'
import { openDataset } from '../../prune/open-dataset.js'
import { type ClassMap, type GivenClassMap, mapClasses } from './class-map.js'

export interface OpenModelOptions extends PixelNormalization {
  readonly model: string
  /** Specification of the data. */
  readonly data: string
  readonly split: 'train' | 'test'
  readonly classMap?: GivenClassMap
  readonly featuresOutput?: string
  readonly provider?: 'auto' | 'cpu'
  readonly device: Device
  readonly signal?: AbortSignal
}

export interface OpenedModel {
  readonly stream: ImageStream
  readonly classifier: OnnxClassifier
  readonly map: ClassMap
  readonly modelName: string
  readonly modelSha256: string
  /** How files are resized; null where nothing is. */
  readonly fit: string | null
  /** Version of ONNX Runtime. */
  readonly runtimeVersion: string
  readonly listing: string
  close(): void
}

/**
 * Opens model, data and ONNX Runtime. Throws what these throw: `unavailable`, `not_found`, `invalid_data` for a model that does not fit,
 * `invalid_option`, `io`; for single files not before they are read.
 */
export async function openModel(options: OpenModelOptions): Promise<OpenedModel> {
  const { model, data, split, classMap, featuresOutput, provider, device, signal } = options
  const bytes = await readModelFile(model)
  const described = describeModel(model, bytes, featuresOutput)
  const runtime = await RuntimeProcess.open()
  try {
    const { stream, fit } = await openStream(data, split, model, described.size, signal)
    const map = mapClasses(model, stream.classes, described, classMap)
    const normalization = normalizationOf(options)
    const classifier = await OnnxClassifier.load(runtime, model, bytes, {
      ...{ device, image: stream.image, classes: map.width },
      ...(normalization && { normalization }),
      ...(featuresOutput !== undefined && { features: featuresOutput }),
      ...(provider && { provider }),
      ...(signal && { signal }),
    })
    return {
      ...{ stream, classifier, map, fit },
      modelName: basename(model),
      modelSha256: await hashOfParts('', [bytes]),
      runtimeVersion: runtime.version,
      listing: listingOf(stream),
      close: () => runtime.close(),
    }
  } catch (error) {
    runtime.close()
    throw error
  }
}

function normalizationOf({ mean, std, scale }: PixelNormalization): PixelNormalization | undefined {
  if (mean === undefined && std === undefined && scale === undefined) return undefined
  return { ...(mean !== undefined && { mean }), ...(std !== undefined && { std }), ...(scale !== undefined && { scale }) }
}

/** Files at the size of the specification, else at that of the model's input; everything else as it is. */
async function openStream(
  data: string,
  split: 'train' | 'test',
  model: string,
  size: readonly [number, number] | undefined,
  signal: AbortSignal | undefined,
): Promise<{ readonly stream: ImageStream; readonly fit: string | null }> {
  const { options, ...rest } = parseSpecification(data)
  const { subset, ...others } = options
  const open: OpenOptions = signal ? { signal } : {}
  const files = isOfFiles(formatSpecification({ ...rest, options: others }))
  const asked = others.size
  const own = files && asked === undefined && size !== undefined ? size : undefined
  if (own && own[0] !== own[1]) {
    const todo = 'images are resized to squares; give a model that takes one'
    throw new AludelError('invalid_data', `${model}: its input is ${own[0]}x${own[1]} pixels; ${todo}`)
  }
  const sized = own ? { ...others, size: own[0] } : others
  const fit = files && sized.size !== undefined ? (sized.fit ?? 'squash') : null
  const specification = formatSpecification({ ...rest, options: sized })
  // a part is told by the whole that it was taken from, which must be at hand: it is read into memory
  if (subset !== undefined && split === 'train')
    return { stream: datasetStream(await openDataset(`${specification},subset=${subset}`, split, open)), fit }
  return { stream: await openImageStream(specification, split, open), fit }
}

/** Two streams of one listing have the same places: of files by class and name, in memory by content. */
const listingOf = ({ classes, labels, names, sha256 }: ImageStream): string =>
  sha256 ?? listingHash({ classes, labels, names: names as readonly string[] })
