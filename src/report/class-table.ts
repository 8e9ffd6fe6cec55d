/** @file Accuracy by class, a column for each network and training set. */
import type { EvaluationRecord } from '../experiment/run-dir.js'
import { escapeHtml } from './html.js'
import { trainedOn } from './protocol.js'

export function classTable(evaluations: readonly EvaluationRecord[], classes: readonly string[]): string {
  const columns = evaluations.flatMap((entry) =>
    entry.results
      .filter(({ perClass }) => perClass?.length === classes.length)
      .map(({ network, perClass }) => ({ label: trainedOn(entry), network, perClass })),
  )
  if (columns.length === 0) return ''
  const head = columns.map(({ label, network }) => `<th scope="col">${escapeHtml(network)}<br>${escapeHtml(label)}</th>`)
  const rows = classes.map((name, c) => {
    const cells = columns.map(({ perClass }) => `<td class="number">${perClass[c]?.toFixed(1) ?? '–'}</td>`)
    return `<tr><th scope="row">${escapeHtml(name)}</th>${cells.join('')}</tr>`
  })
  return `<details${classes.length <= 20 ? ' open' : ''}><summary>Accuracy by class</summary><div class="scroll"><table>
<caption>Test accuracy of each class in per cent, mean over the networks</caption>
<thead><tr><th scope="col">class</th>${head.join('')}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div></details>`
}
