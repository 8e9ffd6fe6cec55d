/** @file Every cell of the published tables of trajectory matching, written down a second time as the sources print them. */
import { describe, expect, it } from 'vitest'
import { nearestPublished, type PublishedData, published, publishedCells } from '../../../src/distill/trajectory/published.js'

type Text = string | readonly string[]

/** 'C10 10' -> data and IPC. */
const names: Readonly<Record<string, PublishedData>> = { C10: 'cifar10', C100: 'cifar100', Tiny: 'tiny', IN64: 'imagenet64' }
function cellAt(method: Parameters<typeof published>[0], cell: string, source: 'paper' | 'yaml') {
  const [data, ipc] = cell.split(' ')
  const found = published(method, names[data], Number(ipc), source)
  if (!found) throw new Error(`${method} has no ${cell} of ${source}`)
  return found
}

/** PAD: table 7, and after | what the shipped files have in its place. */
const padTable = [
  // IPC          alpha      N        M    T-      T       T+      growth     batch      lr_y lr_img
  ['C10 1', '0', '80', '2', '0', '4', '4', '-', '10|1000', '5', '100'],
  ['C10 10', '.25|.5', '80', '2', '0', '10', '20', '1000', '100|500', '2', '100'],
  ['C10 50', '.25', '80', '2|3', '0', '20', '40', '2000', '500|1000', '2', '1000'],
  ['C10 500', '.5', '80|40', '2', '40', '60', '60|70', '-|2000', '1000', '10', '50'],
  ['C10 1000', '.75|.5', '80|100', '2', '40', '60', '60', '-', '1000', '10', '50'],
  ['C100 1', '0|.5', '40', '3', '0', '10|20', '20|30', '1000', '100', '10', '1000'],
  ['C100 10', '.25|.5', '80', '2', '0', '20|30', '40|50', '2000', '1000', '10', '1000'],
  ['C100 50', '.5|0', '80', '2', '40|20', '60|70', '80|70', '2000|-', '1000', '10', '1000'],
  ['C100 100', '.5', '80', '2', '40|30', '80|70', '80|70', '-', '1000', '10', '50'],
  ['Tiny 1', '0|.5', '60|40', '2', '0', '15', '30|20', '6000|2000', '200', '10', '10000'],
  ['Tiny 10', '.25|.5', '60|40', '2', '0|10', '20|50', '40|50', '2000|-', '250|500', '10', '100'],
  ['Tiny 50', '.5', '80|20', '2', '20|40', '40|70', '60|70', '2000|-', '250|1000', '10', '100'],
] as const

const lrLr = (cell: string): number => (cell.startsWith('Tiny') ? 1e-4 : cell === 'C10 1' ? 1e-7 : 1e-5)

describe('pad', () => {
  it.each(padTable)('%s', (cell, ...columns) => {
    for (const [place, source] of (['paper', 'yaml'] as const).entries()) {
      const [alpha, innerSteps, expertEpochs, min, start, max, growth, batch, labelLr, imageLr] = columns.map((text: string) => {
        const number = text.split('|').at(place) ?? text.split('|')[0]
        return number === '-' ? null : Number(number)
      })
      const { options, ...settings } = cellAt('pad', cell, source)
      expect(options).toEqual({
        ...{ innerSteps, expertEpochs, minStartEpoch: min, startEpoch: start, maxStartEpoch: max, expansionEnd: growth },
        ...{ synBatch: batch, labelLr, labelMomentum: 0.9, lrLr: lrLr(cell), lrMomentum: 0.5, startLr: 0.01 },
        ...{ threshold: cell === 'C10 1' ? 1.1 : 1, mask: alpha === 0 ? 'none' : `depth:${alpha}` },
        ...{ gradient: 'exact', labels: 'soft', emaDecay: null },
      })
      expect(settings).toMatchObject({ iterations: 10000, imageLr, imageMomentum: 0.5, init: cell === 'C100 50' ? 'real' : 'predicted' })
      expect(settings).toMatchObject({ augment: 'dsa', network: 'convnet', zca: true })
      expect(settings.training).toEqual({
        ...{ experts: 100, trainedEpochs: 100, expertLr: 0.01, expertBatch: 256, gsam: { rho: 0.01, alpha: 0.3, adaptive: true } },
        schedule: {
          initialRatio: 0.75,
          addEndEpoch: cell.startsWith('C10 ') ? 20 : 40,
          removeMiddle: 40,
          removeEnd: 60,
          r1: 0.1,
          r2: 0.2,
        },
      })
    }
  })

  it('tells the other source where the two differ', () => {
    expect(cellAt('pad', 'C10 10', 'paper').origin.mask).toBe('PAD, table 7; the shipped files have 0.5')
    expect(cellAt('pad', 'C10 10', 'yaml').origin.mask).toBe('configuration files of the released code of PAD; table 7 has 0.25')
    expect(cellAt('pad', 'C10 10', 'paper').origin.innerSteps).toBe('PAD, table 7')
    expect(cellAt('pad', 'C10 10', 'paper').origin.expansionEnd).toBe('PAD, table 7: one epoch every 100 iterations')
  })
})

/** Files of DATM, where they differ from those of PAD. */
const datmDifferences: Readonly<Record<string, object>> = {
  'C10 1': { synBatch: 10 },
  'C10 10': { synBatch: 100 },
  'C10 50': { synBatch: 500, expertEpochs: 2 },
  'C10 500': { startEpoch: 60, maxStartEpoch: 60, expansionEnd: null },
  'C100 1': { startEpoch: 10, maxStartEpoch: 20 },
}

describe('datm', () => {
  it.each(padTable)('%s', (cell) => {
    const { origin: _, ...datm } = cellAt('datm', cell, 'yaml')
    const { origin: __, ...pad } = cellAt('pad', cell, 'yaml')
    expect(datm).toEqual({
      ...pad,
      options: { ...pad.options, mask: 'none', ...datmDifferences[cell] },
      training: { ...pad.training, schedule: null },
    })
  })

  it.each([
    ['C100 10', 0, 30, 50],
    ['C100 50', 20, 70, 70],
    ['C100 100', 30, 70, 70],
    ['Tiny 1', 0, 15, 20],
    ['Tiny 10', 10, 50, 50],
    ['Tiny 50', 40, 70, 70],
  ])('starts %s from epochs as its files say', (cell, minStartEpoch, startEpoch, maxStartEpoch) =>
    expect(cellAt('datm', cell, 'yaml').options).toMatchObject({ minStartEpoch, startEpoch, maxStartEpoch }),
  )

  it('does not claim a table that was not at hand', () => {
    expect(published('datm', 'cifar10', 10, 'paper')).toBeUndefined()
    expect(nearestPublished('datm', 'cifar10', 10, 'paper')).toBeUndefined()
    expect(Object.values(cellAt('datm', 'C10 10', 'yaml').origin).join()).not.toContain('PAD')
  })
})

/** N, M, T+, lr_img, lr_lr, eta0, batch ('-': all); then, for MTT and TESLA, whitening, and for FTD GSAM's alpha and the EMA's decay. */
const hard: Readonly<Record<'mtt' | 'tesla' | 'ftd', readonly (readonly Text[])[]>> = {
  mtt: [
    ['C10 1', '50 2 2 100 1e-7 .01 - zca'],
    ['C10 10', '30 2 20 100 1e-5 .001 - zca'],
    ['C10 50', '30 2 40 1000 1e-5 .001 - none'],
    ['C100 1', '20 3 20 1000 1e-5 .01 - zca'],
    ['C100 10', '20 2 20 1000 1e-5 .01 - none'],
    ['C100 50', '80 2 40 1000 1e-5 .01 125 zca'],
    ['Tiny 1', '10 2 10 1e4 1e-4 .01 - none'],
    ['Tiny 10', '20 2 40 1e4 1e-4 .01 200 none'],
    ['Tiny 50', '20 2 40 1e4 1e-4 .01 300 none'],
  ],
  tesla: [
    ['C10 1', '50 2 5 1000 1e-7 .01 - zca'],
    ['C100 50', '80 2 40 1000 1e-5 .01 125 zca'],
    ['IN64 1', '10 3 10 1e4 1e-4 .01 100 none'],
  ],
  ftd: [
    ['C10 1', '50 2 2 100 1e-7 .01 - .3 .9999'],
    ['C10 10', '30 2 20 100 1e-5 .001 - .3 .9995'],
    ['C10 50', '30 2 40 1000 1e-5 .01 - 1 .999'],
    ['C100 1', '40 3 20 1000 1e-5 .01 - 1 .9995'],
    ['C100 10', '20 2 40 1000 1e-5 .01 - 1 .9995'],
    ['C100 50', '80 2 40 1000 1e-5 .01 1000 1 .999'],
    ['Tiny 1', '30 2 10 1e4 1e-4 .01 - 1 .999'],
    ['Tiny 10', '20 2 40 1e4 1e-4 .01 500 1 .999'],
  ],
}

describe.each(['mtt', 'tesla', 'ftd'] as const)('%s', (method) => {
  it.each(hard[method])('%s', (cell, text) => {
    const columns = String(text).split(' ')
    const [innerSteps, expertEpochs, bound, imageLr, rate, startLr, synBatch] = columns.map((column) =>
      column === '-' ? null : Number(column),
    )
    const { options, training, ...settings } = cellAt(method, String(cell), 'paper')
    const large = String(cell).startsWith('IN64')
    expect(options).toEqual({
      ...{ innerSteps, expertEpochs, minStartEpoch: 0, startEpoch: bound, maxStartEpoch: bound, expansionEnd: null, synBatch },
      ...{ labelLr: null, labelMomentum: 0.9, lrLr: rate, lrMomentum: 0.5, startLr, threshold: null, mask: 'none' },
      ...{ gradient: method === 'tesla' ? 'tesla' : 'exact', labels: large ? 'teacher' : 'hard' },
      emaDecay: method === 'ftd' ? Number(columns[8]) : null,
    })
    const zca = method === 'ftd' || columns[7] === 'zca'
    expect(settings).toMatchObject({ iterations: 5000, imageLr, imageMomentum: 0.5, init: 'real', augment: 'dsa', network: 'convnet', zca })
    expect(training).toEqual({
      ...{ experts: large ? 50 : 100, trainedEpochs: 50, expertLr: 0.01, expertBatch: 256, schedule: null },
      gsam: method === 'ftd' ? { rho: 0.01, alpha: Number(columns[7]), adaptive: true } : null,
    })
  })

  it('has no other cells, and none of shipped files', () => {
    const cells = publishedCells(method).map(({ data, ipc, source }) => `${data} ${ipc} ${source}`)
    expect(cells).toEqual(hard[method].map(([cell]) => `${names[String(cell).split(' ')[0]]} ${String(cell).split(' ')[1]} paper`))
  })
})

it('names the origin of every value', () => {
  for (const method of ['mtt', 'ftd', 'tesla', 'datm', 'pad'] as const) {
    for (const { origin, options, training, data: _, ipc: __, source: ___, ...settings } of publishedCells(method)) {
      expect(Object.keys(origin).sort()).toEqual(Object.keys({ ...settings, ...options, ...training }).sort())
      for (const text of Object.values(origin)) expect(text).toMatch(/\S/)
    }
  }
})

describe('the nearest cell', () => {
  it.each([
    ['pad', 'cifar10', 10, 'paper', 'cifar10', 10],
    ['pad', 'cifar10', 49, 'paper', 'cifar10', 10],
    ['pad', 'cifar100', 5000, 'yaml', 'cifar100', 100],
    ['pad', 'tiny-imagenet', 10, 'yaml', 'tiny', 10],
    ['pad', 'my-images', 3, 'paper', 'cifar10', 1],
    ['tesla', 'cifar100', 1, 'paper', 'cifar100', 50],
    ['tesla', 'tiny-imagenet', 50, 'paper', 'cifar10', 1],
    ['datm', 'fashion-mnist', 20, 'yaml', 'cifar10', 10],
  ] as const)('of %s for %s at %i, %s', (method, name, ipc, source, data, found) =>
    expect(nearestPublished(method, name, ipc, source)).toEqual(published(method, data, found, source)),
  )
})
