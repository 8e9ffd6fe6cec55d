/** @file The accuracies of a sweep as a table: a row for each share, a column for each order, mean and deviation over the repetitions. */
import type { SweepCell, SweepRecord } from '../../experiment/sweep-record.js'

export interface SweepSummary {
  readonly network: string
  readonly order: SweepCell['order']
  readonly keep: number
  /** Mean over the repetitions of each run's mean accuracy, in per cent, and their standard deviation (population form). */
  readonly mean: number
  readonly std: number
  readonly n: number
}

/** One entry for each network, share and order. */
export function summarise({ cells }: Pick<SweepRecord, 'cells'>): SweepSummary[] {
  const groups = new Map<string, { readonly of: Pick<SweepSummary, 'network' | 'order' | 'keep'>; readonly means: number[] }>()
  for (const { order, keep, accuracies } of cells) {
    for (const { network, mean } of accuracies) {
      const key = JSON.stringify([network, order, keep])
      const group = groups.get(key) ?? { of: { network, order, keep }, means: [] }
      group.means.push(mean)
      groups.set(key, group)
    }
  }
  return [...groups.values()].map(({ of, means }) => {
    const mean = means.reduce((sum, value) => sum + value, 0) / means.length
    const std = Math.sqrt(means.reduce((sum, value) => sum + (value - mean) ** 2, 0) / means.length)
    return { ...of, mean, std, n: means.length }
  })
}

/** Lines for people, one table a network. */
export function tableLines(summaries: readonly SweepSummary[]): string[] {
  const networks = [...new Set(summaries.map(({ network }) => network))]
  return networks.flatMap((network) => {
    const own = summaries.filter((one) => one.network === network)
    const orders = [...new Set(own.map(({ order }) => order))].filter((order) => order !== 'all')
    const columns = orders.length > 0 ? orders : (['all'] as const)
    const shares = [...new Set(own.map(({ keep }) => keep))].sort((a, b) => a - b)
    const rows = shares.map((share) => [
      `${share}`,
      // everything is the same run whatever the order
      ...columns.map((order) => shown(own.find(({ keep, order: other }) => keep === share && (other === order || other === 'all')))),
    ])
    const all = [['keep', ...columns], ...rows]
    const widths = all[0].map((_, i) => Math.max(...all.map((row) => row[i].length)))
    return [
      `${network}, test accuracy in per cent`,
      ...all.map((row) =>
        row
          .map((text, i) => text.padEnd(widths[i]))
          .join('  ')
          .trimEnd(),
      ),
    ]
  })
}

const shown = (one: SweepSummary | undefined): string =>
  one === undefined ? '-' : `${one.mean.toFixed(1)}${one.n > 1 ? ` ± ${one.std.toFixed(1)}` : ''}`
