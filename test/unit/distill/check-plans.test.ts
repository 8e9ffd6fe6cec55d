/** @file What a checkpoint's plans must share with those compiled for the continuation, and what is said where they do not. */
import { expect, it } from 'vitest'
import { checkPlans } from '../../../src/distill/resume.js'
import type { Plan } from '../../../src/engine/compile/program.js'
import type { Checkpoint } from '../../../src/experiment/types.js'

const library = 'cuBLASLt 13.1.0 (132 multiprocessors)'
const plan = { format: 1, isa: 'sm_90', precision: 'tf32', flops: 1 } as unknown as Plan
const check = (there: Partial<Plan>, here: Partial<Plan>) =>
  checkPlans({ plans: { step: { ...plan, ...there } } } as unknown as Checkpoint, { step: { ...plan, ...here } })

it.each([
  [{ isa: 'sm_80' }, {}, "instruction set of 'step': expected sm_80, which it began with, but received 'sm_90'; open the device with isa"],
  [{ precision: 'f32' }, {}, "precision of 'step': expected f32, which it began with, but received 'tf32'; open the device with precision"],
  [
    { libraries: library },
    {},
    `CUDA libraries of 'step': expected ${library}, which it began with, but received 'none'; continue on a GPU`,
  ],
  [
    {},
    { libraries: library },
    `CUDA libraries of 'step': expected none, which it began with, but received '${library}'; continue with ALUDEL_CUDA_LIBS=off`,
  ],
  [{ flops: 2 }, {}, "the program 'step' was compiled to another plan than here"],
] as const)('refuses %o against %o', (there, here, message) => {
  expect(() => check(there, here)).toThrow(expect.objectContaining({ code: 'incompatible', message: expect.stringContaining(message) }))
})

it('takes equal plans, with and without libraries', () => {
  check({}, {})
  check({ libraries: library }, { libraries: library })
})
