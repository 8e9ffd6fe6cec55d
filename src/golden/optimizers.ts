/** @file Replays of optimisers over given gradients (AdamW, LAMB, AdaBelief, SGD with coupled decay), and of schedules of the learning rate. */
import type { Value } from '../engine/index.js'
import { AludelError } from '../errors.js'
import { adabeliefUpdate } from '../optim/adabelief.js'
import { adamwUpdate } from '../optim/adamw.js'
import { lambUpdate } from '../optim/lamb.js'
import type { MomentState } from '../optim/moments.js'
import { cosineSchedule, linearSchedule } from '../optim/schedules.js'
import { sgdUpdate } from '../optim/sgd.js'
import type { GoldenCase } from './case-file.js'
import { type Check, CheckList, listTensor } from './compare.js'
import type { GoldenEngine } from './engines.js'
import { fieldAt, listAt, numberAt, scalarTensor, tensorAt } from './fields.js'
import type { GoldenTensor } from './tensor.js'

export const isOptimizers = (golden: GoldenCase): boolean => fieldAt(golden, 'kind') === 'optimizers'

type Step = (parameter: Value, gradient: Value, state: MomentState) => { readonly parameter: Value; readonly state: MomentState }

/** The update of one case of the file. */
function stepOf(golden: GoldenCase, index: number): Step {
  const name = fieldAt(golden, 'cases', index, 'name')
  const at = (key: string): number => numberAt(golden, 'cases', index, key)
  const moments = () => ({ lr: at('lr'), eps: at('eps'), betas: fieldAt(golden, 'cases', index, 'betas') as readonly [number, number] })
  if (name === 'adamw') return (p, g, s) => adamwUpdate(p, g, s, { ...moments(), weightDecay: at('weight_decay') })
  if (name === 'lamb_optax') return (p, g, s) => lambUpdate(p, g, s, { ...moments(), weightDecay: at('weight_decay') })
  if (name === 'adabelief_torch_optimizer') return (p, g, s) => adabeliefUpdate(p, g, s, moments())
  if (name === 'sgd_momentum_coupled_wd') {
    return (p, g, s) => {
      const { parameter, velocity } = sgdUpdate(p, s.mean, g, { lr: at('lr'), momentum: at('momentum'), weightDecay: at('weight_decay') })
      return { parameter, state: { ...s, mean: velocity } }
    }
  }
  throw new AludelError('invalid_data', `${golden.name}: expected a known optimiser but received '${name}'`)
}

const row = ({ shape: [, width], data }: GoldenTensor, i: number): GoldenTensor => ({
  shape: [width],
  data: data.slice(i * width, (i + 1) * width),
})

async function replaySteps(golden: GoldenCase, engine: GoldenEngine, checks: CheckList, index: number): Promise<void> {
  const step = stepOf(golden, index)
  const wanted = tensorAt(golden, 2, 'cases', index, 'params_after_each_step')
  const gradients = tensorAt(golden, 2, 'inputs', 'grads')
  const start = tensorAt(golden, 1, 'inputs', 'p0')
  const zeros = { shape: start.shape, data: new Float64Array(start.data.length) }
  let state: Record<string, GoldenTensor> = { mean: zeros, square: zeros, meanWeight: scalarTensor(0), squareWeight: scalarTensor(0) }
  let parameter = start
  for (let i = 0; i < wanted.shape[0]; i++) {
    const results = await engine.run(
      ({ parameter, gradient, ...state }) => {
        const next = step(parameter, gradient, state as unknown as MomentState)
        return { ...next.state, parameter: next.parameter }
      },
      { ...state, parameter, gradient: row(gradients, i) },
    )
    ;({ parameter, ...state } = results)
    const name = `${index}.${String(fieldAt(golden, 'cases', index, 'name'))}.step${i + 1}`
    checks.add(name, 'trajectory', parameter, row(wanted, i))
  }
}

/** Schedules are computed on the host, in float64 whatever the engine. */
function checkSchedules(golden: GoldenCase, checks: CheckList): void {
  const compare = (name: string, schedule: (completed: number) => number): void => {
    const steps = Array.from(tensorAt(golden, 1, name, 'completed_steps').data)
    checks.add(name, 'trajectory', listTensor(steps.map(schedule)), tensorAt(golden, 1, name, 'lr'))
  }
  const at = (name: string, key: string): number => numberAt(golden, name, key)
  const linear = [at('linear_lr', 'lr0'), at('linear_lr', 'total'), at('linear_lr', 'end_factor')] as const
  compare('linear_lr', linearSchedule(...linear))
  compare('cosine_lr', cosineSchedule(at('cosine_lr', 'lr0'), at('cosine_lr', 'total')))
}

export async function replayOptimizers(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const checks = new CheckList(engine.name)
  for (const i of listAt(golden, 'cases').keys()) await replaySteps(golden, engine, checks, i)
  checkSchedules(golden, checks)
  return checks.checks
}
