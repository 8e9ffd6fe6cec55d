/**
 * @file How far TESLA's gradient is from the exact one, on a store of experts: relative error |a - b| / |b| and cosine of the pixel gradients of the
 * same iterations, by the number of steps of the student. `node bench/tesla-error.mjs DATA EXPERTS [STEPS,STEPS,…] [ITERATIONS]`, such as
 * `node bench/tesla-error.mjs cifar10:DIR experts/c10 10,30,80 4`: synthetic images are one real image a class, start epochs those of the store.
 */
import { join } from 'node:path'
import { initialImages } from '../dist/distill/initial-images.js'
import { mtt } from '../dist/distill/trajectory/methods.js'
import { TrajectoryIterations } from '../dist/distill/trajectory/trajectory-iterations.js'
import { checkExperts } from '../dist/experts/store.js'
import { openDataset, openDevice, openExperts, readWhitening, whiten } from '../dist/index.js'
import { networkByName } from '../dist/nn/networks/registry.js'

const [data, dir, steps = '10,30,80', count = '4'] = process.argv.slice(2)
if (!data || !dir) {
  console.error('usage: node bench/tesla-error.mjs DATA EXPERTS [STEPS,STEPS,…] [ITERATIONS]')
  process.exit(2)
}
const experts = await openExperts(dir)
if (!experts.record.kept.includes(0)) throw new Error(`${dir}: epoch 0 is not kept`)
const device = await openDevice()
const read = await openDataset(data, 'train')
const train = experts.record.zca ? await whiten(read, await readWhitening(join(dir, 'zca.safetensors')), { device }) : read
checkExperts(experts, { network: experts.record.network, data: train })
const network = networkByName(experts.record.network, experts.record.image, train.classes.length)
const expertEpochs = 2
/** Starts s with s + M stored, from the first epoch on. */
const bound = experts.record.kept.findIndex((epoch, i) => epoch !== i)
const maxStartEpoch = (bound < 0 ? experts.record.kept.length : bound) - expertEpochs
const { images } = await initialImages(train, { ipc: 1, init: 'real', seed: 0 })

/** Pixel gradients of iterations 0, 1, …: from rest, a velocity is the gradient. */
async function gradients(gradient, innerSteps) {
  const methodOptions = {
    ...{ innerSteps, expertEpochs, minStartEpoch: 0, startEpoch: maxStartEpoch, maxStartEpoch, expansionEnd: null, synBatch: null },
    ...{ labels: 'hard', labelLr: null, labelMomentum: 0, startLr: 0.01, lrLr: 0, lrMomentum: 0, threshold: null, mask: 'none' },
    ...{ gradient, emaDecay: null },
  }
  const general = { ipc: 1, network, imageLr: 1e-30, imageMomentum: 0, iterations: 1e6, augment: { operations: [] }, seed: 0 }
  const own = new TrajectoryIterations(device, train.classes.length, { ...general, method: mtt, methodOptions, experts })
  const extra = Object.entries(own.extraState).map(([name, { shape, start }]) => [name, device.array('f32', shape, start)])
  const arrays = {
    images: device.array('f32', own.stateShape, images),
    velocity: device.array('f32', own.stateShape),
    ...Object.fromEntries(extra),
  }
  const all = []
  for (let first = 0; first < Number(count); first++) {
    await own.run(arrays, { first, n: 1 })
    all.push(await arrays.velocity.read())
  }
  for (const array of Object.values(arrays)) array.dispose()
  own.dispose()
  return all
}

const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0)
for (const innerSteps of steps.split(',').map(Number)) {
  const [tesla, exact] = [await gradients('tesla', innerSteps), await gradients('exact', innerSteps)]
  const each = exact.map((b, i) => {
    const a = tesla[i]
    const difference = a.map((x, j) => x - b[j])
    return { error: Math.sqrt(dot(difference, difference) / dot(b, b)), cosine: dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)) }
  })
  const mean = (name) => each.reduce((sum, one) => sum + one[name], 0) / each.length
  console.log(
    `N = ${innerSteps}: relative error ${mean('error').toFixed(3)}, cosine ${mean('cosine').toFixed(3)} (mean of ${each.length} iterations)`,
  )
}
await device.close()
