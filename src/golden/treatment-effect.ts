/** @file Replays treatment effects: every direction of the pixels is probed, so that the vectors themselves can be compared. */
import { gradientTreatmentEffects } from '../distill/dynamic/gradient-effect.js'
import { treatmentEffects } from '../distill/dynamic/treatment-effect.js'
import { dc } from '../distill/matching/dc.js'
import { dm } from '../distill/matching/dm.js'
import { classGradients } from '../distill/matching/gradient-distance.js'
import { gather, grad, reshape, sizeOf, sum, type Value } from '../engine/index.js'
import { type GoldenCase, readArray } from './case-file.js'
import { type Check, CheckList } from './compare.js'
import type { GoldenEngine, Inputs } from './engines.js'
import { images, toNchw, withGroup } from './matching-case.js'
import { buildNetwork, parametersOf, weightInputs } from './network.js'
import type { GoldenTensor } from './tensor.js'

export const isTreatmentEffect = ({ arrayNames }: GoldenCase): boolean => arrayNames.includes('dm_ite_exact')

export async function replayTreatmentEffect(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const array = (name: string) => readArray(golden, name)
  const [real, synthetic] = [images(array('Xr')), images(array('Xs'))]
  const [rows, height, width, channels] = real.shape
  const ipc = synthetic.shape[0]
  const head = array('param.fc.weight')
  const net = buildNetwork({
    ...{ depth: array('depth').data[0], width: array('param.conv0.weight').shape[0], height, widthPixels: width, channels },
    ...{ classes: head.shape[0], norm: 'instance', eps: 1e-5 },
  })
  const pixels = sizeOf(synthetic.shape)
  const perImage = pixels / ipc
  // Probe p moves pixel p alone, of the image that it belongs to.
  const directions = new Float64Array(pixels * perImage)
  for (let p = 0; p < pixels; p++) directions[p * perImage + (p % perImage)] = 1
  const index = (list: ArrayLike<number>) => ({ shape: [list.length], data: Float64Array.from(list), dtype: 'i32' }) as const
  const labels = (count: number) => index(new Array(count).fill(array('label').data[0]))
  const { options } = Object.values(dc.presets)[0].settings({ ipc, image: net.network.input })
  const dcOptions = dc.resolve?.(options, net.network, new Set()) ?? options
  const inputs: Inputs = {
    real,
    synthetic,
    ...weightInputs(net, ({ name }) => array(`param.${name.replace('gamma', 'weight').replace('beta', 'bias')}`)),
    key: { shape: [2], data: new Float64Array(2), dtype: 'u32' },
    step: { shape: [1], data: new Float64Array(1), dtype: 'u32' },
    realLabels: labels(rows),
    syntheticLabels: labels(ipc),
    probeLabels: labels(pixels),
    probeCounts: { shape: [pixels, 1], data: new Float64Array(pixels).fill(1) },
    realIndex: index(new Array(rows).fill(0)),
    syntheticIndex: index(new Array(ipc).fill(0)),
    picked: index(Array.from({ length: pixels }, (_, p) => Math.floor(p / perImage))),
    directions: { shape: [pixels, height, width, channels], data: directions },
    realCounts: { shape: [1, 1], data: Float64Array.of(rows) },
    syntheticCounts: { shape: [1, 1], data: Float64Array.of(ipc) },
  }
  const results = await engine.run((values) => {
    const fixed = parametersOf(net, values)
    const context = {
      network: { ...net.network, apply: (_: unknown, x: Value, options: object) => net.network.apply(fixed, x, options as never) } as never,
      ...{ key: values.key, step: values.step, classes: 1 },
      real: { images: withGroup(values.real), classIndex: values.realIndex, counts: values.realCounts },
      synthetic: { images: withGroup(values.synthetic), classIndex: values.syntheticIndex, counts: values.syntheticCounts },
    }
    const loss = dm.loss(context, {})
    const probed = gather(values.synthetic, values.picked)
    const batch = { images: withGroup(probed), classIndex: values.probeLabels, counts: values.probeCounts }
    const probes = { pixels: probed, batch, directions: values.directions }
    const { along } = treatmentEffects(dm, {}, context, { probes, ipc })
    const side = (name: 'real' | 'synthetic') => ({ ...context[name], classIndex: values[`${name}Labels`] })
    const gradients = (name: 'real' | 'synthetic') => classGradients(net.network, fixed, side(name), 1).gradients
    const distance = sum(dc.distance(net.network, gradients('synthetic'), gradients('real'), dcOptions))
    const alongGradients = gradientTreatmentEffects(dc, dcOptions, {
      ...{ network: net.network, parameters: fixed, real: side('real'), synthetic: side('synthetic'), ipc },
      probes,
    })
    return {
      ...{ loss, gradient: grad(loss, [values.synthetic])[0], effects: reshape(along, [rows * ipc, height, width, channels]) },
      ...{ distance, distanceGradient: grad(distance, [values.synthetic])[0], gradientEffects: reshape(alongGradients, [rows, pixels]) },
    }
  }, inputs)
  const checks = new CheckList(engine.name)
  checks.add('dm_loss', 'loss', results.loss, array('dm_loss'))
  checks.add('dm_meta_grad', 'gradient', toNchw(results.gradient), array('dm_meta_grad'))
  checks.add('dm_ite_exact', 'gradient', toNchw(results.effects), array('dm_ite_exact'))
  const norms = normsOf(results.effects, rows)
  for (const name of ['dm_ite_exact_norm', 'dm_ite_taylor_norm']) checks.add(name, 'gradient', norms, array(name))
  checks.add('dc_loss', 'loss', results.distance, array('dc_loss'))
  checks.add('dc_meta_grad', 'gradient', toNchw(results.distanceGradient), array('dc_meta_grad'))
  checks.add('dc_ite_taylor_norm', 'gradient', normsOf(results.gradientEffects, rows), array('dc_ite_taylor_norm'))
  // The oracle: the gradient of the synthetic images without each sample in turn.
  const without: GoldenTensor[] = []
  for (let i = 0; i < rows; i++) {
    const left = {
      ...inputs,
      real: withoutRow(real, i),
      realLabels: labels(rows - 1),
      realCounts: { shape: [1, 1], data: Float64Array.of(rows - 1) },
    }
    const { distanceGradient } = await engine.run((values) => {
      const fixed = parametersOf(net, values)
      const gradients = (name: 'real' | 'synthetic') => {
        const batch = { images: withGroup(values[name]), classIndex: values[`${name}Labels`], counts: values[`${name}Counts`] }
        return classGradients(net.network, fixed, batch, 1).gradients
      }
      const distance = sum(dc.distance(net.network, gradients('synthetic'), gradients('real'), dcOptions))
      return { distanceGradient: grad(distance, [values.synthetic])[0] }
    }, left)
    without.push(distanceGradient)
  }
  const changes = without.flatMap(({ data }) => Array.from(data, (value, k) => results.distanceGradient.data[k] - value))
  const exact = { shape: [rows, pixels], data: Float64Array.from(changes) }
  checks.add('dc_ite_exact_norm', 'gradient', normsOf(exact, rows), array('dc_ite_exact_norm'))
  return checks.checks
}

function withoutRow({ shape: [rows, ...image], data }: GoldenTensor, row: number): GoldenTensor {
  const width = data.length / rows
  return { shape: [rows - 1, ...image], data: data.filter((_, i) => Math.floor(i / width) !== row) }
}

/** Length of each of `rows` vectors. */
function normsOf({ data }: GoldenTensor, rows: number): GoldenTensor {
  const width = data.length / rows
  const norms = Float64Array.from({ length: rows }, (_, i) => Math.hypot(...data.subarray(i * width, (i + 1) * width)))
  return { shape: [rows], data: norms }
}
