/** @file What a checkpoint may be continued with: the same settings and data, instruction set, plans and state. */
import type { Dataset } from '../data/dataset.js'
import { checkSavedPlan } from '../engine/saved-plan.js'
import { AludelError, expected } from '../errors.js'
import type { Checkpoint, RunConfig } from '../experiment/types.js'
import { originalOf } from './divergence.js'
import type { RunState } from './state.js'

/** Settings that a continuation may change: how far the run goes, what it does when it diverges from here on, and how its teacher's file is called. */
const free: readonly string[] = ['iterations', 'onDivergence', 'teacher']

const show = (value: unknown): string => JSON.stringify(value) ?? 'nothing'

function differing(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): string | undefined {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].find((name) => show(a[name]) !== show(b[name]))
}

/** Throws `incompatible` naming the first setting that differs, `invalid_option` when the checkpoint is beyond the last step. */
export function checkConfig({ config: saved, data, counters }: Checkpoint, config: RunConfig, iterations: number, dataset: Dataset): void {
  const refuse = (name: string, there: unknown, here: unknown): never => {
    const todo = 'a run continues with its own settings and data'
    throw new AludelError('incompatible', `checkpoint: ${name} is ${show(there)} there but ${show(here)} here; ${todo}`)
  }
  const setting = differing(without(saved, free), without(config, free))
  if (setting !== undefined) refuse(setting, saved[setting], config[setting])
  for (const field of ['classes', 'mean', 'std', 'flip'] as const) {
    if (show(data[field]) !== show(dataset[field])) refuse(`${field} of the data`, data[field], dataset[field])
  }
  const { step } = counters
  if (step > iterations) {
    throw expected('invalid_option', 'iterations', `at least ${step}, the steps that the run has done`, iterations)
  }
}

/** Throws `incompatible` when the programs compiled here would not compute the same bits as those of the checkpoint. */
export function checkPlans({ plans: saved }: Checkpoint, plans: Checkpoint['plans']): void {
  for (const name of new Set([...Object.keys(plans), ...Object.keys(saved)])) checkSavedPlan(name, saved[name], plans[name])
}

/** Overwrites the state by that of the checkpoint. Throws `incompatible` when the tensors or counters are others. */
export async function restoreState(state: RunState, { tensors, counters }: Checkpoint): Promise<void> {
  const found = Object.entries(state.arrays).map(([name, { dtype, shape }]) => {
    const tensor = savedAs(tensors, name)
    const [wanted, received] = [show({ dtype, shape }), tensor && show({ dtype: tensor.dtype, shape: tensor.shape })]
    if (!tensor || received !== wanted) throw expected('incompatible', `checkpoint: tensor '${name}'`, wanted, received ?? 'no such tensor')
    return [name, tensor] as const
  })
  const counted = Object.keys(state.counters).map((name) => {
    const value = savedAs(counters, name)
    if (value === undefined) throw expected('incompatible', `checkpoint: counter '${name}'`, 'a whole number', 'no such counter')
    return [name, value] as const
  })
  await state.write({ tensors: Object.fromEntries(found), counters: Object.fromEntries(counted) })
}

/** A run that may go back from now on, and could not before, goes back to where it is now at first. */
const savedAs = <T>(saved: Readonly<Record<string, T>>, name: string): T | undefined => saved[name] ?? saved[originalOf(name) ?? '']

const without = (record: Readonly<Record<string, unknown>>, names: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(Object.entries(record).filter(([name]) => !names.includes(name)))
