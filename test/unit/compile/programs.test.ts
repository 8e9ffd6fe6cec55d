import { describe, expect, it } from 'vitest'
import { checkAgainstInterpreter } from './compare.js'
import { dmStep, evaluationStep, hvpStep, trainStep } from './graphs.js'

const graphs = {
  'distribution matching': () => dmStep(16, 8),
  'distribution matching with a tail': () => dmStep(34, 16),
  training: () => trainStep(16),
  'training with batch norm': () => trainStep(16, 'batch'),
  'hessian-vector product': () => hvpStep(16),
  evaluation: () => evaluationStep(16),
}

describe.each(Object.entries(graphs))('%s', (_, build) => {
  it('gives the interpreter’s numbers without slicing', () => {
    const { plan } = checkAgainstInterpreter(build(), { slicing: 'off' })
    expect(plan.slices).toEqual([])
  })
  it('gives them in slices of two rows', () => void checkAgainstInterpreter(build(), { slicing: { rows: 2 } }))
  it('gives them in slices of four rows when nothing is kept between regions', () => {
    checkAgainstInterpreter(build(), { slicing: { rows: 4 }, memoryBudget: 0 })
  })
  it('gives them with automatic slicing', () => void checkAgainstInterpreter(build()))
})
