/** @file Test accuracies as tables, one for each protocol, one row per set and network, with a bar and every single value at hand. */
import type { EvaluationRecord } from '../experiment/run-dir.js'
import { escapeHtml } from './html.js'
import { protocolName, trainedHow } from './protocol.js'

/** What makes accuracies comparable: the same training and the same test images. */
const protocolOf = (entry: EvaluationRecord): string =>
  JSON.stringify([protocolName(entry), entry.epochs, entry.augment ?? null, entry.data ?? null])

/** One table for each protocol, each with the distilled images beside all baselines that were trained alike. */
export function accuracyTable(evaluations: readonly EvaluationRecord[]): string {
  if (evaluations.length === 0) return '<p>No evaluation was recorded for this run.</p>'
  const protocols = [...new Set(evaluations.map(protocolOf))]
  return protocols
    .map((protocol) => {
      const alike = evaluations.filter((entry) => protocolOf(entry) === protocol)
      return protocolTable(alike, protocols.length > 1 ? `, ${protocolText(alike[0])}` : '')
    })
    .join('\n')
}

const protocolText = ({ protocol, epochs, augment, data }: EvaluationRecord): string =>
  [
    `protocol ${protocolName({ protocol })}`,
    epochs === null ? 'epochs not recorded' : `${epochs} epochs`,
    augment && `augmentation ${augment}`,
    data && `tested on ${data}`,
  ]
    .filter(Boolean)
    .join(', ')

/** By network, so that what was trained alike stands together: the distilled images first, then the baselines in the order in which they were measured. */
function protocolTable(evaluations: readonly EvaluationRecord[], protocol: string): string {
  const networks = [...new Set(evaluations.flatMap(({ results }) => results.map(({ network }) => network)))]
  // rows of soft labels say so behind the name
  const isOwn = ({ label }: EvaluationRecord) => Number(label.startsWith('distilled'))
  const inOrder = [...evaluations].sort((a, b) => isOwn(b) - isOwn(a))
  const rows = networks.flatMap((network) =>
    inOrder.flatMap((entry) => entry.results.filter((result) => result.network === network).map((result) => rowOf(entry, result))),
  )
  return `<div class="scroll"><table class="accuracy"><caption>Test accuracy in per cent: mean ± standard deviation over networks trained from scratch${escapeHtml(protocol)}</caption>
<thead><tr><th scope="col">trained on</th><th scope="col">network</th><th scope="col">accuracy</th><th scope="col">95 % interval of the mean</th><th scope="col"><span class="hidden">bar</span></th>
<th scope="col">networks</th><th scope="col">protocol</th><th scope="col">epochs</th><th scope="col">values</th></tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`
}

function rowOf(entry: EvaluationRecord, result: EvaluationRecord['results'][number]): string {
  const { network, mean, std, n, values, interval } = result
  const { label, epochs } = entry
  const bar = `<span class="bar" aria-hidden="true"><span style="width:${Math.min(100, Math.max(0, mean)).toFixed(1)}%"></span></span>`
  const singles = values.map((value) => value.toFixed(1)).join(', ')
  return `<tr><th scope="row">${escapeHtml(label)}</th><td>${escapeHtml(network)}</td>
<td class="number">${mean.toFixed(1)} ± ${std.toFixed(1)}</td><td class="number">${interval ? interval.map((end) => end.toFixed(1)).join(' to ') : '–'}</td><td>${bar}</td><td class="number">${n}</td><td>${escapeHtml(trainedHow(entry, result))}</td><td class="number">${epochs ?? '–'}</td><td>${singles}</td></tr>`
}
