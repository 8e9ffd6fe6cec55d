/** @file How fast this device computes a network like the one at hand: the only measurement behind a predicted time. */
import { bindProgram } from '../engine/bound-program.js'
import { grad, squaredNorm, type Value } from '../engine/index.js'
import { isGpu } from '../engine/isa.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import type { Network } from '../nn/module.js'

/** Images of the step that is timed: fewer would leave a GPU idle. */
const imagesOn = ({ isa }: Device): number => (isGpu(isa) ? 512 : 32)
/** Long enough for the clock and for processors that change their speed. */
const leastSeconds = 0.3

/** Floating-point operations per second of a training step: forward, and the gradients of all parameters. */
export async function measureRate(device: Device, network: Network): Promise<number> {
  const images = imagesOn(device)
  const parameters = Object.fromEntries(network.parameters.map(({ name, shape }) => [name, { shape: [1, ...shape] }]))
  const program = bindProgram<string, string>(device, {
    inputs: { ...parameters, x: { shape: [1, images, ...network.input] } },
    outputs: Object.fromEntries(network.parameters.map(({ name }) => [`gradient of ${name}`, {}])),
    build({ x, ...weights }): Record<string, Value> {
      const gradients = grad(squaredNorm(network.apply(weights, x).logits), Object.values(weights))
      return Object.fromEntries(network.parameters.map(({ name }, i) => [`gradient of ${name}`, gradients[i]]))
    },
  })
  const arrays: Record<string, DeviceArray> = Object.fromEntries([
    ['x', device.array('f32', [1, images, ...network.input])],
    ...network.parameters.flatMap(({ name, shape }) => [
      [name, device.array('f32', [1, ...shape])],
      [`gradient of ${name}`, device.array('f32', [1, ...shape])],
    ]),
  ])
  try {
    await program.run(arrays)
    let runs = 0
    const start = performance.now()
    const seconds = () => (performance.now() - start) / 1000
    while (seconds() < leastSeconds) {
      await program.run(arrays)
      runs++
    }
    return (runs * program.plan.flops) / seconds()
  } finally {
    program.dispose()
    for (const array of Object.values(arrays)) array.dispose()
  }
}
