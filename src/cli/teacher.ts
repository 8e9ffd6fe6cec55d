/** @file The teacher of a command: an ONNX model or a network trained on all real images, whose answers take the place of labels. */
import { basename } from 'node:path'
import type { Dataset } from '../data/dataset.js'
import type { Teacher, TrainingSource } from '../evaluate/index.js'
import type { DeviceHandle, SyntheticSet } from '../experiment/types.js'
import type { Library } from './library.js'
import { given } from './options.js'
import type { Output } from './output.js'
import { withProgress } from './run-evaluation.js'

export interface TeacherOptions {
  /** A file that ends in .onnx, or a network's name. */
  readonly teacher?: string
  readonly teacherEpochs?: number
  readonly mean?: number[]
  readonly std?: number[]
  readonly scale?: number
}

export const isModelFile = (teacher: string): boolean => teacher.endsWith('.onnx')

/** What follows the label of images that a teacher answered for. */
export const softLabel = (teacher: string): string => `, soft labels of ${isModelFile(teacher) ? basename(teacher) : teacher}`

export interface TeacherJob {
  readonly library: Library
  readonly output: Output
  readonly device: DeviceHandle
  readonly set: SyntheticSet
  /** The real images that a network is trained on; not needed for a model. */
  readonly train: Dataset | undefined
  readonly seed: number
}

export async function openTeacher(options: TeacherOptions & { readonly teacher: string }, job: TeacherJob): Promise<Teacher> {
  const { teacher, teacherEpochs: epochs, mean, std, scale } = options
  const { library, output, device, set, train, seed } = job
  if (isModelFile(teacher)) {
    const normalization = given({ mean, std, scale })
    const image = set.shape.slice(1) as [number, number, number]
    const says = Object.keys(normalization).length > 0
    return library.modelTeacher(teacher, { device, image, classes: set.classes, ...(says && { normalization }) })
  }
  return withProgress(output, `all ${train?.shape[0]} real images, as the teacher`, ({ signal, onProgress }) =>
    library.networkTeacher(train as Dataset, { device, network: teacher, seed, signal, onProgress, ...given({ epochs }) }),
  )
}

/** The source with the teacher's labels, of each of the networks that will train. */
export async function softened(source: TrainingSource, teacher: Teacher, repeats: number, library: Library): Promise<TrainingSource> {
  if (typeof source !== 'function') return library.withSoftLabels(source, teacher)
  const sets: Awaited<ReturnType<Library['withSoftLabels']>>[] = []
  for (let network = 0; network < repeats; network++) sets.push(await library.withSoftLabels(source(network), teacher))
  return (network) => sets[network]
}
