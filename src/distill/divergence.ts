/** @file Runs that diverge: found by a loss or a tensor that is not finite, and either ended or taken back to a step where all was well. */
import { AludelError } from '../errors.js'
import { Turn } from '../event-loop.js'
import type { StateTensor } from '../experiment/types.js'
import type { RunState, StateDeclaration } from './state.js'

/** The images of a 'rollback' run are kept every so many steps: how far it goes back depends on the step alone, never on time. */
export const rollbackEvery = 100
/** Every learning rate of the outer step after each rollback, as a share of the one before. */
export const rollbackFactor = 0.5
/** One more divergence than this ends the run. */
export const mostRollbacks = 3

/** A loss or a tensor of the state that is not finite. */
export class Divergence extends AludelError {
  constructor(what: string) {
    super('not_finite', what)
  }
}

const pieceElements = 1 << 16

/** Throws `Divergence` naming the first tensor that holds NaN or infinity, its row and the step. */
export async function checkFinite(tensors: Readonly<Record<string, StateTensor>>, step: number): Promise<void> {
  const turn = new Turn()
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    if (dtype !== 'f32' && dtype !== 'f64') continue
    for (let at = 0; at < data.length; at += pieceElements) {
      const broken = data.subarray(at, at + pieceElements).findIndex((value) => !Number.isFinite(value))
      if (broken >= 0) {
        const row = Math.floor((at + broken) / (data.length / (shape[0] ?? 1)))
        throw new Divergence(`tensor '${name}' holds ${data[at + broken]} in row ${row} after step ${step}`)
      }
      await turn.breathe()
    }
  }
}

const prefix = 'rollback.'
const kept = (name: string): string => prefix + name

/** The name of what a kept tensor or counter is a copy of; undefined for others. */
export const originalOf = (name: string): string | undefined => (name.startsWith(prefix) ? name.slice(prefix.length) : undefined)

/** `declaration` with a second copy of everything in it: the state to go back to. `rollbacks` counts on. */
export function withRollback({ tensors, counters }: StateDeclaration): StateDeclaration {
  const doubled = <T>(entries: Readonly<Record<string, T>>) =>
    Object.fromEntries(Object.entries(entries).flatMap(([name, entry]) => [[name, entry] as const, [kept(name), entry] as const]))
  const { rollbacks, ...rest } = counters
  return { tensors: doubled(tensors), counters: { ...doubled(rest), rollbacks } }
}

/** Makes the state as it is the one to go back to. Throws `Divergence` when it is not finite. */
export async function keepState(state: RunState): Promise<void> {
  const { tensors, counters } = copiedNames(state)
  await checkFinite(await state.read(tensors), state.counters.step)
  await state.copy(tensors.map((name) => [name, kept(name)]))
  for (const name of counters) state.counters[kept(name)] = state.counters[name]
}

/** Goes back to the state kept, and counts it. */
export async function rollBack(state: RunState): Promise<void> {
  const { tensors, counters } = copiedNames(state)
  await state.copy(tensors.map((name) => [kept(name), name]))
  for (const name of counters) state.counters[name] = state.counters[kept(name)]
  state.counters.rollbacks++
}

function copiedNames({ arrays, counters }: RunState): { tensors: string[]; counters: string[] } {
  const doubled = (entries: object) => Object.keys(entries).filter((name) => Object.hasOwn(entries, kept(name)))
  return { tensors: doubled(arrays), counters: doubled(counters) }
}
