/** @file Random tensors for a network, as after some training, and its logits on a device. */
import { bindProgram } from '../../src/engine/bound-program.js'
import { sizeOf } from '../../src/engine/index.js'
import type { DeviceArray } from '../../src/engine/runtime/array.js'
import type { Device } from '../../src/engine/runtime/device.js'
import type { NetworkTensors } from '../../src/export/onnx/export-network.js'
import type { Network } from '../../src/nn/module.js'

/** Numbers in [-1, 1) that depend on the title alone (xorshift, since the networks hold ten million). */
export function randomFloats(title: string, count: number): Float32Array {
  let state = [...title].reduce((h, c) => Math.imul(h ^ c.charCodeAt(0), 0x01000193), 0x811c9dc5) | 1
  return new Float32Array(count).map(() => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state / 2 ** 31
  })
}

export function randomTensors({ parameters, state }: Network): NetworkTensors {
  const around = (name: string, shape: readonly number[], center: number, scale: number): [string, Float32Array] => [
    name,
    randomFloats(name, sizeOf(shape)).map((v) => center + scale * v),
  ]
  return {
    parameters: Object.fromEntries(
      parameters.map(({ name, shape, init }) =>
        init.kind === 'constant'
          ? around(name, shape, init.value, 0.4)
          : around(name, shape, 0, 1.7 * ('std' in init ? init.std : init.bound)),
      ),
    ),
    state: Object.fromEntries(state.map(({ name, shape, initial }) => around(name, shape, initial, 0.4))),
  }
}

/** Logits [rows, classes] of images [rows, H, W, C] in eval mode, computed by the engine. */
export async function engineLogits(device: Device, network: Network, tensors: NetworkTensors, images: Float32Array): Promise<Float32Array> {
  const rows = images.length / sizeOf(network.input)
  const given = { ...tensors.parameters, ...tensors.state }
  const specs = [...network.parameters, ...network.state]
  const program = bindProgram(device, {
    inputs: {
      'the images': { shape: [1, rows, ...network.input] },
      ...Object.fromEntries(specs.map(({ name, shape }) => [name, { shape: [1, ...shape] }])),
    },
    outputs: { 'the logits': {} },
    build: (v) => ({ 'the logits': network.apply(v, v['the images'], { mode: 'eval', state: v }).logits }),
  })
  const arrays: Record<string, DeviceArray> = {
    'the images': device.array('f32', [1, rows, ...network.input], images),
    ...Object.fromEntries(specs.map(({ name, shape }) => [name, device.array('f32', [1, ...shape], given[name])])),
    'the logits': device.array('f32', [1, rows, network.classes]),
  }
  try {
    await program.run(arrays)
    return (await arrays['the logits'].read()) as Float32Array
  } finally {
    for (const array of Object.values(arrays)) array.dispose()
    program.dispose()
  }
}
