/** @file Training-sized graphs on 16x16 images: a matching step, a training step and a Hessian-vector product of small ConvNets. */
import { dm } from '../../src/distill/matching/dm.js'
import type { BoundProgramSpec, NamedInput, NamedOutput } from '../../src/engine/bound-program.js'
import { fold, grad, hvp, keyOf, mean, normal, reshape, sizeOf, softmaxCe, type TypedArray, type Value } from '../../src/engine/index.js'
import { convNet, type Norm } from '../../src/nn/networks/conv-net.js'
import { type GsamOptions, gsamGradient } from '../../src/optim/gsam.js'
import { sgdUpdate } from '../../src/optim/sgd.js'

const classes = 4
const image = [16, 16, 3] as const
/** 37 rows a class: no slice size divides 148, so every loop has a tail. */
const perClass = 37
export const rows = classes * perClass

export interface StepGraph {
  readonly spec: Omit<BoundProgramSpec, 'options'>
  /** Data of the inputs, by name. */
  readonly data: Readonly<Record<string, TypedArray>>
}

const numbers = (name: string, shape: readonly number[], scale = 1): Float32Array =>
  Float32Array.from(normal(fold(keyOf(11), name), 0, 0, sizeOf(shape)), (v) => scale * v)

const labelsOf = (count: number): Int32Array => Int32Array.from({ length: count * classes }, (_, i) => Math.floor(i / count))

/** Distribution matching of two synthetic images a class, momentum SGD on the pixels; the loss goes to a ring of 8. */
export function matchingStep(norm: Norm = 'instance'): StepGraph {
  const network = convNet({ input: image, classes, width: 12, depth: 2, norm })
  const ipc = 2
  const synthetic = [classes * ipc, ...image]
  const real = [rows, ...image]
  const batch = (v: Readonly<Record<string, Value>>, side: string) => ({
    images: reshape(v[side], [1, ...v[side].shape]),
    classIndex: v[`${side}Class`],
    counts: v[`${side}Counts`],
  })
  return {
    spec: {
      inputs: {
        synthetic: { shape: synthetic },
        velocity: { shape: synthetic },
        real: { shape: real },
        key: { shape: [2], dtype: 'u32' },
        realClass: { shape: [rows], dtype: 'i32' },
        syntheticClass: { shape: [classes * ipc], dtype: 'i32' },
        realCounts: { shape: [classes, 1] },
        syntheticCounts: { shape: [classes, 1] },
      },
      outputs: { synthetic: { donate: 'synthetic' }, velocity: { donate: 'velocity' }, loss: { slots: { count: 8 } } },
      step: 'step',
      build(v) {
        const sides = { real: batch(v, 'real'), synthetic: batch(v, 'synthetic') }
        const loss = dm.loss({ network, key: v.key, step: v.step, classes, ...sides }, {})
        const next = sgdUpdate(v.synthetic, v.velocity, grad(loss, [v.synthetic])[0], { lr: 0.1, momentum: 0.5 })
        return { synthetic: next.parameter, velocity: next.velocity, loss }
      },
    },
    data: {
      synthetic: numbers('synthetic', synthetic),
      velocity: new Float32Array(sizeOf(synthetic)),
      real: numbers('real', real),
      key: Uint32Array.of(3, 4),
      realClass: labelsOf(perClass),
      syntheticClass: labelsOf(ipc),
      realCounts: new Float32Array(classes).fill(perClass),
      syntheticCounts: new Float32Array(classes).fill(ipc),
    },
  }
}

function trainedNetwork(norm: Norm) {
  const network = convNet({ input: image, classes, width: 16, depth: 2, norm })
  const names = network.parameters.map(({ name }) => name)
  const inputs: Record<string, NamedInput> = { x: { shape: [rows, ...image] }, labels: { shape: [rows], dtype: 'i32' } }
  const data: Record<string, TypedArray> = { x: numbers('x', [rows, ...image]), labels: labelsOf(perClass) }
  for (const { name, shape } of network.parameters) {
    inputs[name] = { shape: [1, ...shape] }
    data[name] = numbers(name, shape, 0.2)
    if (name.endsWith('gamma')) data[name] = (data[name] as Float32Array).map((v) => 1 + v)
  }
  const lossOf = (v: Readonly<Record<string, Value>>, parameters = v): Value => {
    const { logits } = network.apply(parameters, reshape(v.x, [1, rows, ...image]))
    return mean(softmaxCe(reshape(logits, [rows, classes]), v.labels).loss)
  }
  const valuesOf = (v: Readonly<Record<string, Value>>): Value[] => names.map((name) => v[name])
  return { names, inputs, data, lossOf, valuesOf }
}

/** One step on all parameters, written over the old ones: by their gradient, or by that of GSAM. */
export function trainingStep(norm: Norm = 'instance', gsam?: GsamOptions): StepGraph {
  const { names, inputs, data, lossOf, valuesOf } = trainedNetwork(norm)
  return {
    spec: {
      inputs,
      outputs: { loss: {}, ...Object.fromEntries(names.map((name): [string, NamedOutput] => [name, { donate: name }])) },
      build(v) {
        const loss = lossOf(v)
        const own = valuesOf(v)
        const gradientsAt = (values: readonly Value[]) =>
          grad(values === own ? loss : lossOf(v, Object.fromEntries(names.map((name, i) => [name, values[i]]))), values)
        const { gradients } = gsamGradient(own, gradientsAt, gsam ?? { rho: 0, alpha: 0, adaptive: true })
        const next = names.map((name, i) => [name, sgdUpdate(v[name], v[name], gradients[i], { lr: 0.1 }).parameter])
        return { loss, ...Object.fromEntries(next) }
      },
    },
    data,
  }
}

/** A step of GSAM as experts are trained by, with a radius that shows. */
export const gsamStep = (norm: Norm = 'instance'): StepGraph => trainingStep(norm, { rho: 0.5, alpha: 0.3, adaptive: true })

/** The Hessian of the training loss in all parameters times a vector. */
export function hessianProduct(norm: Norm = 'instance'): StepGraph {
  const { names, inputs, data, lossOf, valuesOf } = trainedNetwork(norm)
  const vectors = names.map((name) => `vector:${name}`)
  return {
    spec: {
      inputs: { ...inputs, ...Object.fromEntries(names.map((name, i) => [vectors[i], inputs[name]])) },
      outputs: Object.fromEntries(names.map((name) => [`product:${name}`, {}])),
      build(v) {
        const products = hvp(
          lossOf(v),
          valuesOf(v),
          vectors.map((name) => v[name]),
        )
        return Object.fromEntries(names.map((name, i) => [`product:${name}`, products[i]]))
      },
    },
    data: { ...data, ...Object.fromEntries(names.map((name, i) => [vectors[i], numbers(vectors[i], inputs[name].shape)])) },
  }
}
