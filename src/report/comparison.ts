/** @file Several runs on one page: settings that differ, accuracies, losses and images beside each other. */
import { basename } from 'node:path'
import type { ReportData } from './collect.js'
import { framedPage, section } from './frame.js'
import { escapeHtml, formatDuration, formatNumber } from './html.js'
import { imageRows } from './image-rows.js'
import { trainedOn } from './protocol.js'
import { textTable } from './table.js'

export interface ComparedRun extends ReportData {
  readonly dir: string
}

export function comparisonPage(runs: readonly ComparedRun[]): string {
  const names = namesOf(runs)
  return framedPage({
    title: `Comparison of ${runs.length} runs`,
    header: '',
    main: [
      otherData(runs, names),
      section('Accuracy', accuracies(runs, names)),
      section('Runs', outcomes(runs, names)),
      section('Settings that differ', differences(runs, names)),
      ...runs.map(({ set, shown, real }, i) =>
        section(`Images of ${names[i]}`, set && shown ? imageRows(set, shown, real) : '<p>No images were saved.</p>'),
      ),
    ].join('\n'),
  })
}

/** What must be said before accuracies are compared: those of other data are of other test images. */
function otherData(runs: readonly ComparedRun[], names: readonly string[]): string {
  const dataOf = ({ record: { data } }: ComparedRun) => JSON.stringify([data.name, data.image, data.classes])
  const differing = names.filter((_, i) => dataOf(runs[i]) !== dataOf(runs[0]))
  if (differing.length === 0) return ''
  const which = `Made of other data than ${names[0]}: ${differing.join(', ')}.`
  return `<p>${escapeHtml(which)} Their accuracies are those of other test images.</p>`
}

/** The directories' last parts, or the whole paths where those are not distinct. */
function namesOf(runs: readonly ComparedRun[]): string[] {
  const short = runs.map(({ dir }) => basename(dir))
  return new Set(short).size === runs.length ? short : runs.map(({ dir }) => dir)
}

function accuracies(runs: readonly ComparedRun[], names: readonly string[]): string {
  const keys = new Map<string, readonly [string, string]>()
  for (const { record } of runs)
    for (const entry of record.evaluations)
      for (const { network } of entry.results) keys.set(JSON.stringify([network, trainedOn(entry)]), [network, trainedOn(entry)])
  if (keys.size === 0) return '<p>No evaluation was recorded for these runs.</p>'
  const rows = [...keys.values()].map(([network, trained]) => [
    `${network} on ${trained}`,
    ...runs.map(({ record }) => {
      const result = record.evaluations
        .filter((entry) => trainedOn(entry) === trained)
        .flatMap(({ results }) => results)
        .findLast((entry) => entry.network === network)
      return result ? `${result.mean.toFixed(1)} ± ${result.std.toFixed(1)}` : '–'
    }),
  ])
  return textTable('Test accuracy in per cent: mean ± standard deviation over networks', ['trained', ...names], rows)
}

function outcomes(runs: readonly ComparedRun[], names: readonly string[]): string {
  const rows = runs.map(({ record, status, steps, done, set }, i) => [
    names[i],
    status,
    record.data.name,
    set ? String(set.labels.length) : '–',
    String(done?.step ?? steps.at(-1)?.step ?? '–'),
    steps.length > 0 ? formatNumber(steps[steps.length - 1].loss, 4) : '–',
    done ? formatDuration(done.seconds) : '–',
  ])
  return textTable('What each run reached', ['run', 'state', 'data', 'images', 'steps', 'last loss', 'time'], rows)
}

function differences(runs: readonly ComparedRun[], names: readonly string[]): string {
  const keys = [...new Set(runs.flatMap(({ record }) => Object.keys(record.config)))]
  const shown = (value: unknown) => (value === undefined ? '–' : Array.isArray(value) ? value.join(', ') : String(value))
  const rows = keys
    .map((key) => [key, ...runs.map(({ record }) => shown(record.config[key]))])
    .filter(([, ...values]) => new Set(values).size > 1)
  return rows.length === 0 ? '<p>None.</p>' : textTable('Settings with more than one value', ['setting', ...names], rows)
}
