/** @file Every op case and its derivatives on the device against the float64 interpreter, on each instruction set of this machine. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Device } from '../../src/engine/runtime/device.js'
import { allCases, caseTitle, type OpCase } from '../cases/index.js'
import { borderCases } from './border-cases.js'
import { caseGraphs } from './derivatives.js'
import { boundErrors, largest, largestError } from './error-bound.js'
import { gpuTileCases } from './gpu-tile-cases.js'
import { runTraced } from './run-traced.js'
import { onGpu, openTestedDevices } from './tested-devices.js'
import { wideConvCases } from './wide-conv-cases.js'

/**
 * Roundings allowed per unit of the bound: sums of n float32 products in a row move by up to n/2 roundings where independent ones
 * give sqrt(n), and exp, log and tanh are good to a few units in the last place.
 */
const roundings = 24
/**
 * Rounding noise of F(4,3) over a direct sum: sqrt(sum of (A G B)^2 / 3) = 5.6 per axis at the worst of its four outputs (points 0, ±1, ±2),
 * 31 in two axes. Five roundings of that; 77 are seen.
 */
const winogradRoundings = 160

let devices: Device[] = []
const worst = new Map<string, { share: number; title: string }>()

beforeAll(async () => {
  devices = await openTestedDevices()
})

afterAll(async () => {
  for (const [isa, { share, title }] of worst) console.info(`${isa}: at most ${share.toPrecision(2)} of the allowed error (${title})`)
  for (const device of devices) await device.close()
})

function note(isa: string, share: number, title: string): void {
  if (share > (worst.get(isa)?.share ?? 0)) worst.set(isa, { share, title })
}

const isConvCase = ({ op }: OpCase): boolean => op.startsWith('conv2d')

const cases = [...allCases, ...wideConvCases, ...borderCases, ...(onGpu ? gpuTileCases : [])]

describe.each(cases.map((c) => [caseTitle(c), c] as const))('%s', (title, c) => {
  it.each(caseGraphs(c).map((graph) => [graph.order, graph] as const))('%s', async (order, { traced, inputs }) => {
    const { reference, unit } = boundErrors(traced, inputs)
    for (const device of devices) {
      for (const winograd of isConvCase(c) ? (['auto', 'off'] as const) : (['auto'] as const)) {
        const { results, plan } = await runTraced(device, traced, inputs, { winograd })
        const usesWinograd = plan.algorithms.some(({ algorithm }) => algorithm === 'winograd')
        if (winograd === 'off') expect(usesWinograd).toBe(false)
        for (const [i, wanted] of reference.entries()) {
          const what = `${device.isa}, winograd ${winograd}, output ${i}`
          const error = largestError(results[i], wanted)
          const isExact = order === 'forward' && c.tolerance === 0
          const allowed = isExact ? 0 : unit[i] * (usesWinograd ? winogradRoundings : roundings)
          expect(error, what).toBeLessThanOrEqual(allowed)
          if (allowed > 0) note(`${device.isa}${usesWinograd ? ', Winograd' : ''}`, error / allowed, `${title}, ${order}`)
          if (order === 'forward' && !usesWinograd) expect(error, what).toBeLessThanOrEqual((c.tolerance ?? 1e-5) * largest(wanted.data))
        }
      }
    }
  })
})

it.skipIf(onGpu)('runs Winograd where the shapes call for it', async () => {
  for (const c of wideConvCases) {
    const [{ traced, inputs }] = caseGraphs(c)
    const { plan } = await runTraced(devices[0], traced, inputs)
    expect(plan.algorithms.map(({ algorithm }) => algorithm)).toEqual(['winograd'])
  }
})
