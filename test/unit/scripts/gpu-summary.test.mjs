/** @file What the summary of a GPU check says of its logs. */
import { expect, it } from 'vitest'
import { jsonLines, peaksOf, summaryOf, testLines } from '../../../scripts/gpu-summary.mjs'

const results = jsonLines(`noise
{"who":"aludel","name":"copy-peak","precision":"tf32","median_s":0.02,"gflop_s":0,"gbyte_s":3900}
{"who":"aludel","name":"matrix-peak","precision":"tf32","median_s":0.02,"gflop_s":200000,"gbyte_s":1}
{"who":"aludel","name":"dm","precision":"tf32","median_s":0.002,"gflop_s":142000,"gbyte_s":2440}
{"who":"aludel","name":"conv","precision":"tf32","median_s":1,"gflop_s":1,"gbyte_s":0,"128->128 8x8 forward":{"ms":0.2,"tflop_s":240}}
{"who":"torch","name":"torch-peaks","copy_gbyte_s":4000,"tf32_tflop_s":400,"bf16_tflop_s":700}
{"who":"torch eager","step":"dm","median_s":0.02}
{"who":"torch compiled","step":"dm","median_s":0.01}
{"who":"aludel","name":"cholesky","precision":"f64","n":1000,"gram_s":0.001,"gram_gflop_s":3000,"factor_s":0.002,"factor_gflop_s":170,"solve_s":0.001,"solve_gflop_s":250,"residual":1e-14}
{ broken`)

it('takes the better of both as peak, where there is any', () => {
  expect(peaksOf(results)).toMatchObject({ copy: 4000, tf32: 400, bf16: 700, f32: Number.NEGATIVE_INFINITY })
})

it('sets rates beside the peaks, and times beside the faster peer', () => {
  const text = summaryOf({ steps: [['doctor', 'ok', '1', 'ready']], results, machine: 'a GPU', reports: {} })
  expect(text).toContain('| doctor | ok | 1 | ready |')
  expect(text).toContain('| dm | tf32 | 2.000 | 142.00 | 36 % | 2440.0 | 61 % | 20.000 | 10.000 | 5.00 |')
  expect(text).toContain('| 128->128 8x8 forward | tf32 | 0.200 | 240.0 | 60 % |')
  expect(text).toContain('| 1000 | 1.00 | 3.00 | 2.00 | 0.17 | 1.00 | 0.25 | 1e-14 |')
  expect(text).not.toMatch(/Infinity|NaN|undefined/)
})

it('says nothing of what was not measured', () => {
  const text = summaryOf({ steps: [['device', 'failed', '0', 'none']], results: [], machine: '', reports: {} })
  expect(text).not.toMatch(/Benches|Convolutions|Peaks|Infinity|undefined/)
})

it('names tests that failed, and files that did not load', () => {
  const report = {
    ...{ numPassedTests: 2, numFailedTests: 1, numPendingTests: 0 },
    testResults: [
      {
        name: '/x/test/device/a.test.ts',
        assertionResults: [
          { status: 'failed', fullName: 'adds' },
          { status: 'passed', fullName: 'b' },
        ],
      },
      { name: '/x/test/device/b.test.ts', assertionResults: [], message: 'no such module\n at …' },
    ],
  }
  expect(testLines('ops', report)).toEqual([
    'ops: 2 passed, 1 failed, 0 skipped',
    '  - test/device/a.test.ts: adds',
    '  - test/device/b.test.ts: no such module',
  ])
})
