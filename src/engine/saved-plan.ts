/** @file Whether a program that is compiled here computes the bits of one that a checkpoint was made with. */
import { AludelError, expected } from '../errors.js'
import type { Plan } from './compile/program.js'

/** What bits depend on, and what to do where it is another than that of the checkpoint. */
const arithmeticTerms = [
  { what: 'isa', term: 'instruction set', todo: (there: unknown) => `open the device with isa '${there}', on a machine that has it` },
  { what: 'precision', term: 'precision', todo: (there: unknown) => `open the device with precision '${there}'` },
  {
    what: 'libraries',
    term: 'CUDA libraries',
    todo: (there: unknown) =>
      there === undefined
        ? 'continue with ALUDEL_CUDA_LIBS=off'
        : 'continue on a GPU of that model, with that library and the same ALUDEL_CUDA_LIBS',
  },
] as const

/** Throws `incompatible` unless the plans of program `name` are equal: first for what it computes with, then for any other difference. */
export function checkSavedPlan(name: string, saved: Plan | undefined, plan: Plan | undefined): void {
  for (const { what, term, todo } of saved && plan ? arithmeticTerms : []) {
    const [there, here] = [saved?.[what], plan?.[what]]
    if (there === here) continue
    const wanted = `${there ?? 'none'}, which it began with,`
    throw expected('incompatible', `checkpoint: ${term} of '${name}'`, wanted, here ?? 'none', todo(there))
  }
  if (JSON.stringify(saved) === JSON.stringify(plan)) return
  const todo = 'continue it with the version of aludel that began it'
  throw new AludelError('incompatible', `checkpoint: the program '${name}' was compiled to another plan than here; ${todo}`)
}
