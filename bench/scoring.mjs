/**
 * @file `node bench/scoring.mjs --data folder:DIR --model FILE.onnx [--split train] [--mean M --std S] [--images N] [--only decode,model,both]`: images per
 * second of decoding alone, of the model alone, and of both as `aludel score --model` does them. CPU seconds per image (user and system, ONNX
 * Runtime's process included) are there too: they say what a busy machine hides.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openImageStream } from '../dist/data/open.js'
import { openDevice } from '../dist/index.js'
import { describeModel, OnnxClassifier, RuntimeProcess, readModelFile } from '../dist/onnx/index.js'
import { blockSize } from '../dist/scoring/model/model-scorer.js'
import { scoreModel } from '../dist/scoring/model/score-model.js'
import { environment } from './lib/env.mjs'

const { values: given } = parseArgs({
  options: {
    data: { type: 'string' },
    model: { type: 'string' },
    split: { type: 'string', default: 'train' },
    mean: { type: 'string', default: '0.5' },
    std: { type: 'string', default: '0.5' },
    images: { type: 'string' },
    only: { type: 'string', default: 'decode,model,both' },
    threads: { type: 'string' },
  },
})
const numbers = (text) => text.split(',').map(Number)
const normalization = { mean: numbers(given.mean), std: numbers(given.std) }
const bytes = await readModelFile(given.model)
const { size, width } = describeModel(given.model, bytes)
const stream = await openImageStream(given.data, given.split, { size: size?.[0] })
const images = Math.min(Number(given.images ?? Number.POSITIVE_INFINITY), stream.labels.length)
const block = blockSize(stream.image, undefined)
const blocks = Array.from({ length: Math.ceil(images / block) }, (_, i) => ({
  first: i * block,
  rows: Math.min(block, images - i * block),
}))
const device = await openDevice(given.threads ? { threads: Number(given.threads) } : {})

/** CPU seconds of this process and of the children that have ended. */
function cpuSeconds() {
  const fields = readFileSync('/proc/self/stat', 'latin1').split(') ')[1].split(' ')
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / 100
}

async function timed(what, count, work) {
  const [start, cpu] = [performance.now(), cpuSeconds()]
  const more = await work()
  // a child's time counts once it has been waited for
  await new Promise((resolve) => setTimeout(resolve, 200))
  const seconds = (performance.now() - start) / 1000 - 0.2
  const used = cpuSeconds() - cpu
  const result = {
    ...{ what, images: count, seconds: round(seconds), images_s: round(count / seconds), cpu_s_per_image: round(used / count) },
    ...{
      cores_busy: round(used / seconds),
      model: given.model.split('/').pop(),
      size: stream.image.slice(0, 2).join('x'),
      block,
      threads: device.threads,
    },
    ...more,
  }
  console.log(JSON.stringify(result))
}
const round = (x) => Number(x.toPrecision(4))

async function decode() {
  for await (const one of stream.read({ blocks })) if (one.rows === 0) throw new Error('an empty block')
}

async function model() {
  const runtime = await RuntimeProcess.open()
  const classifier = await OnnxClassifier.load(runtime, given.model, bytes, { device, image: stream.image, classes: width, normalization })
  const [h, w, c] = stream.image
  const pixels = new Uint8Array(block * h * w * c).map((_, i) => (i * 2654435761) >>> 24)
  for (const { rows } of blocks) await classifier.run(pixels.subarray(0, rows * h * w * c), rows)
  runtime.close()
}

async function both() {
  const dir = mkdtempSync(join(tmpdir(), 'aludel-bench-'))
  try {
    const { accuracies } = await scoreModel({
      ...{ model: given.model, data: given.data, split: given.split, out: join(dir, 'scores'), kinds: ['loss', 'el2n'], device },
      ...normalization,
    })
    return { accuracy: accuracies[0] }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

const all = { decode: [images, decode], model: [images, model], both: [stream.labels.length, both] }
for (const what of given.only.split(',')) await timed(what, ...all[what])
console.log(JSON.stringify({ ...environment(), peak_rss_mb: Math.round(process.resourceUsage().maxRSS / 1024) }))
await device.close()
