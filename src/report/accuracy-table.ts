/** @file Test accuracies as a table, one row per set and network, with a bar and every single value at hand. */
import type { EvaluationRecord } from '../experiment/run-dir.js'
import { escapeHtml } from './html.js'

export function accuracyTable(evaluations: readonly EvaluationRecord[]): string {
  if (evaluations.length === 0) return '<p>No evaluation was recorded for this run.</p>'
  const rows = evaluations.flatMap(({ label, epochs, results }) =>
    results.map(({ network, mean, std, n, values, interval }) => {
      const bar = `<span class="bar" aria-hidden="true"><span style="width:${Math.min(100, Math.max(0, mean)).toFixed(1)}%"></span></span>`
      const singles = values.map((value) => value.toFixed(1)).join(', ')
      return `<tr><th scope="row">${escapeHtml(label)}</th><td>${escapeHtml(network)}</td>
<td class="number">${mean.toFixed(1)} ± ${std.toFixed(1)}</td><td class="number">${interval ? interval.map((end) => end.toFixed(1)).join(' to ') : '–'}</td><td>${bar}</td><td class="number">${n}</td><td class="number">${epochs ?? '–'}</td><td>${singles}</td></tr>`
    }),
  )
  return `<div class="scroll"><table class="accuracy"><caption>Test accuracy in per cent: mean ± standard deviation over networks trained from scratch</caption>
<thead><tr><th scope="col">trained on</th><th scope="col">network</th><th scope="col">accuracy</th><th scope="col">95 % interval of the mean</th><th scope="col"><span class="hidden">bar</span></th>
<th scope="col">networks</th><th scope="col">epochs</th><th scope="col">values</th></tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`
}
