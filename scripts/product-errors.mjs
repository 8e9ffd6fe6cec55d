/**
 * @file `node scripts/product-errors.mjs [--gpu]`: how far matrix products and convolutions on a GPU are from float64, at each precision; a
 * Markdown table. Without `--gpu` on the emulated one, once with the sums of its tensor cores rounded to nearest and once toward zero (in
 * brackets where it differs): what real ones do is not specified. Needs a build (`npm run build`).
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { buildEmulated, emulatedEnvironment } from './emulated.mjs'

const { values } = parseArgs({ options: { gpu: { type: 'boolean' }, child: { type: 'boolean' } } })
const precisions = ['f32', 'tf32x3', 'tf32', 'bf16']

/** Sizes of the networks: a linear layer, first and later layers of a ConvNet; [inputs, op]. */
async function products() {
  const { conv2d, conv2dInputGrad, conv2dWeightGrad, matmul } = await import('../dist/engine/index.js')
  const pad = { pad: 1 }
  const convolutions = ([n, size, , channels], filters) => {
    const [x, w, y] = [
      [1, n, size, size, channels],
      [1, 3, 3, channels, filters],
      [1, n, size, size, filters],
    ]
    const name = `${n} x ${size} x ${size}, ${channels} to ${filters}`
    return [
      { op: 'conv2d', name, inputs: [x, w], build: (a, b) => [conv2d(a, b, undefined, pad)] },
      { op: 'conv2d_input_grad', name, inputs: [y, w], build: (a, b) => [conv2dInputGrad(a, b, size, size, pad)] },
      { op: 'conv2d_weight_grad', name, inputs: [x, y], build: (a, b) => [conv2dWeightGrad(a, b, 3, 3, pad).dw] },
    ]
  }
  return [
    {
      op: 'matmul',
      name: '256 x 2048 x 12',
      inputs: [
        [256, 2048],
        [2048, 12],
      ],
      build: (a, b) => [matmul(a, b)],
    },
    {
      op: 'matmul',
      name: '128 x 8192 x 64',
      inputs: [
        [128, 8192],
        [8192, 64],
      ],
      build: (a, b) => [matmul(a, b)],
    },
    ...convolutions([2, 32, 32, 3], 128),
    ...convolutions([4, 8, 8, 128], 128),
    ...convolutions([32, 16, 16, 16], 32),
  ]
}

/** One line a product: its largest error at each precision over the root mean square of the result. */
async function measure() {
  const { interpret, sizeOf, spec, trace } = await import('../dist/engine/index.js')
  const { bindProgram } = await import('../dist/engine/bound-program.js')
  const { Device } = await import('../dist/engine/runtime/device.js')
  const { normal } = await import('../dist/engine/tensor/philox.js')
  for (const { op, name, inputs, build } of await products()) {
    const data = inputs.map((shape, i) => Float32Array.from(normal([7, i], 0, 1, sizeOf(shape))))
    const traced = trace(
      build,
      inputs.map((shape) => spec(shape)),
    )
    const [wanted] = interpret(
      traced,
      inputs.map((shape, i) => ({ shape, data: Float64Array.from(data[i]) })),
    )
    const rms = Math.sqrt(wanted.data.reduce((sum, v) => sum + v * v, 0) / wanted.data.length)
    const errors = []
    for (const precision of precisions) {
      const device = await Device.open({ device: 'cuda', precision })
      const program = bindProgram(device, {
        inputs: { a: spec(inputs[0]), b: spec(inputs[1]) },
        outputs: { y: {} },
        build: ({ a, b }) => ({ y: build(a, b)[0] }),
      })
      const y = device.array('f32', wanted.shape)
      await program.run({ a: device.array('f32', inputs[0], data[0]), b: device.array('f32', inputs[1], data[1]), y })
      const result = await y.read()
      errors.push(result.reduce((most, v, i) => Math.max(most, Math.abs(v - wanted.data[i])), 0) / rms)
      await device.close()
    }
    console.log(JSON.stringify({ op, name, errors }))
  }
}

function run(environment) {
  const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url), '--child'], { env: environment, encoding: 'utf8' })
  if (child.status !== 0) throw new Error(child.stderr)
  return child.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

function report(rows, others = rows) {
  console.log(`| op | size | ${precisions.join(' | ')} |\n|---|---|${precisions.map(() => '---|').join('')}`)
  for (const [i, { op, name, errors }] of rows.entries()) {
    const cells = errors.map((error, p) => [error, others[i].errors[p]].map((one) => one.toExponential(1)))
    console.log(`| ${op} | ${name} | ${cells.map(([one, other]) => (one === other ? one : `${one} (${other})`)).join(' | ')} |`)
  }
}

if (values.child) await measure()
else if (values.gpu) report(run({ ...process.env }))
else {
  const environment = emulatedEnvironment(buildEmulated('plain'))
  report(run(environment), run({ ...environment, CUDA_HOST_MMA_RZ: '1' }))
}
