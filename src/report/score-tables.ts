/** @file Tables of a score report: how kinds agree, how well what scored does by class, images that could not be read. */
import { escapeHtml } from './html.js'
import type { ScoreReport } from './score-report.js'
import { correlation, ranks } from './statistics.js'
import { foldable, textTable } from './table.js'

/** Spearman's rank correlation of every two kinds; empty for one kind. */
export function agreement({ kinds }: ScoreReport): string {
  if (kinds.length < 2) return ''
  const ranked = kinds.map(({ values }) => ranks(values))
  const cell = (a: Float64Array, b: Float64Array): string => {
    const rho = correlation(a, b)
    if (rho === null) return '<td class="number">–</td>'
    const colour = `color-mix(in srgb, var(${rho >= 0 ? '--curve-0' : '--curve-1'}) ${Math.round(45 * Math.abs(rho))}%, transparent)`
    return `<td class="number" style="background:${colour}">${rho.toFixed(2).replace('-', '−')}</td>`
  }
  const names = kinds.map(({ score }) => escapeHtml(score.name))
  const rows = ranked.map((a, i) => `<tr><th scope="row">${names[i]}</th>${ranked.map((b) => cell(a, b)).join('')}</tr>`)
  return `<p>1: two scores order the images alike; 0: they have nothing to do with each other; below 0: one calls large what the other calls small.</p>
<div class="scroll"><table class="matrix"><caption>Spearman's rank correlation over all images</caption><thead><tr><td></td>${names.map((name) => `<th scope="col">${name}</th>`).join('')}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`
}

/** Accuracy on the scored images by class; empty where none was measured. */
export function scorerAccuracy({ record: { perClass, classes, accuracies } }: ScoreReport): string {
  if (!perClass || accuracies.length === 0) return ''
  const rows = classes.map((name, c) => {
    const accuracy = perClass[c]
    const bar = `<span class="bar" aria-hidden="true"><span style="width:${Math.min(100, Math.max(0, accuracy ?? 0)).toFixed(1)}%"></span></span>`
    return `<tr><th scope="row">${escapeHtml(name)}</th><td class="number">${accuracy?.toFixed(1) ?? '–'}</td><td>${bar}</td></tr>`
  })
  const table = `<div class="scroll"><table><caption>Accuracy in per cent on the images that were scored${accuracies.length > 1 ? `, mean over ${accuracies.length} networks` : ''}: on images that were trained on it is higher than on new ones</caption>
<thead><tr><th scope="col">class</th><th scope="col">accuracy</th><th scope="col"><span class="hidden">bar</span></th></tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`
  return foldable('Accuracy by class', classes.length, table)
}

const mostListed = 50

export function unreadableImages({ record: { unreadable } }: ScoreReport): string {
  if (unreadable.length === 0) return ''
  const rows = unreadable.slice(0, mostListed).map(({ path, row, reason }) => [path, String(row), reason])
  const part =
    unreadable.length > mostListed
      ? `The first ${mostListed} of ${unreadable.length} images`
      : `${unreadable.length} ${unreadable.length === 1 ? 'image' : 'images'}`
  return textTable(`${part} that could not be read and were left out`, ['file', 'row', 'reason'], rows)
}
