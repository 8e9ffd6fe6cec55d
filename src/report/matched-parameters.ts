/** @file Which parameters of the network a run matches, where a mask leaves some out. */
import { matchedTensors } from '../distill/matching/gradient-method.js'
import { droppedCount, parseMask } from '../distill/trajectory/mask.js'
import { AludelError } from '../errors.js'
import type { RunConfig } from '../experiment/types.js'
import { type Network, parameterCount } from '../nn/module.js'
import { networkByName } from '../nn/networks/registry.js'
import { escapeHtml } from './html.js'
import { foldable, textTable } from './table.js'

const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)} %`
const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1)

/** What the mask of `config` keeps of the network that it names, tensor by tensor; empty without a mask. `image` is [H, W, C]. */
export function matchedParameters(config: RunConfig, image: readonly number[], classes: number): string {
  const rule = parseMask(config.mask)
  if (!rule || rule.kind === 'none') return ''
  const network = networkOf(config, image, classes)
  if (!network) return `<p>Mask ${escapeHtml(String(config.mask))}.</p>`
  const count = parameterCount(network)
  const dropped = droppedCount(count, rule.share)
  const all = `${dropped} of ${count} parameters (${percent(dropped, count)})`
  if (rule.kind === 'loss')
    return `<p>In every iteration the mask leaves out the ${all} whose difference is smallest: others each time.</p>`
  const kept = keptByTensor(network, config)
  const rows = network.parameters.map(({ name, shape }) => {
    const [size, left] = [sizeOf(shape), kept.get(name) ?? 0]
    return [name, String(size), String(left), percent(left, size)]
  })
  const head = ['parameters, from the shallow end', 'number', 'matched', 'share']
  const text = `The mask leaves out the first ${all}, from the shallow end of the network.`
  return `<p>${text}</p>\n${foldable('By tensor', rows.length, textTable('What the mask keeps', head, rows))}`
}

/** Undefined for a network of the user's own, of which a run keeps the name alone. */
function networkOf({ network }: RunConfig, [height, width, channels]: readonly number[], classes: number): Network | undefined {
  try {
    return networkByName(String(network), [height, width, channels], classes)
  } catch (error) {
    if (error instanceof AludelError && error.code === 'not_found') return undefined
    throw error
  }
}

/** Parameters matched of every tensor; methods that match layers by number leave out more. */
function keptByTensor(network: Network, { mask, layers }: RunConfig): ReadonlyMap<string, number> {
  const every = network.parameters.map((_, i) => i + 1)
  const chosen = Array.isArray(layers) && layers.length > 0 ? (layers as readonly number[]) : every
  const tensors = matchedTensors({ layers: chosen, mask: String(mask) }, network)
  return new Map(tensors.map(({ name, shape, dropped = 0 }) => [name, sizeOf(shape) - dropped]))
}
