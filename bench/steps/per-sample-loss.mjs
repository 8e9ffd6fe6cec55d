/** @file `perSampleLoss` of 64 million logits on the device, [64k, 1000] and [6.4M, 10], and the call that copies a typed array first. */
import { perSampleLoss } from '../../dist/direct/index.js'
import { copies, prepareRivals, someNumbers } from './direct.mjs'

export function prepare(device) {
  const rivals = {}
  for (const shape of [
    [64_000, 1000],
    [6_400_000, 10],
  ]) {
    const [rows, classes] = shape
    const data = someNumbers(shape, 5)
    const labels = Int32Array.from({ length: rows }, (_, i) => i % classes)
    const logits = device.array('f32', shape, data)
    const target = device.array('i32', [rows], labels)
    const call = (z, y, options) => async () => {
      const results = await perSampleLoss(z, y, { device, out: 'array', ...options })
      const [first] = await results.loss.read().then((loss) => (options.reduction ? loss : [0]))
      for (const array of Object.values(results)) array.dispose()
      return first
    }
    const bytes = logits.bytes + target.bytes + 8 * rows
    const name = `[${shape}]`
    rivals[`loss ${name}`] = { shape: name, bytes, run: call(logits, target, { reduction: 'mean' }) }
    Object.assign(rivals, copies(device, logits, name))
    rivals[`loss and gradient ${name}`] = {
      shape: name,
      bytes: bytes + logits.bytes,
      run: call(logits, target, { reduction: 'mean', gradient: true }),
    }
    rivals[`loss of a typed array ${name}`] = { shape: name, bytes, run: call({ data, shape }, labels, { reduction: 'mean' }) }
  }
  return prepareRivals(rivals)
}
