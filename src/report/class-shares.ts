/** @file Whether a class is harmed: what each class had, what it keeps, and its share of the data before and after. */
import type { Subset } from '../prune/index.js'
import { escapeHtml, formatNumber } from './html.js'
import { foldable } from './table.js'

/** What it shows of a subset; `totals` are the images of each class before, undefined where that is not known. */
export interface Shares {
  readonly subset: Pick<Subset, 'classes' | 'counts' | 'raised'>
  readonly totals: readonly number[] | undefined
  /** Accuracy in per cent by class of what scored; where known. */
  readonly accuracy?: readonly (number | null)[] | null
}

const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0)
const percent = (share: number): string => `${share > 0 && share < 0.001 ? formatNumber(100 * share, 2) : (100 * share).toFixed(1)}\u00a0%`

export function classShares({ subset: { classes, counts, raised }, totals, accuracy }: Shares): string {
  if (!totals) return countTable(classes, counts)
  const [before, after] = [sum(totals), sum(counts)]
  const rows = classes
    .map((name, c) => ({
      ...{ name, of: totals[c], kept: counts[c], part: totals[c] > 0 ? counts[c] / totals[c] : 0 },
      ...{ before: totals[c] / before, after: counts[c] / after, accuracy: accuracy?.[c] ?? null },
    }))
    .filter(({ of }) => of > 0)
  const widest = Math.max(...rows.flatMap((row) => [row.before, row.after]))
  const bar = (share: number, kind: string) =>
    `<span class="bar ${kind}"><span style="width:${((100 * share) / widest).toFixed(1)}%"></span></span>`
  const withAccuracy = rows.some((row) => row.accuracy !== null)
  const cells = rows.map((row) => {
    const change = 100 * (row.after - row.before)
    return `<tr><th scope="row">${escapeHtml(row.name)}</th><td class="number">${row.kept} of ${row.of}</td><td class="number">${percent(row.part)}</td>
<td class="number">${percent(row.before)}</td><td class="number">${percent(row.after)}</td><td class="number">${Math.abs(change) < 0.05 ? '0.0' : `${change > 0 ? '+' : '−'}${Math.abs(change).toFixed(1)}`}</td><td aria-hidden="true">${bar(row.before, 'before')}${bar(row.after, 'after')}</td>${withAccuracy ? `<td class="number">${row.accuracy === null ? '–' : row.accuracy.toFixed(1)}</td>` : ''}</tr>`
  })
  const table = `<div class="scroll"><table><caption>Images of each class, and its share of the data before (grey) and after pruning</caption>
<thead><tr><th scope="col">class</th><th scope="col">images kept</th><th scope="col">of the class</th><th scope="col">share before</th><th scope="col">after</th><th scope="col">points</th><th scope="col"><span class="hidden">bars</span></th>${withAccuracy ? '<th scope="col">accuracy of what scored</th>' : ''}</tr></thead><tbody>${cells.join('\n')}</tbody></table></div>`
  const lifted = raised.map(({ class: c, from, to }) => `${classes[c]} (${to}, not ${from})`)
  const minimum = lifted.length === 0 ? '' : `<p>Raised to the minimum of a class: ${escapeHtml(lifted.join(', '))}.</p>`
  return `${verdict(rows)}\n${minimum}${foldable('Classes before and after', rows.length, table)}`
}

/** From which share of its images on a class differs from the whole enough to be named. */
const noticeable = 0.8

interface Row {
  readonly name: string
  readonly of: number
  readonly part: number
  readonly before: number
  readonly after: number
}

/** The answer in words: whether classes keep alike, and which lose most. */
function verdict(rows: readonly Row[]): string {
  const order = [...rows].sort((a, b) => a.part - b.part)
  const [least, most] = [order[0], order[order.length - 1]]
  const overall = sum(rows.map(({ part, of }) => part * of)) / sum(rows.map(({ of }) => of))
  // counts are whole: a class of 9 cannot keep exactly a fifth
  if (rows.every(({ part, of }) => Math.abs(part - overall) * of <= 1))
    return `<p>Every class keeps the same share of its images, ${percent(overall)}: none is harmed by its number.</p>`
  const harmed = order.filter(({ part }) => part < noticeable * overall)
  const ends = `${least.name} keeps ${percent(least.part)} of its images, ${most.name} ${percent(most.part)}, all together ${percent(overall)}.`
  if (harmed.length === 0) return `<p>${escapeHtml(`Classes keep nearly alike: ${ends}`)}</p>`
  const named = harmed.slice(0, 5).map(({ name, before, after }) => `${name} (${percent(before)} → ${percent(after)} of the data)`)
  const others = harmed.length > named.length ? ` and ${harmed.length - named.length} more` : ''
  return `<p>${escapeHtml(`Classes do not keep alike: ${ends} Far below the average stay ${named.join(', ')}${others}.`)}</p>
<p><code>--scope class</code> keeps the same share of every class, <code>--minimum</code> sets a floor.</p>`
}

function countTable(classes: readonly string[], counts: readonly number[]): string {
  const rows = classes.map(
    (name, c) => `<tr><th scope="row">${escapeHtml(name)}</th><td class="number">${formatNumber(counts[c])}</td></tr>`,
  )
  return `<p>The file does not say how many images each class had: it was made by an earlier version.</p>${foldable('Images kept of each class', classes.length, `<div class="scroll"><table><thead><tr><th scope="col">class</th><th scope="col">images kept</th></tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`)}`
}
