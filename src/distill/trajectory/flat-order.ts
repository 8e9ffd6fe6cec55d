/** @file Where each element of a network's tensors stands in the flat public order, and moves between the two that leave the event loop its turns. */
import { inPieces, Turn } from '../../event-loop.js'
import { flatToEngine } from '../../nn/flat-parameters.js'
import { type Network, parameterCount } from '../../nn/module.js'

export class FlatOrder {
  /** Number of parameters, P. */
  readonly size: number
  /** By tensor: the place in the flat order of each of its elements, the engine's row-major. */
  readonly places: Readonly<Record<string, Int32Array>>

  constructor(network: Network) {
    this.size = parameterCount(network)
    const numbered = flatToEngine(
      network,
      Float64Array.from({ length: this.size }, (_, i) => i),
    )
    this.places = Object.fromEntries(Object.entries(numbered).map(([name, places]) => [name, Int32Array.from(places)]))
  }

  /** `flat` cut into the engine's tensors, by name. */
  async toEngine(flat: Float32Array): Promise<Record<string, Float32Array>> {
    const turn = new Turn()
    const tensors: Record<string, Float32Array> = {}
    for (const [name, places] of Object.entries(this.places)) {
      const tensor = new Float32Array(places.length)
      await inPieces(places.length, turn, (from, to) => {
        for (let j = from; j < to; j++) tensor[j] = flat[places[j]]
      })
      tensors[name] = tensor
    }
    return tensors
  }
}
