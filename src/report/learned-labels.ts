/** @file Labels that a set has learned: how much of each is its own class, and what classes are mixed with which. */
import type { SyntheticSet } from '../experiment/types.js'
import { escapeHtml } from './html.js'
import { foldable } from './table.js'

type Labelled = Pick<SyntheticSet, 'labels' | 'classes'>

/** Softmax of one row of logits, in float64. */
function probabilitiesOf(logits: Float32Array, row: number, classes: number): number[] {
  const own = Array.from(logits.subarray(row * classes, (row + 1) * classes))
  const top = own.reduce((a, b) => Math.max(a, b))
  const powers = own.map((z) => Math.exp(z - top))
  const total = powers.reduce((a, b) => a + b)
  return powers.map((power) => power / total)
}

/** Classes that a caption names. */
const named = 3

const percent = (share: number): string => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`

/** '; label: cat 62 %, dog 20 %, deer 8.1 %' of an image with a learned label, else nothing. */
export function labelCaption({ labelLogits, classes }: Pick<SyntheticSet, 'labelLogits' | 'classes'>, image: number): string {
  if (!labelLogits) return ''
  const p = probabilitiesOf(labelLogits, image, classes.length)
  const order = [...p.keys()].sort((a, b) => p[b] - p[a] || a - b).slice(0, named)
  return `; label: ${order.map((k) => `${classes[k]} ${percent(p[k])}`).join(', ')}`
}

interface Labels {
  /** Mean probabilities [class of the images][class]; rows without images are empty. */
  readonly means: readonly (readonly number[])[]
  /** Probability of the own class of every image, ascending. */
  readonly own: readonly number[]
  /** Images whose most probable class is another. */
  readonly other: number
}

function labelsOf({ labels, classes }: Labelled, labelLogits: Float32Array): Labels {
  const sums = classes.map(() => new Array<number>(classes.length).fill(0))
  const counts = new Array<number>(classes.length).fill(0)
  const own: number[] = []
  let other = 0
  for (const [image, label] of labels.entries()) {
    const p = probabilitiesOf(labelLogits, image, classes.length)
    for (const [k, share] of p.entries()) sums[label][k] += share
    counts[label]++
    own.push(p[label])
    other += Number(p.some((share) => share > p[label]))
  }
  const means = sums.map((row, c) => (counts[c] === 0 ? [] : row.map((sum) => sum / counts[c])))
  return { means, own: own.sort((a, b) => a - b), other }
}

/** Classes of the largest picture: more cells than this cannot be told apart. */
const mostClasses = 60

/** The distribution of the labels, in words, as a picture and as a table of the classes that each is mixed with. */
export function learnedLabels(set: Labelled, labelLogits: Float32Array): string {
  const { means, own, other } = labelsOf(set, labelLogits)
  const mean = own.reduce((a, b) => a + b, 0) / own.length
  const range = own.length > 1 ? `, from ${percent(own[0])} to ${percent(own[own.length - 1])}` : ''
  const strays = other === 0 ? 'No label is mostly another class.' : `${other} of ${own.length} labels are mostly another class.`
  const text = `The labels give their own class ${percent(mean)} on average${range}. ${strays}`
  const picture = set.classes.length <= mostClasses ? heatMap(set.classes, means, text) : ''
  return `<p>${text}</p>\n${picture}${foldable('What each class is mixed with', set.classes.length, mixtures(set.classes, means))}`
}

/** Longest class name beside the picture. */
const longest = 16
const shortName = (name: string): string => (name.length > longest ? `${name.slice(0, longest - 1)}…` : name)

/** Rows are classes of images, columns what their labels say; the shade is the root of the share, so that small ones are seen. */
function heatMap(classes: readonly string[], means: readonly (readonly number[])[], text: string): string {
  const n = classes.length
  const cell = Math.max(8, Math.min(32, Math.floor(560 / n)))
  const [left, bottom] = [132, 100]
  const [width, height] = [left + n * cell + 4, n * cell + bottom]
  const cells = means.flatMap((row, r) =>
    row.map((share, k) => {
      const said = `${classes[r]}: ${classes[k]} ${percent(share)}`
      return `<rect x="${left + k * cell}" y="${r * cell}" width="${cell - 1}" height="${cell - 1}" fill-opacity="${Math.sqrt(share).toFixed(3)}"><title>${escapeHtml(said)}</title></rect>`
    }),
  )
  const rows = classes.map(
    (name, r) => `<text x="${left - 6}" y="${r * cell + cell / 2 + 4}" text-anchor="end">${escapeHtml(shortName(name))}</text>`,
  )
  const columns = classes.map((name, k) => {
    const [x, y] = [left + k * cell + cell / 2 + 4, n * cell + 10]
    return `<text x="${x}" y="${y}" text-anchor="end" transform="rotate(-60 ${x} ${y})">${escapeHtml(shortName(name))}</text>`
  })
  return `<div class="scroll"><svg class="chart labels" viewBox="0 0 ${width} ${height}" style="max-width:${width}px" role="img" aria-labelledby="labels-title labels-text">
<title id="labels-title">Mean labels by class</title>
<desc id="labels-text">${escapeHtml(text)}</desc>
${cells.join('')}${rows.join('')}${columns.join('')}
</svg></div>`
}

function mixtures(classes: readonly string[], means: readonly (readonly number[])[]): string {
  const rows = classes.flatMap((name, c) => {
    const row = means[c]
    if (row.length === 0) return []
    const others = [...row.keys()].filter((k) => k !== c).sort((a, b) => row[b] - row[a] || a - b)
    const said = others.slice(0, named).map((k) => `${classes[k]} ${percent(row[k])}`)
    return [
      `<tr><th scope="row">${escapeHtml(name)}</th><td class="number">${percent(row[c])}</td><td>${escapeHtml(said.join(', '))}</td></tr>`,
    ]
  })
  return `<div class="scroll"><table><caption>Means over the labels of the images of a class</caption>
<thead><tr><th scope="col">class</th><th scope="col">itself</th><th scope="col">then</th></tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`
}
