/** @file The easiest and hardest images of each class, side by side. */
import { escapeHtml, shortNumber } from './html.js'
import { pictureStrip } from './pictures.js'
import type { Extremes, ScoreReport } from './score-report.js'
import { foldable } from './table.js'

/** Empty where there are no pictures. The first score stands open, others are folded away. */
export function scoreGallery(report: ScoreReport): string {
  const { pictures, extremes } = report
  if (!pictures || extremes.length === 0) return ''
  const [first, ...others] = extremes.map((one) => classCards(report, one))
  const rest = others.map((cards, i) => foldable(`By ${extremes[i + 1].kind}`, Number.POSITIVE_INFINITY, cards))
  return `<p>By <code>${escapeHtml(extremes[0].kind)}</code>. The hardest images of a class are often mislabelled, cut off or of several things at once.</p>
${first}${rest.join('\n')}`
}

function classCards(report: ScoreReport, { kind, classes }: Extremes): string {
  const { record, kinds, subset } = report
  const file = kinds.find(({ score }) => score.name === kind)
  if (!file) return ''
  const kept = subset && new Set(subset.subset.indices)
  const cards = classes.map(({ easiest, hardest }, c) => {
    const name = record.classes[c]
    const strip = (end: string, rows: readonly number[]) =>
      rows.length === 0
        ? ''
        : stripOf(report, { end: kept ? `${end}, ${keptOf(rows, kept)}` : end, kind, name, rows, values: file.values, kept })
    return easiest.length === 0
      ? ''
      : `<section class="class"><h3>${escapeHtml(name)}</h3>${strip('easiest', easiest)}${strip('hardest', hardest)}</section>`
  })
  return `<div class="classes wide">${cards.join('\n')}</div>`
}

const keptOf = (rows: readonly number[], kept: ReadonlySet<number>): string => {
  const count = rows.filter((row) => kept.has(row)).length
  return count === rows.length ? 'kept' : count === 0 ? 'not kept' : `${count} of ${rows.length} kept`
}

interface Ends {
  readonly end: string
  readonly kind: string
  readonly name: string
  readonly rows: readonly number[]
  readonly values: Float64Array
  readonly kept: ReadonlySet<number> | undefined
}

function stripOf({ pictures }: ScoreReport, { end, kind, name, rows, values, kept }: Ends): string {
  if (!pictures) return ''
  const [from, to] = [values[rows[0]], values[rows[rows.length - 1]]].map((value) => shortNumber(value))
  return pictureStrip({
    name: `${end} · ${kind} ${from === to ? from : `${from} to ${to}`}`,
    images: pictures.images,
    shape: pictures.shape,
    numbers: rows.map((row) => pictures.place.get(row) ?? 0),
    describe: `${rows.length} ${end} images of class ${name} by ${kind}`,
    captions: rows.map(
      (row) => `image ${row}: ${kind} ${shortNumber(values[row])}${kept ? (kept.has(row) ? ', kept' : ', not kept') : ''}`,
    ),
  })
}
