/** @file Where every setting of a recipe comes from: the recipe itself, the paper or code behind its preset, or a choice of this package. */
import type { PublishedSource, TrajectoryDefaults, TrajectoryMethodName } from '../distill/trajectory/published.js'
import type { Recipe } from '../recipes/index.js'

export interface Explained {
  readonly name: string
  readonly value: unknown
  readonly origin: string
}

/** [H, W, C] of data sets that have no 32 x 32 pixels of three channels: some presets go by it. */
const images: Readonly<Record<string, readonly [number, number, number]>> = {
  'tiny-imagenet': [64, 64, 3],
  mnist: [28, 28, 1],
  'fashion-mnist': [28, 28, 1],
}

/** Settings in the order of run.json, then how the experts are trained where the method has some. Throws `not_found` for what the recipe names. */
export async function explainRecipe({ data, distill }: Recipe): Promise<Explained[]> {
  const { methodByName } = await import('../distill/registry.js')
  const { presetByName } = await import('../distill/method.js')
  const { nearestPublished } = await import('../distill/trajectory/published.js')
  const method = methodByName(distill.method)
  const { name: presetName, preset } = presetByName(method, distill.preset)
  const { ipc, method: _, preset: __, options: chosen = {}, ...own } = distill
  const size = data.size
  const image = size === undefined ? (images[data.name] ?? ([32, 32, 3] as const)) : ([size, size, 3] as const)
  const { options, realBatch, ...general } = preset.settings({ ipc, image, data: data.name })
  const zca = data.zca ?? false
  // presets of these methods are named for what they are read from
  const cell: TrajectoryDefaults | undefined =
    'trajectory' in method
      ? nearestPublished(method.name as TrajectoryMethodName, data.name, ipc, presetName as PublishedSource)
      : undefined
  const given: Readonly<Record<string, unknown>> = { ...own, ...chosen }
  const stated = { ...general, ...(cell ? {} : { realBatch }), ...options, zca, ...cell?.training }
  const originOf = (name: string): string => {
    if (Object.hasOwn(given, name) || (name === 'zca' && cell?.zca !== zca)) return 'the recipe'
    return cell ? cell.origin[name as keyof typeof cell.origin] : `preset '${presetName}': ${preset.doc}`
  }
  return Object.entries({ ...stated, ...given }).map(([name, value]) => ({ name, value, origin: originOf(name) }))
}

/** Lines of columns: name, value, origin. */
export function explainedLines(explained: readonly Explained[]): string[] {
  const texts = explained.map(({ name, value, origin }) => [name, textOf(value), origin])
  const [names, values] = [0, 1].map((column) => Math.max(...texts.map((row) => row[column].length)))
  return texts.map(([name, value, origin]) => `${name.padEnd(names)}  ${value.padEnd(values)}  ${origin}`)
}

function textOf(value: unknown): string {
  if (value === null) return 'none'
  if (typeof value !== 'object') return String(value)
  if (Array.isArray(value)) return value.length > 0 ? value.join(',') : 'default'
  return Object.entries(value)
    .map(([name, part]) => `${name}=${part}`)
    .join(' ')
}
