/** @file What the teacher's representations of real images are covered by: a plane with both, and coverage in numbers. */
import type { CoverageReply } from './coverage.js'
import { formatNumber } from './html.js'
import { textTable } from './table.js'

const width = 720
const height = 480
const margin = 16

/** Rows of the table and entries of the legend; what is drawn last lies on top. */
const names = {
  targets: 'targets of the set',
  images: 'synthetic images, as the teacher sees them',
  start: 'real images that the set started from',
} as const

const percent = (share: number): string => `${(100 * share).toFixed(1)}\u00a0%`

/** Empty where the run has kept no representations. */
export function coveragePicture(coverage: CoverageReply | undefined): string {
  if (!coverage) return ''
  const { sets, real, shares, realDistance } = coverage
  const { targets, start } = sets
  const k = targets.k
  const count = real.length / 2
  const text = `The targets cover ${percent(targets.coverage)} of ${count} real images; the real images that the set started from cover ${percent(start.coverage)}. A real image is covered where a target is no farther from the teacher’s representation of it than ${k === 1 ? 'the nearest other real image' : `the farthest of the ${k} nearest other real images`}.`
  const rows = Object.entries(names).map(([key, name]) => {
    const { rows, coverage: share, density, distance } = sets[key]
    return [name, String(rows), percent(share), formatNumber(density, 3), formatNumber(distance, 3)]
  })
  const head = ['', 'images', 'coverage', 'density', 'median distance']
  const caption = `Of ${count} real images; another real image is at a median distance of ${formatNumber(realDistance, 3)}`
  const plane = `The picture is the plane of the two principal components of the real images: it has ${percent(shares[0])} and ${percent(shares[1])} of their variance.`
  return `<p>${text} ${plane}</p>\n${scatter(coverage, `${text} ${plane}`)}\n${textTable(caption, head, rows)}`
}

function scatter({ sets, real }: CoverageReply, text: string): string {
  const drawn = [
    { kind: 'real', points: real },
    { kind: 'curve-1', points: sets.images.points },
    { kind: 'curve-0', points: sets.targets.points },
  ]
  const ends = [0, 1].map((c) => extent(drawn.flatMap(({ points }) => Array.from(points.filter((_, i) => i % 2 === c)))))
  // one scale for both: distances are what the picture shows
  const scale = Math.min(...ends.map(([low, high], c) => ([width, height][c] - 2 * margin) / (high - low || 1)))
  const at = (value: number, c: number): string => {
    const middle = (ends[c][0] + ends[c][1]) / 2
    return ([width, height][c] / 2 + (c === 0 ? 1 : -1) * scale * (value - middle)).toFixed(1)
  }
  const paths = drawn.map(({ kind, points }) => {
    const dots = Array.from({ length: points.length / 2 }, (_, i) => `M${at(points[2 * i], 0)} ${at(points[2 * i + 1], 1)}h0`)
    return `<path class="dots ${kind}" d="${dots.join('')}"/>`
  })
  const legend = [
    ['real', 'real images'],
    ['curve-0', names.targets],
    ['curve-1', names.images],
  ]
  return `<svg class="chart scatter" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="coverage-title coverage-text">
<title id="coverage-title">Real images and the set in a plane of the teacher’s representations</title>
<desc id="coverage-text">${text}</desc>
${paths.join('\n')}
</svg><ul class="legend">${legend.map(([kind, name]) => `<li class="${kind}">${name}</li>`).join('')}</ul>`
}

function extent(values: readonly number[]): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const value of values) {
    low = Math.min(low, value)
    high = Math.max(high, value)
  }
  return [low, high]
}
