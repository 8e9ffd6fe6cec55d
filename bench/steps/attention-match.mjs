/** @file `attentionMatch` of 64 million elements on the device: real and synthetic maps of a first and of a second block. */
import { attentionMatch } from '../../dist/direct/index.js'
import { copies, prepareRivals, someNumbers } from './direct.mjs'

export function prepare(device) {
  const rivals = {}
  for (const shape of [
    [244, 32, 32, 128],
    [976, 16, 16, 128],
  ]) {
    const data = someNumbers(shape, 1).map((v) => Math.max(v, 0))
    const [real, synthetic] = [data, data.slice().reverse()].map((values) => device.array('f32', shape, values))
    const call = (a, b, options) => async () => {
      const { loss, gradient } = await attentionMatch(a, b, { device, out: 'array', ...options })
      gradient?.dispose()
      return loss
    }
    const bytes = real.bytes + synthetic.bytes
    const name = `2 x [${shape}]`
    rivals[`match ${name}`] = { shape: name, bytes, run: call(real, synthetic, {}) }
    Object.assign(rivals, copies(device, real, name))
    rivals[`match and gradient ${name}`] = { shape: name, bytes: bytes + synthetic.bytes, run: call(real, synthetic, { gradient: true }) }
    rivals[`match of typed arrays ${name}`] = { shape: name, bytes, run: call({ data, shape }, { data, shape }, {}) }
  }
  return prepareRivals(rivals)
}
