/** @file The page of a sweep: accuracy against the share of images that stays, by order and network, with bands; time; every run. */
import { isRecord } from '../arguments.js'
import type { SweepCell, SweepRecord } from '../experiment/sweep-record.js'
import { figureList, framedPage, section } from './frame.js'
import { definitionTable, escapeHtml, formatDuration } from './html.js'
import { mean } from './statistics.js'
import { orderText } from './subset-rule.js'
import { accuracyChart, shareText, timeChart, timeOf } from './sweep-charts.js'
import { everything, networksOf, type SweepPoint, seriesOf, sharesOf } from './sweep-summary.js'
import { foldable, textTable } from './table.js'

export interface SweepReport {
  readonly record: SweepRecord
  /** In label order; empty where no run says them. */
  readonly classes: readonly string[]
  /** Directories of the runs that have a report. */
  readonly reports: ReadonlySet<string>
}

/** The network that images are matched under when a sweep names none. */
const usual = 'convnet'

export function sweepPage(report: SweepReport): string {
  const { record } = report
  const { cells, settings } = record
  const distill = isRecord(settings.distill) ? settings.distill : {}
  const networks = networksOf(cells)
  const seen = typeof distill.network === 'string' ? distill.network : usual
  const unseen = networks.filter((network) => network !== seen)
  const first = networks.includes(seen) ? seen : networks[0]
  const method = typeof distill.method === 'string' ? distill.method.toUpperCase() : 'Distillation'
  return framedPage({
    title: `${method} by share of images kept`,
    header: `<p class="lead">${cells.length} runs${record.status === 'running' ? ', more to come' : ''}: ${escapeHtml(ordersText(cells))}.</p>
${figureList(headline(cells, first))}
`,
    main: [
      section('Accuracy', cells.length === 0 ? '<p>No run has ended yet.</p>' : accuracies(cells, { networks, seen, unseen, first })),
      section('Time', time(cells)),
      section('Table', cells.length === 0 ? '' : summaryTable(cells, networks, unseen)),
      section('Accuracy by class', first === undefined ? '' : byClass(report, first)),
      section('Runs', cells.length === 0 ? '' : runTable(report, networks)),
      section('Settings', settingsTables(settings)),
    ].join('\n'),
  })
}

const ordersText = (cells: readonly SweepCell[]): string =>
  [...new Set(cells.map(({ order }) => order))]
    .map((order) => (order === 'all' ? 'all: everything stays' : `${order}: ${orderText(order)}`))
    .join('; ')

const percent = (point: SweepPoint): string => `${point.mean.toFixed(1)}\u00a0%`

/** What all images reach, and the best of each order. */
function headline(cells: readonly SweepCell[], network: string | undefined): [string, string][] {
  if (network === undefined) return []
  const shares = sharesOf(cells)
  const all = everything(cells, [network])
  const best = seriesOf(cells, [network]).flatMap(({ order, points }): [string, string][] => {
    const chosen = points.map((point, i) => ({ point, keep: shares[i] })).filter(({ keep }) => keep < 1)
    const top = chosen.reduce<(typeof chosen)[number] | undefined>(
      (a, b) => (b.point && (!a?.point || b.point.mean > a.point.mean) ? b : a),
      undefined,
    )
    return top?.point ? [[`best of ${order}, ${network}`, `${percent(top.point)} with ${shareText(top.keep)}`]] : []
  })
  return [...(all ? [[`all images, ${network}`, percent(all)] as [string, string]] : []), ...best]
}

interface Networks {
  readonly networks: readonly string[]
  readonly seen: string
  readonly unseen: readonly string[]
  readonly first: string | undefined
}

function accuracies(cells: readonly SweepCell[], { networks, seen, unseen, first }: Networks): string {
  if (networks.length === 0 || first === undefined) return '<p>No run was measured.</p>'
  const heading = (network: string) =>
    `<h3>${escapeHtml(network)}${unseen.length === 0 ? '' : network === seen ? ', which the images were matched under' : ', unseen'}</h3>`
  const ordered = [first, ...networks.filter((network) => network !== first)]
  const charts = ordered.map((network, i) => `${heading(network)}${accuracyChart(`sweep-${i}`, cells, [network])}`)
  const together =
    unseen.length > 1
      ? [`<h3>Mean over the unseen networks: ${escapeHtml(unseen.join(', '))}</h3>${accuracyChart('sweep-unseen', cells, unseen)}`]
      : []
  const [own, ...others] = charts
  return `<p>${escapeHtml(keepsUp(cells, first))}</p>
<p>${bandText(cells)} Bands that reach further are cut at the edge of the drawing.</p>
${[own, ...together, ...others].join('\n')}`
}

/** Over what the interval of the means goes. */
function bandText(cells: readonly SweepCell[]): string {
  const repeats = new Set(cells.map(({ repeat }) => repeat)).size
  const few = repeats === 2 ? ' Of two repetitions it is wide and says little.' : ''
  return repeats > 1
    ? `Means over ${repeats} distillations with seeds of their own; the band is the 95&nbsp;% interval of the mean (Student's t).${few}`
    : 'One distillation each; the band is the 95&nbsp;% interval over the networks trained on it, and says nothing of other seeds.'
}

/** In words: from which share on an order cannot be told from all images. */
function keepsUp(cells: readonly SweepCell[], network: string): string {
  const all = everything(cells, [network])
  if (!all) return `No run on all images is there to compare with: add 1 to --keep.`
  const shares = sharesOf(cells)
  const said = seriesOf(cells, [network])
    .filter(({ order }) => order !== 'all')
    .map(({ order, points }) => {
      const pruned = points.flatMap((point, i) => (point && shares[i] < 1 ? [{ point, keep: shares[i] }] : []))
      const reaches = pruned.filter(({ point }) => (point.interval?.[1] ?? point.mean) >= all.mean)
      if (pruned.length === 0) return `${order} has no run yet`
      if (reaches.length === 0) return `${order} stays below it at every share`
      if (reaches.length === pruned.length) return `${order} reaches it, within its interval, at every share`
      return `${order} reaches it, within its interval, at ${reaches.map(({ keep }) => shareText(keep)).join(', ')}`
    })
  return `All images: ${percent(all)} with ${network}.${said.length === 0 ? '' : ` ${said.join('; ')}.`}`
}

function time(cells: readonly SweepCell[]): string {
  const chart = timeChart(cells)
  return (
    chart &&
    `<p>Seconds of a distillation, mean over the repetitions; training networks on the result takes as long for every share.</p>\n${chart}`
  )
}

const pointText = ({ mean: center, interval }: SweepPoint): string =>
  `${center.toFixed(1)}${interval ? ` (${interval[0].toFixed(1)} to ${interval[1].toFixed(1)})` : ''}`

function summaryTable(cells: readonly SweepCell[], networks: readonly string[], unseen: readonly string[]): string {
  const columns = [
    ...networks.map((network) => ({ name: network, of: [network] })),
    ...(unseen.length > 1 ? [{ name: 'mean of unseen', of: unseen }] : []),
  ]
  const shares = sharesOf(cells)
  const orders = [...new Set(cells.map(({ order }) => order))]
  const rows = orders.flatMap((order) =>
    shares.flatMap((keep) => {
      const own = cells.filter((cell) => cell.order === order && cell.keep === keep)
      if (own.length === 0) return []
      const points = columns.map(({ of }) => seriesOf(own, of)[0].points[0])
      const time = timeOf(own, order, keep)
      const counts = own[0].classCounts
      return [
        [
          `${order},\u00a0${shareText(keep)}`,
          String(counts.reduce((a, b) => a + b, 0)),
          counts.length === 0 ? '–' : String(Math.min(...counts)),
          String(own.length),
          ...points.map((point) => (point ? pointText(point) : '–')),
          time ? formatDuration(time.distill) : '–',
          time ? formatDuration(time.evaluate) : '–',
        ],
      ]
    }),
  )
  const head = ['what stays', 'images', 'smallest class', 'runs', ...columns.map(({ name }) => name), 'distillation', 'evaluation']
  return textTable('Test accuracy in per cent with the 95 % interval of the mean, and mean time of a run', head, rows)
}

/** Accuracy of each class against the share, by order: whether a class pays for what the others gain. */
function byClass({ record: { cells }, classes }: SweepReport, network: string): string {
  const shares = sharesOf(cells)
  const perClass = (order: string, keep: number, c: number): string => {
    const values = cells
      .filter((cell) => cell.keep === keep && (cell.order === order || cell.order === 'all'))
      .flatMap(({ accuracies }) => accuracies.filter((result) => result.network === network).map((result) => result.perClass?.[c] ?? null))
      .filter((value) => value !== null)
    return values.length === 0 ? '–' : mean(values).toFixed(1)
  }
  const count = Math.max(0, ...cells.flatMap(({ accuracies }) => accuracies.map((result) => result.perClass?.length ?? 0)))
  if (count === 0) return ''
  const names = Array.from({ length: count }, (_, c) => (classes.length === count ? classes[c] : `class ${c}`))
  return seriesOf(cells, [network])
    .map(({ order }) => {
      const rows = names.map((name, c) => [name, ...shares.map((keep) => perClass(order, keep, c))])
      const caption = `${network}: test accuracy in per cent of each class, by share kept`
      return foldable(order, names.length, textTable(caption, ['class', ...shares.map(shareText)], rows))
    })
    .join('\n')
}

function runTable({ record: { cells }, reports }: SweepReport, networks: readonly string[]): string {
  const rows = cells.map(({ order, keep, repeat, seed, run, accuracies, seconds, steps }) => {
    const href = `./${run.split('/').map(encodeURIComponent).join('/')}/report.html`
    const name = reports.has(run) ? `<a href="${escapeHtml(href)}">${escapeHtml(run)}</a>` : escapeHtml(run)
    const results = networks.map((network) => {
      const result = accuracies.findLast((one) => one.network === network)
      return `<td class="number">${result ? `${result.mean.toFixed(1)} ± ${result.std.toFixed(1)}` : '–'}</td>`
    })
    return `<tr><th scope="row">${name}</th><td>${escapeHtml(order)}</td><td class="number">${shareText(keep)}</td><td class="number">${repeat}</td><td class="number">${seed}</td>${results.join('')}<td class="number">${steps}</td><td class="number">${formatDuration(seconds.distill)}</td></tr>`
  })
  const head = ['run', 'order', 'kept', 'repetition', 'seed', ...networks, 'steps', 'distillation']
  const table = `<div class="scroll"><table><caption>Accuracy: mean ± standard deviation over the networks trained on each distilled set</caption>
<thead><tr>${head.map((name) => `<th scope="col">${escapeHtml(name)}</th>`).join('')}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`
  return foldable('Every run', cells.length, table)
}

/** Settings as they stand in the record: groups of them are tables of their own. */
function settingsTables(settings: Readonly<Record<string, unknown>>): string {
  const groups = Object.entries(settings).filter((entry): entry is [string, Record<string, unknown>] => isRecord(entry[1]))
  const flat = Object.fromEntries(Object.entries(settings).filter(([, value]) => !isRecord(value)))
  const text = (value: unknown): unknown => (isRecord(value) ? JSON.stringify(value) : value)
  const tables = groups.map(([name, group]) =>
    definitionTable(name, Object.fromEntries(Object.entries(group).map(([key, value]) => [key, text(value)]))),
  )
  return [definitionTable('Sweep', flat), ...tables].join('\n')
}
