/** @file Cases of the normalisation family: all kinds, with and without ReLU and pooling, with rows left out. */
import { type NormOptions, normActPool, normActPoolSums } from '../../src/engine/index.js'
import { emit } from '../../src/engine/ops/build.js'
import { between, given, type OpCase } from './case.js'

interface Variant extends Omit<NormOptions, 'rowWeights'> {
  readonly name: string
  readonly x: readonly [number, number, number, number, number]
  readonly rows?: readonly number[]
}

const variants: readonly Variant[] = [
  { name: 'instance', kind: 'instance', x: [1, 2, 3, 4, 3] },
  { name: 'instance, relu, pool', kind: 'instance', relu: true, pool: 2, x: [1, 2, 4, 4, 3] },
  { name: 'instance, relu, pool, odd, two groups', kind: 'instance', relu: true, pool: 2, x: [2, 2, 5, 3, 2] },
  { name: 'instance, pool', kind: 'instance', pool: 2, x: [1, 2, 4, 2, 2] },
  { name: 'group', kind: 'group', groups: 2, x: [1, 2, 3, 3, 4] },
  { name: 'group, relu', kind: 'group', groups: 3, relu: true, x: [2, 2, 2, 3, 6] },
  { name: 'layer (one group), relu, pool', kind: 'group', groups: 1, relu: true, pool: 2, x: [1, 2, 4, 4, 3] },
  { name: 'batch', kind: 'batch', x: [1, 3, 2, 3, 3] },
  { name: 'batch, relu, pool, two groups', kind: 'batch', relu: true, pool: 2, x: [2, 3, 4, 4, 2] },
  { name: 'batch, relu, rows left out', kind: 'batch', relu: true, x: [1, 4, 3, 2, 2], rows: [1, 0, 1, 1] },
  { name: 'batch, pool, rows left out, two groups', kind: 'batch', pool: 2, x: [2, 3, 2, 4, 2], rows: [1, 1, 0, 0, 1, 1] },
]

const attrsOf = ({ kind, groups = 1, relu = false, pool = 0 }: Variant) => ({
  kind: ['instance', 'group', 'batch'].indexOf(kind),
  groups,
  eps: 1e-5,
  relu,
  pool,
})

/** Sums of powers beside the map: every power, images that the pool covers and that it does not, and rows left out. */
const sumVariants: readonly (Variant & { power: number })[] = [
  { name: 'sums, power 1', kind: 'instance', relu: true, power: 1, x: [1, 2, 3, 4, 3] },
  { name: 'sums, power 2, pool', kind: 'instance', relu: true, pool: 2, power: 2, x: [1, 2, 4, 4, 3] },
  { name: 'sums, power 3, pool, odd, two groups', kind: 'group', groups: 2, relu: true, pool: 2, power: 3, x: [2, 2, 5, 3, 4] },
  { name: 'sums, power 4, pool', kind: 'instance', relu: true, pool: 2, power: 4, x: [1, 3, 4, 2, 5] },
  { name: 'sums, power 4, batch, pool', kind: 'batch', relu: true, pool: 2, power: 4, x: [2, 3, 4, 4, 2] },
  { name: 'sums, power 2, rows left out', kind: 'batch', relu: true, pool: 2, power: 2, x: [1, 4, 3, 2, 2], rows: [1, 0, 1, 1] },
]

const sumCases = sumVariants.map(({ name, x, rows, ...options }): OpCase => {
  const parameters = [x[0], x[4]]
  const weights = rows ? [given([x[0], x[1]], rows)] : []
  return {
    op: 'norm_act_pool',
    name,
    inputs: [between(x, -2, 2), between(parameters, 0.5, 1.5), between(parameters, -0.5, 0.5), ...weights],
    build(v, gamma, beta, w) {
      const { y, positions, channels } = normActPoolSums(v, gamma, beta, w ? { ...options, rowWeights: w } : options)
      return [y, positions, channels]
    },
    wrt: [0, 1, 2],
  }
})

const plainCases = variants.flatMap((variant): OpCase[] => {
  const { name, x, rows, ...options } = variant
  const parameters = [x[0], x[4]]
  const y = options.pool === 2 ? [x[0], x[1], x[2] >> 1, x[3] >> 1, x[4]] : x
  const shared = [between(x, -2, 2), between(parameters, 0.5, 1.5), between(parameters, -0.5, 0.5)]
  const weights = rows ? [given([x[0], x[1]], rows)] : []
  return [
    {
      op: 'norm_act_pool',
      name,
      inputs: [...shared, ...weights],
      build: (v, gamma, beta, w) => [normActPool(v, gamma, beta, w ? { ...options, rowWeights: w } : options).y],
      wrt: [0, 1, 2],
    },
    {
      op: 'norm_act_pool_grad',
      name,
      inputs: [...shared, between(y, -1, 1), ...weights],
      build(v, gamma, beta, gy, ...w) {
        const { mean, rstd } = normActPool(v, gamma, beta, w[0] ? { ...options, rowWeights: w[0] } : options)
        return emit('norm_act_pool_grad', [v, gamma, beta, mean, rstd, gy, ...w], attrsOf(variant))
      },
      wrt: [0, 1, 2, 3],
      second: false,
    },
    {
      op: 'norm_act_pool_grad_grad',
      name,
      inputs: [...shared, between(y, -1, 1), between(x, -1, 1), between(parameters, -1, 1), between(parameters, -1, 1), ...weights],
      build(v, gamma, beta, gy, ux, ugamma, ubeta, ...w) {
        const { mean, rstd } = normActPool(v, gamma, beta, w[0] ? { ...options, rowWeights: w[0] } : options)
        return emit('norm_act_pool_grad_grad', [v, gamma, beta, mean, rstd, gy, ux, ugamma, ubeta, ...w], attrsOf(variant))
      },
    },
  ]
})

/** The gradient with the cotangents of the sums, as the compiler makes it after the last derivative. */
const sumGradCases = sumVariants
  .filter(({ rows, pool, x }) => !rows && (pool !== 2 || (x[2] % 2 === 0 && x[3] % 2 === 0)))
  .map((variant): OpCase => {
    const { name, x, power, ...options } = variant
    const parameters = [x[0], x[4]]
    const y = options.pool === 2 ? [x[0], x[1], x[2] >> 1, x[3] >> 1, x[4]] : x
    return {
      op: 'norm_act_pool_grad',
      name,
      inputs: [
        between(x, -2, 2),
        between(parameters, 0.5, 1.5),
        between(parameters, -0.5, 0.5),
        between(y, -1, 1),
        between(x.slice(0, 4), -1, 1),
        between([x[0], x[1], x[4]], -1, 1),
      ],
      build(v, gamma, beta, gy, positions, channels) {
        const { mean, rstd } = normActPool(v, gamma, beta, options)
        return emit('norm_act_pool_grad', [v, gamma, beta, mean, rstd, gy, positions, channels], { ...attrsOf(variant), power })
      },
    }
  })

export const normCases: readonly OpCase[] = [...plainCases, ...sumCases, ...sumGradCases]
