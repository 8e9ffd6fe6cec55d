/**
 * @file `node bench/imagenet-scale.mjs --pack DIR [--classes 1000] [--per-class 16] [--real-batch 8] [--ipc 1] [--steps 2] [--group 50]`: steps of DM
 * on very many classes, from memory and from the disk, all classes at once and by groups. The images are those of a pack, over and over. Each run is
 * a process of its own; one JSON line each: seconds of the last step, largest resident size, working memory of the step. The last line is the plan of a
 * run on ImageNet-1K with the preset's real batch.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { streamedDataset } from '../dist/data/dataset.js'
import { packDataset } from '../dist/data/packed/pack-dataset.js'
import { createDataset, distill, openDataset, openDevice, planRun } from '../dist/index.js'

const { values } = parseArgs({
  options: {
    ...{ pack: { type: 'string' }, classes: { type: 'string', default: '1000' }, 'per-class': { type: 'string', default: '16' } },
    ...{ 'real-batch': { type: 'string', default: '8' }, ipc: { type: 'string', default: '1' }, steps: { type: 'string', default: '2' } },
    ...{
      group: { type: 'string', default: '50' },
      threads: { type: 'string' },
      run: { type: 'string' },
      'class-group': { type: 'string' },
    },
  },
})
const number = (name) => Number(values[name])

/** As many images as asked for, class by class, taken from the pack in turn. */
async function replicate(dir) {
  const source = await openDataset(`packed:${values.pack},resident=yes`)
  const [rows, ...image] = source.shape
  const bytes = image.reduce((a, b) => a * b, 1)
  const count = number('classes') * number('per-class')
  const images = new Uint8Array(count * bytes)
  for (let i = 0; i < count; i++) images.set(source.images.subarray((i % rows) * bytes, ((i % rows) + 1) * bytes), i * bytes)
  const labels = Int32Array.from({ length: count }, (_, i) => Math.floor(i / number('per-class')))
  const classes = Array.from({ length: number('classes') }, (_, c) => `class ${c}`)
  const { mean, std } = source
  await packDataset(
    dir,
    createDataset({ name: 'replicated', split: 'train', classes, images, shape: [count, ...image], labels, mean, std, flip: true }),
  )
}

async function measure(specification) {
  const data = await openDataset(specification)
  const device = await openDevice(values.threads ? { threads: Number(values.threads) } : {})
  const group = values['class-group']
  const settings = { method: 'dm', ipc: number('ipc'), iterations: number('steps'), realBatch: number('real-batch') }
  const run = distill(data, { ...settings, device, ...(group && { classGroup: Number(group) }) })
  const at = []
  let plans = {}
  let arrayBytes = 0
  for await (const event of run) {
    if (event.type === 'start') {
      plans = event.plans
      arrayBytes = device.memory().arrayBytes
    }
    if (event.type === 'step') at.push(event.seconds)
  }
  const [name, { arenaBytes, flops }] = Object.entries(plans)[0]
  await run.result
  await device.close()
  const seconds = at.length > 1 ? at.at(-1) - at.at(-2) : at[0]
  const residentBytes = process.resourceUsage().maxRSS * 1024
  const rows = specification.endsWith('yes') ? 'memory' : 'disk'
  console.log(
    JSON.stringify({
      rows,
      group: group ? Number(group) : number('classes'),
      program: name,
      seconds,
      residentBytes,
      arenaBytes,
      arrayBytes,
      gigaflops: flops / 1e9,
    }),
  )
}

/** Nothing is read: what a run on 1,281,167 images of 64 pixels would hold and compute. */
async function planAll() {
  const [images, classes] = [1_281_167, 1000]
  const labels = Int32Array.from({ length: images }, (_, i) => Math.floor((i * classes) / images))
  const about = { name: 'imagenet', split: 'train', classes: Array.from({ length: classes }, (_, c) => `class ${c}`), labels, flip: true }
  const shape = [images, 64, 64, 3]
  const pixels = { bytes: images * 12_288, read: () => Promise.reject(new Error('planned only')) }
  const statistics = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
  const data = streamedDataset({ ...about, shape, ...statistics }, { pixels, sha256: '' })
  const device = await openDevice(values.threads ? { threads: Number(values.threads) } : {})
  const plan = await planRun(data, { device, method: 'dm', ipc: number('ipc') })
  await device.close()
  const [{ bytes, totalBytes, flops, steps }] = plan.phases
  console.log(
    JSON.stringify({ planned: 'ImageNet-1K', diskBytes: pixels.bytes, bytes, totalBytes, gigaflopsPerStep: flops / steps / 1e9, steps }),
  )
}

if (values.run === 'plan') {
  await planAll()
} else if (values.run) {
  await measure(values.run)
} else {
  const dir = mkdtempSync(join(tmpdir(), 'aludel-scale-'))
  try {
    await replicate(dir)
    console.log(JSON.stringify({ images: number('classes') * number('per-class'), diskBytes: statSync(join(dir, 'train.u8')).size }))
    for (const group of [undefined, values.group]) {
      for (const resident of ['yes', 'no']) {
        const args = Object.entries(values).flatMap(([name, value]) => (name === 'group' ? [] : [`--${name}`, value]))
        const more = ['--run', `packed:${dir},resident=${resident}`, ...(group ? ['--class-group', group] : [])]
        const { status } = spawnSync(process.execPath, [process.argv[1], ...args, ...more], { stdio: 'inherit' })
        if (status !== 0) process.exitCode = 1
      }
    }
    spawnSync(process.execPath, [process.argv[1], '--run', 'plan'], { stdio: 'inherit' })
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
