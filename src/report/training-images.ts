/** @file Which real images a run has seen: the rule, what each class kept, the easiest and hardest that stayed, and what was left out on the way. */

import type { RealImages } from '../experiment/real-images.js'
import type { PruningEvent } from '../experiment/types.js'
import type { Subset } from '../prune/index.js'
import { classShares } from './class-shares.js'
import { live } from './curves.js'
import { escapeHtml, shortNumber } from './html.js'
import { thin } from './line-chart.js'
import { pictureStrip, thumbnails } from './pictures.js'
import type { RunSubset } from './run-subset.js'
import { ruleTable } from './subset-rule.js'

/** Empty for a run on all images. */
export function trainingImages(run: RunSubset | undefined, gallery: string): string {
  if (run === undefined) return ''
  const named = `<code>${escapeHtml(run.file)}</code>`
  if (!run.subset) return `<p>The run takes the images that ${named} keeps; it cannot be read: ${escapeHtml(run.missing ?? '')}</p>`
  return `<p>The run takes the images that ${named} keeps. <code>aludel report SCORES --subset FILE</code> shows them among all.</p>
${classShares({ subset: run.subset, totals: run.subset.totals })}
${gallery}${ruleTable(run.subset)}`
}

type Kept = NonNullable<RealImages['kept']>

/** The easiest and hardest images that stayed, of each class. Empty where the run has none or no score chose them. */
export function keptGallery(
  { indices, values, score }: Subset,
  kept: Kept | undefined,
  classes: readonly string[],
  shape: readonly number[],
): string {
  if (!kept || !values || !score) return ''
  const [h, w, c] = shape
  const pictures = thumbnails(kept.images, [kept.rows.length, h, w, c])
  const scoreOf = (row: number) => values[placeIn(indices, row)]
  const cards = classes.map((name, label) => {
    const numbers = [...kept.labels.keys()].filter((i) => kept.labels[i] === label)
    const strips = (['easiest', 'hardest'] as const).map((end, e) => {
      const shown = numbers.filter((i) => kept.ends[i] === e)
      if (shown.length === 0) return ''
      const [from, to] = [shown[0], shown[shown.length - 1]].map((i) => shortNumber(scoreOf(kept.rows[i])))
      return pictureStrip({
        name: `${end} that stayed · ${score.name} ${from === to ? from : `${from} to ${to}`}`,
        images: pictures.images,
        shape: pictures.shape,
        numbers: shown,
        describe: `${shown.length} ${end} images of class ${name} that stayed, by ${score.name}`,
        captions: shown.map((i) => `image ${kept.rows[i]}: ${score.name} ${shortNumber(scoreOf(kept.rows[i]))}`),
      })
    })
    return numbers.length === 0 ? '' : `<section class="class"><h3>${escapeHtml(name)}</h3>${strips.join('')}</section>`
  })
  return `<h3>Easiest and hardest images that stayed</h3><div class="classes wide">${cards.join('\n')}</div>`
}

/** Where `row` stands in ascending rows; it must be there. */
function placeIn(rows: readonly number[], row: number): number {
  let [low, high] = [0, rows.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if (rows[middle] < row) low = middle + 1
    else high = middle
  }
  return low
}

/** What dynamic pruning left out, look by look; empty for a run without it. */
export function pruningCurve(events: readonly PruningEvent[]): string {
  if (events.length === 0) return ''
  const shares = events.map(({ step, drawn, used }) => ({ step, loss: drawn > 0 ? (100 * used) / drawn : 0 }))
  const [drawn, used, fallbacks] = (['drawn', 'used', 'fallbacks'] as const).map((key) =>
    events.reduce((sum, event) => sum + event[key], 0),
  )
  const { masked, step } = events[events.length - 1]
  const low = shares.reduce((least, { loss }) => Math.min(least, loss), 100)
  const text = `Of the real images drawn at ${events.length} looks at their effects, ${((100 * used) / Math.max(1, drawn)).toFixed(1)} % were used; at the look that left out most, ${low.toFixed(1)} %.`
  const rest = `After step ${step}, ${masked} images are masked${fallbacks > 0 ? `; ${fallbacks} times a class whose images were all masked used all of them` : ''}.`
  if (events.length < 2) return `<p>${text} ${rest}</p>`
  const points = thin(shares)
  const chart = live({
    id: 'pruning',
    title: 'Used images by step',
    text,
    steps: points.map((point) => point.step),
    series: [{ name: 'used, per cent of drawn', values: points.map(({ loss }) => loss) }],
    logarithmic: false,
    marked: false,
  })
  return `<p>${text} ${rest}</p>\n${chart}`
}
