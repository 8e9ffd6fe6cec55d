/**
 * @file KRR-ST on a part of a data set, measured: `node bench/krr-st.mjs --data SPEC --teacher FILE --out DIR [--set key=value …]`
 *
 * Every tenth training image is distilled into `--n` images; the loss on held-out images of the set and of what it started from, and transfer
 * back to the part's labels beside the baselines, go to standard output, a JSON line each. A set that DIR holds already is measured again.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import * as aludel from '../dist/index.js'

const text = (value) => ({ type: 'string', default: value })
const { values } = parseArgs({
  options: {
    ...{
      data: { type: 'string' },
      teacher: { type: 'string' },
      out: { type: 'string' },
      mean: { type: 'string' },
      std: { type: 'string' },
    },
    ...{
      n: text('100'),
      every: text('10'),
      iterations: text('400'),
      batch: text('256'),
      lr: text('1e-3'),
      seed: text('0'),
      threads: text('2'),
    },
    ...{
      epochs: text('200'),
      finetune: text('200'),
      linear: text('1000'),
      repeats: text('2'),
      test: text('2000'),
      held: text('0,50'),
      network: text('conv-bn'),
    },
    ...{
      protocols: text('probe,linear,finetune'),
      sources: text('none,random,kmeans,distilled'),
      set: { type: 'string', multiple: true, default: [] },
    },
  },
})
const count = (name) => Number(values[name])
const list = (name) => values[name].split(',')
const tell = (record) => console.log(JSON.stringify(record))

const device = await aludel.openDevice({ threads: count('threads') })
const [whole, test] = await Promise.all(['train', 'test'].map((split) => aludel.openDataset(values.data, split)))
const train = whole.subset(Array.from({ length: Math.ceil(whole.shape[0] / count('every')) }, (_, i) => i * count('every')))
const normalization = values.mean && { mean: list('mean').map(Number), std: list('std').map(Number) }
const teacher = await aludel.openTeacher(values.teacher, { device, ...(normalization && { normalization }) })

async function distilled() {
  const own = Object.fromEntries(
    values.set.map((pair) => pair.split('=')).map(([key, value]) => [key, Number.isNaN(Number(value)) ? value : Number(value)]),
  )
  const settings = { iterations: count('iterations'), realBatch: count('batch'), imageLr: count('lr'), seed: count('seed') }
  if (existsSync(join(values.out, 'manifest.json'))) {
    const there = await aludel.loadRepresentationSet(values.out)
    const other = Object.entries({ n: count('n'), ...settings, ...own }).find(([key, value]) => there.config[key] !== value)
    if (other) throw new Error(`${values.out}: its set has ${other[0]} ${there.config[other[0]]}, not ${other[1]}; give another directory`)
    return there
  }
  const started = performance.now()
  const run = aludel.distillRepresentations(train, { method: 'krr-st', n: count('n'), teacher, device, ...settings, methodOptions: own })
  for await (const event of run) {
    if (event.type === 'step' && event.step % 20 === 0) tell({ step: event.step, loss: event.loss, ...event.regression })
    if (event.type === 'notice') tell(event)
  }
  const set = await run.result
  await set.save(values.out)
  tell({ seconds: (performance.now() - started) / 1000 })
  return set
}

/** What the run started from: real images and the teacher's answers to them. */
async function startOf(set) {
  const { images, shape } = train.subset(set.sourceIds)
  const raw = Float32Array.from(images, (byte) => byte / 255)
  const seen = (value, i) => (set.initSpace === 'raw' ? value : (value - set.mean[i % set.mean.length]) / set.std[i % set.std.length])
  return { ...set, images: raw.map(seen), targets: await teacher.encode(raw, shape[0]) }
}

try {
  tell({ teacher: teacher.name, quality: await aludel.assessTeacher(teacher, test) })
  const set = await distilled()
  const held = test.subset(Array.from({ length: count('test') }, (_, i) => i))
  const common = { device, network: values.network, repeats: count('repeats'), seed: count('seed') }
  for (const epochs of values.held === '' ? [] : list('held').map(Number))
    for (const [name, one] of Object.entries({ start: await startOf(set), distilled: set }))
      tell({ heldOut: name, epochs, ...(await aludel.heldOutLoss(one, { ...common, data: held, teacher, pretrain: { epochs } })) })
  const cells = await aludel.transfer(set, {
    ...{ device, repeats: count('repeats'), seed: count('seed'), networks: [values.network], data: train, teacher },
    ...{ targets: [{ name: train.name, train, test: held }], protocols: list('protocols'), sources: list('sources') },
    settings: {
      pretrain: { epochs: count('epochs') },
      finetune: { iterations: count('finetune') },
      linear: { iterations: count('linear') },
    },
    store: await aludel.openCells(values.out),
    onCell: tell,
  })
  for (const row of aludel.transferRows(cells)) tell(row)
} finally {
  await teacher.dispose()
  await device.close()
}
