/** @file Time and memory of each phase of a run. */
import type { Phase } from '../experiment/run-dir.js'
import { escapeHtml, formatBytes, formatDuration } from './html.js'

export function phaseTable(phases: readonly Phase[]): string {
  if (phases.length === 0) return '<p>No phase has ended yet.</p>'
  const rows = phases.map(
    ({ name, seconds, peakBytes }) =>
      `<tr><th scope="row">${escapeHtml(name)}</th><td class="number">${formatDuration(seconds)}</td><td class="number">${formatBytes(peakBytes)}</td></tr>`,
  )
  return `<div class="scroll"><table><caption>Peak memory is the largest the process had been by the phase's end</caption>
<thead><tr><th scope="col">phase</th><th scope="col">time</th><th scope="col">peak memory</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`
}
