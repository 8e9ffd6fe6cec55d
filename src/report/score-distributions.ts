/** @file How a score is distributed: a histogram of all samples, one of each class over the same bins, and a table of quantiles. */
import type { ScoreFile } from '../prune/index.js'
import { type ScoreName, scoreInfo, scoreNames } from '../scores/registry.js'
import { type Bins, binsOf, countIn } from './bins.js'
import { easyEnd } from './extremes.js'
import { histogram, topShare } from './histogram.js'
import { escapeHtml, shortNumber } from './html.js'
import type { ScoreReport } from './score-report.js'
import { mean, quantile, sorted } from './statistics.js'
import { foldable, textTable } from './table.js'

/** More small histograms than this are not read: of more classes the easiest and hardest are drawn. */
const mostClasses = 40

interface Distribution {
  readonly name: string
  readonly rows: ArrayLike<number>
  readonly ascending: Float64Array
  readonly counts: Int32Array
  readonly kept: Int32Array | undefined
  readonly range: readonly [number, number] | undefined
}

export function scoreDistributions(report: ScoreReport, file: ScoreFile): string {
  const { record, samples } = report
  const { score, values } = file
  const ascending = sorted(values)
  const bins = binsOf(ascending)
  const kept = report.subset && Uint8Array.from(marks(report.subset.subset.indices, values.length))
  const of = (name: string, rows: ArrayLike<number>, order: Float64Array): Distribution => {
    const keptRows = kept && Array.from(rows).filter((row) => kept[row] === 1)
    const chosenByThis = keptRows && keptRows.length > 0 && report.subset?.subset.score?.name === score.name
    return {
      name,
      rows,
      ascending: order,
      counts: countIn(bins, values, Array.from(rows)),
      kept: keptRows && countIn(bins, values, keptRows),
      range: chosenByThis ? rangeOf(keptRows, values) : undefined,
    }
  }
  const all = of(
    'all',
    Uint32Array.from(values, (_, i) => i),
    ascending,
  )
  const classes = (samples?.rows ?? [])
    .map((rows, c) => of(record.classes[c], rows, sorted(Float64Array.from(rows, (row) => values[row]))))
    .filter(({ rows }) => rows.length > 0)
  const whole = { bins, top: topShare(bins, [all.counts]), kind: score.name }
  const drawings = drawn(all, { ...whole, size: 'large' }) + drawn(all, { ...whole, size: 'medium' })
  return `${lead(file, bins)}
<figure class="plain">${drawings}<figcaption>${escapeHtml(score.name)}${bins.logarithmic ? ', on a logarithmic scale' : ''}; the line is the median</figcaption></figure>
${smallMultiples(classes, bins, score.name)}
${summary(all, classes, score.name)}`
}

function* marks(indices: readonly number[], samples: number): Generator<number> {
  let next = 0
  for (let row = 0; row < samples; row++) {
    const found = indices[next] === row
    if (found) next++
    yield found ? 1 : 0
  }
}

function rangeOf(rows: readonly number[], values: Float64Array): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const row of rows) {
    low = Math.min(low, values[row])
    high = Math.max(high, values[row])
  }
  return [low, high]
}

/** What the score is and which end of it is easy. */
function lead({ score }: ScoreFile, { openLow, openHigh }: Bins): string {
  const known = scoreNames.includes(score.name as ScoreName) ? scoreInfo(score.name as ScoreName).source : undefined
  const beyond = [openLow && 'first bar also holds what is smaller', openHigh && 'last bar also holds what is larger'].filter(Boolean)
  const pass = score.pass === 'training' ? ' Seen while training, of augmented images.' : ''
  return `<p>${known === undefined ? '' : `${escapeHtml(known)}. `}${easyEnd(score.name) === 'low' ? 'Small' : 'Large'} values are easy. By ${escapeHtml(score.source)}.${pass}${beyond.length > 0 ? ` The ${beyond.join(', the ')}.` : ''}</p>`
}

interface Drawing {
  readonly bins: Bins
  readonly top: number
  readonly size: 'small' | 'medium' | 'large'
  readonly kind: string
}

function drawn({ name, rows, ascending, counts, kept, range }: Distribution, { bins, top, size, kind }: Drawing): string {
  const median = quantile(ascending, 0.5)
  const [low, high] = [0.05, 0.95].map((q) => shortNumber(quantile(ascending, q)))
  const share = kept ? `; ${kept.reduce((a, b) => a + b, 0)} kept` : ''
  const text = `${kind} of ${name === 'all' ? 'all' : `class ${name}`}: ${rows.length} images, median ${shortNumber(median)}, nine of ten between ${low} and ${high}${share}`
  return histogram({ bins, counts, ...(kept && { kept }), ...(range && { range }), median, top, size, text })
}

function smallMultiples(classes: readonly Distribution[], bins: Bins, kind: string): string {
  if (classes.length === 0) return ''
  const shown = classes.length <= mostClasses ? classes : ends(classes, kind)
  const top = topShare(
    bins,
    shown.map(({ counts }) => counts),
  )
  const cells = shown.map((one) => {
    const kept = one.kept ? `, ${shortNumber((100 * one.kept.reduce((a, b) => a + b, 0)) / one.rows.length)} % kept` : ''
    return `<div><h4>${escapeHtml(one.name)}</h4>${drawn(one, { bins, top, size: 'small', kind })}<p>median ${shortNumber(quantile(one.ascending, 0.5))}${kept}</p></div>`
  })
  const part = shown === classes ? '' : `<p>The ${mostClasses} classes with the smallest and largest medians, of ${classes.length}.</p>`
  return `${part}<div class="multiples">${cells.join('\n')}</div>`
}

/** Half of what is shown from either end of the medians. */
function ends(classes: readonly Distribution[], kind: string): Distribution[] {
  const sign = easyEnd(kind) === 'low' ? 1 : -1
  const order = [...classes].sort((a, b) => sign * (quantile(a.ascending, 0.5) - quantile(b.ascending, 0.5)))
  return [...order.slice(0, mostClasses / 2), ...order.slice(-mostClasses / 2)]
}

const quantiles = [
  ['5\u00a0%', 0.05],
  ['25\u00a0%', 0.25],
  ['median', 0.5],
  ['75\u00a0%', 0.75],
  ['95\u00a0%', 0.95],
] as const

function summary(all: Distribution, classes: readonly Distribution[], kind: string): string {
  const rows = [...classes, all].map(({ name, ascending }) => [
    name,
    String(ascending.length),
    shortNumber(mean(ascending)),
    ...quantiles.map(([, q]) => shortNumber(quantile(ascending, q))),
    shortNumber(ascending[ascending.length - 1]),
  ])
  const head = ['class', 'images', 'mean', ...quantiles.map(([name]) => name), 'largest']
  return foldable(`${kind} by class`, classes.length, textTable(`Mean and quantiles of ${kind}`, head, rows))
}
