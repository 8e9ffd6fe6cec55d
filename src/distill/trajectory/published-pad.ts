/**
 * @file Published settings of DATM (2310.05773) and PAD (2408.03360). PAD's table 7 and the configuration files that its authors ship
 * disagree in many cells, and both are kept. Of DATM the files alone were at hand; its authors call the paper's table authoritative.
 */
import { padCifar10, padManyClasses } from '../../schedule/pad-rule.js'
import { from, type PublishedCell, type PublishedData, type PublishedRow, type Sourced, valuesOf } from './published-cell.js'

/** A number of the table, or both where the files differ from it. */
type Cell<T> = T | { readonly table: T; readonly yaml: T }

const but = <T>(table: T, yaml: T): Cell<T> => ({ table, yaml })

interface Row {
  readonly data: PublishedData
  readonly ipc: number
  /** Share of the shallow parameters that the loss leaves out. */
  readonly alpha: Cell<number>
  readonly innerSteps: Cell<number>
  readonly expertEpochs: Cell<number>
  readonly min: Cell<number>
  readonly start: Cell<number>
  readonly max: Cell<number>
  /** Iterations until the range of starts grows by one epoch; null where it does not grow. */
  readonly interval: Cell<number | null>
  readonly batch: Cell<number>
  readonly labelLr: number
  readonly imageLr: number
}

const rows: readonly Row[] = [
  {
    ...{ data: 'cifar10', ipc: 1, alpha: 0, innerSteps: 80, expertEpochs: 2, min: 0, start: 4, max: 4, interval: null },
    ...{ batch: but(10, 1000), labelLr: 5, imageLr: 100 },
  },
  {
    ...{ data: 'cifar10', ipc: 10, alpha: but(0.25, 0.5), innerSteps: 80, expertEpochs: 2, min: 0, start: 10, max: 20, interval: 100 },
    ...{ batch: but(100, 500), labelLr: 2, imageLr: 100 },
  },
  {
    ...{ data: 'cifar10', ipc: 50, alpha: 0.25, innerSteps: 80, expertEpochs: but(2, 3), min: 0, start: 20, max: 40, interval: 100 },
    ...{ batch: but(500, 1000), labelLr: 2, imageLr: 1000 },
  },
  {
    ...{ data: 'cifar10', ipc: 500, alpha: 0.5, innerSteps: but(80, 40), expertEpochs: 2, min: 40, start: 60, max: but(60, 70) },
    ...{ interval: but<number | null>(null, 200), batch: 1000, labelLr: 10, imageLr: 50 },
  },
  {
    ...{ data: 'cifar10', ipc: 1000, alpha: but(0.75, 0.5), innerSteps: but(80, 100), expertEpochs: 2, min: 40, start: 60, max: 60 },
    ...{ interval: null, batch: 1000, labelLr: 10, imageLr: 50 },
  },
  {
    ...{ data: 'cifar100', ipc: 1, alpha: but(0, 0.5), innerSteps: 40, expertEpochs: 3, min: 0, start: but(10, 20), max: but(20, 30) },
    ...{ interval: 100, batch: 100, labelLr: 10, imageLr: 1000 },
  },
  {
    ...{ data: 'cifar100', ipc: 10, alpha: but(0.25, 0.5), innerSteps: 80, expertEpochs: 2, min: 0, start: but(20, 30), max: but(40, 50) },
    ...{ interval: 100, batch: 1000, labelLr: 10, imageLr: 1000 },
  },
  {
    ...{ data: 'cifar100', ipc: 50, alpha: but(0.5, 0), innerSteps: 80, expertEpochs: 2, min: but(40, 20), start: 60, max: but(80, 70) },
    ...{ interval: but<number | null>(100, null), batch: 1000, labelLr: 10, imageLr: 1000 },
  },
  {
    ...{ data: 'cifar100', ipc: 100, alpha: 0.5, innerSteps: 80, expertEpochs: 2, min: but(40, 30), start: 80, max: but(80, 70) },
    ...{ interval: null, batch: 1000, labelLr: 10, imageLr: 50 },
  },
  {
    ...{ data: 'tiny', ipc: 1, alpha: but(0, 0.5), innerSteps: but(60, 40), expertEpochs: 2, min: 0, start: 15, max: but(30, 20) },
    ...{ interval: 400, batch: 200, labelLr: 10, imageLr: 10000 },
  },
  {
    ...{
      data: 'tiny',
      ipc: 10,
      alpha: but(0.25, 0.5),
      innerSteps: but(60, 40),
      expertEpochs: 2,
      min: but(0, 10),
      start: 20,
      max: but(40, 50),
    },
    ...{ interval: but<number | null>(100, null), batch: but(250, 500), labelLr: 10, imageLr: 100 },
  },
  {
    ...{ data: 'tiny', ipc: 50, alpha: 0.5, innerSteps: but(80, 20), expertEpochs: 2, min: but(20, 40), start: 40, max: but(60, 70) },
    ...{ interval: but<number | null>(100, null), batch: but(250, 1000), labelLr: 10, imageLr: 100 },
  },
]

const isPair = <T>(cell: Cell<T>): cell is { readonly table: T; readonly yaml: T } => typeof cell === 'object' && cell !== null
const pick = <T>(cell: Cell<T>, which: 'table' | 'yaml'): T => (isPair(cell) ? cell[which] : cell)

const table7 = 'PAD, table 7'
const files = (method: string): string => `configuration files of the released code of ${method}`

/** The number of the wanted source; the other one is told where it differs. */
function settled<T>(cell: Cell<T>, which: 'table' | 'yaml', unit: (value: T) => string = String): Sourced<T> {
  const value = pick(cell, which)
  const source = which === 'table' ? table7 : files('PAD')
  if (!isPair(cell)) return [value, source]
  const other = which === 'table' ? `the shipped files have ${unit(cell.yaml)}` : `table 7 has ${unit(cell.table)}`
  return [value, `${source}; ${other}`]
}

const maskOf = (alpha: number): string => (alpha === 0 ? 'none' : `depth:${alpha}`)

/** T where the range grows; where it does not, no source reads it. */
function startRange(row: Row, which: 'table' | 'yaml') {
  const [start, max, interval] = [row.start, row.max, row.interval].map((cell) => pick<number | null>(cell, which))
  const grows = interval !== null
  const source = which === 'table' ? table7 : files('PAD')
  return {
    minStartEpoch: settled(row.min, which),
    maxStartEpoch: settled(row.max, which),
    startEpoch: grows ? settled(row.start, which) : ([pick(row.max, which), `${source}: the range does not grow`] as const),
    expansionEnd: grows
      ? ([interval * (Number(max) - Number(start)), `${source}: one epoch every ${interval} iterations`] as const)
      : ([null, `${source}: the range does not grow`] as const),
  }
}

const lrLrOf = ({ data, ipc }: Row): number => {
  if (data === 'tiny') return 1e-4
  return data === 'cifar10' && ipc === 1 ? 1e-7 : 1e-5
}

/** What tables leave out and the code of both methods has. */
function common(row: Row, method: string) {
  const { data, ipc } = row
  const first = data === 'cifar10' && ipc === 1
  return {
    ...from(files(method), { iterations: 10000, imageMomentum: 0.5, labelMomentum: 0.9, lrMomentum: 0.5, startLr: 0.01, zca: true }),
    ...from(files(method), { lrLr: lrLrOf(row), threshold: first ? 1.1 : 1, emaDecay: null, gradient: 'exact', labels: 'soft' }),
    ...from(files(method), { init: data === 'cifar100' && ipc === 50 ? 'real' : 'predicted' }),
    ...from(`readme of the released code of ${method}`, { experts: 100, trainedEpochs: 100, expertLr: 0.01, expertBatch: 256 }),
    gsam: [{ rho: 0.01, alpha: 0.3, adaptive: true }, `readme of the released code of ${method}`],
  } as const
}

function padCell(row: Row, which: 'table' | 'yaml'): PublishedCell {
  const [alpha, source] = settled(row.alpha, which)
  const many = row.data !== 'cifar10'
  const added = `${table7} (initialRatio, addEndEpoch)`
  return {
    ...common(row, 'PAD'),
    ...startRange(row, which),
    innerSteps: settled(row.innerSteps, which),
    expertEpochs: settled(row.expertEpochs, which),
    synBatch: settled<number | null>(row.batch, which),
    labelLr: settled<number | null>(row.labelLr, which),
    imageLr: settled(row.imageLr, which),
    mask: [maskOf(alpha), source],
    schedule: [
      many ? padManyClasses : padCifar10,
      many
        ? `${added}; what is removed is published nowhere, that of CIFAR-10 is our choice`
        : `${added}; readme of the released code of PAD`,
    ],
  }
}

export const pad: readonly PublishedRow[] = rows.map((row) => ({
  data: row.data,
  ipc: row.ipc,
  cells: { paper: padCell(row, 'table'), yaml: padCell(row, 'yaml') },
}))

/** Where DATM's files differ from PAD's. */
const datmChanges: readonly (Partial<Row> & Pick<Row, 'data' | 'ipc'>)[] = [
  { data: 'cifar10', ipc: 1, batch: 10 },
  { data: 'cifar10', ipc: 10, batch: 100 },
  { data: 'cifar10', ipc: 50, batch: 500, expertEpochs: 2 },
  { data: 'cifar10', ipc: 500, max: 60, interval: null },
  { data: 'cifar100', ipc: 1, start: 10, max: 20 },
]

function datmCell(row: Row): PublishedCell {
  const source = files('DATM')
  return { ...from(source, valuesOf(padCell(row, 'yaml'))), ...common(row, 'DATM'), ...from(source, { mask: 'none', schedule: null }) }
}

export const datm: readonly PublishedRow[] = rows.map((row) => {
  const change = datmChanges.find(({ data, ipc }) => data === row.data && ipc === row.ipc)
  return { data: row.data, ipc: row.ipc, cells: { yaml: datmCell({ ...row, ...change }) } }
})
