/**
 * @file `perSampleLoss` of 64 million logits on the device, [64k, 1000] and [6.4M, 10], of a GPU eight times as many rows: results into arrays
 * that stay or into new ones, and the call that copies a typed array first (not to a GPU). Value: the first sample's loss.
 */
import { perSampleLoss } from '../../dist/direct/index.js'
import { isGpu } from '../../dist/engine/isa.js'
import { copies, prepareRivals, someNumbers } from './direct.mjs'

export function prepare(device) {
  const rivals = {}
  const gpu = isGpu(device.isa)
  for (const shape of [
    [64_000, 1000],
    [6_400_000, 10],
  ].map(([rows, classes]) => [gpu ? 8 * rows : rows, classes])) {
    const [rows, classes] = shape
    const data = someNumbers(shape, 5)
    const labels = Int32Array.from({ length: rows }, (_, i) => i % classes)
    const logits = device.array('f32', shape, data)
    const target = device.array('i32', [rows], labels)
    let first
    const call = (z, y, options) => async () => {
      const results = await perSampleLoss(z, y, { device, out: 'array', ...options })
      // Read once, in the round that no figure counts.
      first ??= (await results.loss.read())[0]
      for (const array of Object.values(results)) if (!Object.values(options.into ?? {}).includes(array)) array.dispose()
      return first
    }
    const into = { loss: device.array('f32', [rows]), el2n: device.array('f32', [rows]) }
    const gradient = device.array('f32', shape)
    const bytes = logits.bytes + target.bytes + 8 * rows
    const name = `[${shape}]`
    const entry = (z, y, options = {}) => ({
      shape: name,
      bytes: bytes + (options.gradient ? logits.bytes : 0),
      run: call(z, y, options),
    })
    rivals[`loss ${name}`] = entry(logits, target, { into })
    Object.assign(rivals, copies(device, logits, name))
    rivals[`loss and gradient ${name}`] = entry(logits, target, { gradient: true, into: { ...into, gradient } })
    rivals[`loss, new arrays ${name}`] = entry(logits, target)
    rivals[`loss and gradient, new arrays ${name}`] = entry(logits, target, { gradient: true })
    if (!gpu) rivals[`loss of a typed array ${name}`] = entry({ data, shape }, labels)
  }
  return prepareRivals(rivals)
}
