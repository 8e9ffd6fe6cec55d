/** @file Golden augmentation chains: operations with explicit parameters become rows of the augment op's theta. Replays the dsa_* cases. */

import { augment, grad, mul, sum, type Value } from '../engine/index.js'
import { AludelError } from '../errors.js'
import { nchwToNhwc, nhwcToNchw } from '../nn/layout.js'
import type { GoldenCase } from './case-file.js'
import { type Check, CheckList } from './compare.js'
import type { GoldenEngine, GoldenInput } from './engines.js'
import { fieldAt, listAt, tensorAt } from './fields.js'
import type { GoldenTensor } from './tensor.js'

type Sizes4 = readonly [number, number, number, number]
type Row = readonly number[]
type Parameters = Readonly<Record<string, unknown>>

export interface ChainLink {
  readonly op: string
  readonly params: Parameters
}

interface ImageSize {
  readonly height: number
  readonly width: number
}

/** theta rows: [kind, p0..p6]; see the program contract. */
const kinds = { identity: 0, color: 1, crop: 2, cutout: 3, flip: 4, affine: 5 }

const rowBuilders: Readonly<Record<string, (p: (name: string) => number, size: ImageSize) => Row>> = {
  brightness: (p) => [kinds.color, p('delta'), 1, 1],
  saturation: (p) => [kinds.color, 0, p('factor'), 1],
  contrast: (p) => [kinds.color, 0, 1, p('factor')],
  crop: (p) => [kinds.crop, p('dy'), p('dx')],
  cutout: (p, { height, width }) => {
    const [rows, columns] = [Math.floor(p('ratio') * height + 0.5), Math.floor(p('ratio') * width + 0.5)]
    return [kinds.cutout, p('cy') - (rows >> 1), p('cx') - (columns >> 1), rows, columns]
  },
  flip: (p) => [kinds.flip, p('on')],
  scale: (p) => [kinds.affine, p('sx'), 0, 0, 0, p('sy'), 0],
  rotate: (p) => {
    const angle = (p('degrees') * Math.PI) / 180
    return [kinds.affine, Math.cos(angle), -Math.sin(angle), 0, Math.sin(angle), Math.cos(angle), 0]
  },
}

/** A parameter of one sample: lists have one entry per sample, or one for all of them. */
function parameterOf(link: ChainLink, sample: number): (name: string) => number {
  return (name) => {
    const value = link.params[name]
    const entry = Array.isArray(value) ? value[Math.min(sample, value.length - 1)] : value
    if (typeof entry !== 'number' && typeof entry !== 'boolean') {
      throw new AludelError(
        'invalid_data',
        `augmentation ${link.op}: expected a number for '${name}' but received ${JSON.stringify(entry)}`,
      )
    }
    return Number(entry)
  }
}

function rowOf(link: ChainLink, sample: number, size: ImageSize): Row {
  const build = rowBuilders[link.op]
  if (!build)
    throw new AludelError('invalid_data', `augmentation: expected one of ${Object.keys(rowBuilders).join(', ')} but received '${link.op}'`)
  return build(parameterOf(link, sample), size)
}

/** Color operations that follow each other in the op's own order (brightness, saturation, contrast) are one row. */
function mergeColor(rows: readonly Row[]): Row[] {
  const merged: Row[] = []
  for (const row of rows) {
    const last = merged.at(-1)
    const fits =
      last && last[0] === kinds.color && row[0] === kinds.color && last[3] === 1 && row[1] === 0 && (last[2] === 1 || row[2] === 1)
    if (last && fits) merged[merged.length - 1] = [kinds.color, last[1], last[2] * row[2], row[3]]
    else merged.push(row)
  }
  return merged
}

/** Theta [N, 8] of every stage, from the chain of each sample. Shorter chains are filled up with the identity. */
export function thetaStages(chains: readonly (readonly ChainLink[])[], size: ImageSize): GoldenTensor[] {
  const rows = chains.map((chain, n) => mergeColor(chain.map((link) => rowOf(link, n, size))))
  const stages = Math.max(1, ...rows.map((r) => r.length))
  return Array.from({ length: stages }, (_, stage) => {
    const data = new Float64Array(rows.length * 8)
    for (const [n, chain] of rows.entries()) data.set(chain[stage] ?? [kinds.identity], n * 8)
    return { shape: [rows.length, 8], data }
  })
}

export const stageInputs = (prefix: string, stages: readonly GoldenTensor[]): Record<string, GoldenInput> =>
  Object.fromEntries(stages.map((stage, i) => [`${prefix}${i}`, stage]))

/** Applies the stages, whose thetas are the values `${prefix}0`, `${prefix}1`, … */
export function augmentStages(x: Value, values: Readonly<Record<string, Value>>, prefix: string): Value {
  let y = x
  for (let i = 0; values[`${prefix}${i}`] !== undefined; i++) y = augment(y, values[`${prefix}${i}`])
  return y
}

export const isAugmentation = (golden: GoldenCase): boolean =>
  Array.isArray(fieldAt(golden, 'cases')) && fieldAt(golden, 'inputs', 'cotangent') !== undefined

export async function replayAugmentation(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const checks = new CheckList(engine.name)
  const x = tensorAt(golden, 4, 'inputs', 'x')
  const cotangent = tensorAt(golden, 4, 'inputs', 'cotangent')
  const [n, channels, height, width] = x.shape as Sizes4
  const nhwc = [n, height, width, channels] as const
  const images = (t: GoldenTensor): GoldenTensor => ({ shape: nhwc, data: nchwToNhwc(t.data, t.shape as Sizes4) })
  const back = (t: GoldenTensor): GoldenTensor => ({ shape: x.shape, data: nhwcToNchw(t.data, nhwc) })
  for (const i of listAt(golden, 'cases').keys()) {
    const chain = listAt(golden, 'cases', i, 'chain') as readonly ChainLink[]
    const stages = thetaStages(Array(n).fill(chain), { height, width })
    const results = await engine.run(
      (values) => {
        const y = augmentStages(values.x, values, 'theta')
        const [gradX] = grad(sum(mul(y, values.cotangent)), [values.x])
        return { y, gradX }
      },
      { x: images(x), cotangent: images(cotangent), ...stageInputs('theta', stages) },
    )
    const name = String(fieldAt(golden, 'cases', i, 'name') ?? i)
    checks.add(`${name}.y`, 'loss', back(results.y), tensorAt(golden, 4, 'cases', i, 'y'))
    checks.add(`${name}.grad_x`, 'gradient', back(results.gradX), tensorAt(golden, 4, 'cases', i, 'grad_x'))
  }
  return checks.checks
}
