/**
 * @file `node bench/matching-loss.mjs --data cifar10:DIR [--networks K] [--rows N] SET...`: how well saved sets match the real data, by one
 * measure for all of them: sum over classes of |mean embedding of the real images - mean embedding of the set's|^2, the loss of DM without
 * augmentation, as the mean over K random ConvNets (default 10) that are the same for every set. The real side is the first N (default
 * 1000) images of each class. One JSON line for each set. A run's own losses compare neither with each other, as each step draws another network,
 * nor with those of a run that leaves real images out.
 */
import { parseArgs } from 'node:util'
import { bindProgram, convNet, engine, initialize, loadSyntheticSet, openDataset, openDevice } from '../dist/index.js'
import { rowSource } from '../dist/preprocess/row-source.js'

const { values, positionals } = parseArgs({
  options: {
    data: { type: 'string' },
    networks: { type: 'string', default: '10' },
    rows: { type: 'string', default: '1000' },
  },
  allowPositionals: true,
})
const [networks, rows] = [Number(values.networks), Number(values.rows)]
const batch = 50

const train = await openDataset(values.data, 'train')
const classes = train.classes.length
const [, ...image] = train.shape
const network = convNet({ input: image, classes })
const device = await openDevice()

/** Sums the embeddings of `batch` rows of one class under network `counter`. */
function embedder({ inputs, arrays, gather }) {
  let width = 0
  const program = bindProgram(device, {
    inputs: {
      ...inputs,
      index: { shape: [batch], dtype: 'i32' },
      weights: { shape: [batch, 1] },
      key: { shape: [2], dtype: 'u32' },
      counter: { shape: [1], dtype: 'u32' },
    },
    outputs: { total: {} },
    build(v) {
      const parameters = initialize(network, { key: v.key, counter: v.counter })
      const { embedding } = network.apply(parameters, engine.reshape(gather(v, v.index), [1, batch, ...image]))
      width = embedding.shape.slice(2).reduce((a, b) => a * b, 1)
      return { total: engine.sum(engine.mul(engine.reshape(embedding, [batch, width]), v.weights), { axes: [0] }) }
    },
  })
  const own = {
    ...arrays((...array) => device.array(...array)),
    index: device.array('i32', [batch]),
    weights: device.array('f32', [batch, 1]),
    key: device.array('u32', [2], Uint32Array.of(0, 0)),
    counter: device.array('u32', [1]),
    total: device.array('f32', [width]),
  }
  return {
    /** Mean embedding of the given rows. */
    async mean(members, counter) {
      const mean = new Float64Array(width)
      await own.counter.write(Uint32Array.of(counter))
      for (let first = 0; first < members.length; first += batch) {
        const some = members.slice(first, first + batch)
        const index = new Int32Array(batch).fill(some[0])
        index.set(some)
        await Promise.all([own.index.write(index), own.weights.write(new Float32Array(batch).fill(1, 0, some.length)), program.run(own)])
        for (const [i, value] of (await own.total.read()).entries()) mean[i] += value / members.length
      }
      return mean
    },
    dispose() {
      for (const array of Object.values(own)) array.dispose()
      program.dispose()
    },
  }
}

const classOf = (labels, c) => [...labels.keys()].filter((row) => labels[row] === c)

const ofReal = embedder(rowSource(train))
const real = []
for (let k = 0; k < networks; k++) for (let c = 0; c < classes; c++) real.push(await ofReal.mean(train.classIndices(c).slice(0, rows), k))
ofReal.dispose()

for (const path of positionals) {
  const set = await loadSyntheticSet(path)
  const ofSet = embedder({
    inputs: { data: { shape: set.shape } },
    arrays: (make) => ({ data: make('f32', set.shape, set.images) }),
    gather: (v, index) => engine.gather(v.data, index),
  })
  let loss = 0
  for (let k = 0; k < networks; k++) {
    for (let c = 0; c < classes; c++) {
      const mean = await ofSet.mean(classOf(set.labels, c), k)
      const wanted = real[k * classes + c]
      loss += mean.reduce((sum, value, i) => sum + (value - wanted[i]) ** 2, 0) / networks
    }
  }
  ofSet.dispose()
  console.log(
    JSON.stringify({ set: path, loss: Number(loss.toPrecision(5)), networks, rows, images: set.shape[0], steps: set.config.steps }),
  )
}
await device.close()
