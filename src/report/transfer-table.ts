/** @file Transfer as a table, sources side by side, and in words whether the distilled set beat random real images with the teacher's targets. */
import { type TransferSource, transferSources } from '../transfer/source.js'
import { cellsByRow, differenceOf, type TransferAccuracy, type TransferDifference, transferRows } from '../transfer/summary.js'
import { escapeHtml } from './html.js'
import type { RunTransfer } from './run-transfer.js'

/** Heads of the columns. */
const sourceNames: Readonly<Record<TransferSource, string>> = {
  distilled: 'distilled',
  none: 'no pretraining',
  random: 'random real + teacher',
  kmeans: 'k-means + teacher',
  full: 'all real + teacher',
}

/** Empty where nothing was measured. */
export function transferTable(transfer: RunTransfer | undefined): string {
  if (!transfer || transfer.cells.length === 0) return ''
  const rows = transferRows(transfer.cells)
  const sources = transferSources.filter((source) => rows.some(({ accuracies }) => accuracies.some((one) => one.source === source)))
  const differences = cellsByRow(transfer.cells).map((cells) => differenceOf(cells, 'distilled', 'random'))
  const head = ['target', 'protocol', 'network', ...sources.map((source) => sourceNames[source]), 'distilled less random']
  const body = rows.map(({ target, protocol, network, accuracies }, i) => {
    const best = Math.max(...accuracies.map(({ mean }) => mean))
    const cells = sources.map((source) =>
      accuracyCell(
        accuracies.find((one) => one.source === source),
        best,
      ),
    )
    return `<tr><th scope="row">${escapeHtml(target)}</th><td>${escapeHtml(protocol)}</td><td>${escapeHtml(network)}</td>${cells.join('')}<td class="number">${differenceText(differences[i])}</td></tr>`
  })
  const caption =
    'Test accuracy in per cent after pretraining on each source: mean ± standard deviation over repetitions, the 95 % interval of the mean, their number; the best of a row is bold'
  return `<p>${verdict(differences)}</p>
<div class="scroll"><table class="transfer"><caption>${caption}</caption>
<thead><tr>${head.map((name) => `<th scope="col">${name}</th>`).join('')}</tr></thead><tbody>${body.join('\n')}</tbody></table></div>${leftOut(transfer)}`
}

function accuracyCell(accuracy: TransferAccuracy | undefined, best: number): string {
  if (!accuracy) return '<td class="number">–</td>'
  const { mean, std, n, interval } = accuracy
  const value = `${mean.toFixed(1)} ± ${std.toFixed(1)}`
  const ends = interval ? `${interval.map((end) => end.toFixed(1)).join(' to ')}, ` : ''
  return `<td class="number">${mean === best ? `<strong>${value}</strong>` : value}<br>${ends}n = ${n}</td>`
}

const signed = (value: number): string => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(1)}`

function differenceText(difference: TransferDifference | undefined): string {
  if (!difference) return '–'
  const { mean, interval } = difference
  return `${signed(mean)}${interval ? `<br>${interval.map(signed).join(' to ')}` : ''}`
}

/** 'better' and 'worse' where the interval of the paired difference leaves 0 out. */
type Outcome = 'better' | 'worse' | 'open'

const outcomeOf = ({ interval }: TransferDifference): Outcome =>
  interval === null || (interval[0] <= 0 && interval[1] >= 0) ? 'open' : interval[0] > 0 ? 'better' : 'worse'

/** Whether the distilled set beat what it started from. */
function verdict(differences: readonly (TransferDifference | undefined)[]): string {
  const compared = differences.filter((one) => one !== undefined)
  if (compared.length === 0)
    return 'Whether the distilled set is better than random real images with the teacher’s targets was not measured: aludel transfer with --data and --teacher does.'
  const count = (wanted: Outcome) => compared.filter((one) => outcomeOf(one) === wanted).length
  const [better, worse, open] = [count('better'), count('worse'), count('open')]
  const mean = compared.reduce((sum, one) => sum + one.mean, 0) / compared.length
  const of = `of ${compared.length} ${compared.length === 1 ? 'comparison' : 'comparisons'}`
  const said = [
    better > 0 && `beat random real images with the teacher’s targets in ${better} ${of}`,
    worse > 0 && `${better > 0 ? 'lost to them' : 'lost to random real images with the teacher’s targets'} in ${worse} ${of}`,
  ].filter(Boolean)
  const none = 'could not be told apart from random real images with the teacher’s targets'
  const rest = open > 0 && said.length > 0 ? `; ${open} could not be told apart` : ''
  const single = compared.some(({ interval }) => interval === null) ? ' One repetition has no interval: it tells nothing apart.' : ''
  const points = `On average it is ${Math.abs(mean).toFixed(1)} points ${mean < 0 ? 'below' : 'above'} them.`
  return `The distilled set ${said.length > 0 ? said.join(', ') + rest : `${none}${compared.length > 1 ? ` in any ${of}` : ''}`}. ${points} Counted by the 95 % interval of the difference between repetitions that start from the same weights.${single}`
}

function leftOut({ others: { sets, setups } }: RunTransfer): string {
  const parts = [sets > 0 && `${sets} of an earlier set of this run`, setups > 0 && `${setups} of other settings`].filter(Boolean)
  return parts.length === 0 ? '' : `\n<p>Not shown: measurements ${parts.join(' and ')}.</p>`
}
