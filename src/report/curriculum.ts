/** @file The experts of a run, and which share of the samples, from easy to hard, they trained on by epoch. */
import type { RunConfig } from '../experiment/types.js'
import type { ExpertsRecord } from '../experts/record.js'
import { type PadRule, padStretch } from '../schedule/pad-rule.js'
import { live } from './curves.js'
import { definitionTable, escapeHtml } from './html.js'
import type { RunExperts } from './run-experts.js'

/** Empty for a run without experts. */
export function expertsSection(experts: RunExperts | undefined, config: RunConfig): string {
  if (!experts) return ''
  const { path, count, record, missing } = experts
  if (!record) return `<p>${count} experts in ${escapeHtml(path)}, whose record cannot be shown: ${escapeHtml(missing ?? '')}</p>`
  const { network, epochs, config: training, arithmetic } = record
  const table = definitionTable('Experts', { path, matched: count, network, epochs, ...training, ...arithmetic })
  return `${matchedEpochs(config)}${curriculum(record)}\n${table}`
}

/** Which epochs of the experts the run looks at. */
function matchedEpochs({ minStartEpoch: first, maxStartEpoch: bound, expertEpochs: span }: RunConfig): string {
  if (typeof first !== 'number' || typeof bound !== 'number' || typeof span !== 'number') return ''
  return `<p>The run starts from epochs ${first} to ${bound - 1} and matches what ${span} more epochs made of them: epochs ${first} to ${bound - 1 + span}.</p>\n`
}

function curriculum({ schedule, epochs, data, classes }: ExpertsRecord): string {
  const rule = ruleOf(schedule)
  if (!rule) {
    const which = schedule.name === 'none' ? 'on all images' : `by the schedule ${escapeHtml(String(schedule.name))}`
    return `<p>The experts trained ${which} in every epoch.</p>`
  }
  // of a class of mean size: the truncations of smaller and larger ones differ by less than an image
  const samples = schedule.scope === 'global' ? data.samples : Math.max(1, Math.round(data.samples / classes.length))
  const shares = Array.from({ length: epochs }, (_, epoch) => padStretch(rule, epoch, samples).map((n) => (100 * n) / samples))
  const of = schedule.scope === 'global' ? 'all images' : 'every class'
  const text = `Of ${of}, sorted from easy to hard, the experts trained on: ${phasesOf(rule, shares)}.`
  if (epochs < 2) return `<p>${text}</p>`
  const chart = {
    ...{ id: 'curriculum', title: 'Images by epoch of the experts', text, logarithmic: false, marked: false, axis: 'epoch' },
    steps: shares.map((_, epoch) => epoch),
    series: [
      { name: 'trained on up to here, per cent from easy to hard', values: shares.map(([, end]) => end) },
      { name: 'easiest left out up to here', values: shares.map(([begin]) => begin) },
    ],
  }
  return `<p>${text}</p>\n${live(chart)}`
}

/** The numbers of a PAD schedule; undefined for another one. */
function ruleOf(schedule: RunConfig): PadRule | undefined {
  if (schedule.name !== 'pad') return undefined
  const { initialRatio, addEndEpoch, removeMiddle, removeEnd, r1, r2 } = schedule
  const rule = { initialRatio, addEndEpoch, removeMiddle, removeEnd, r1, r2 }
  return Object.values(rule).every((value) => typeof value === 'number') ? (rule as PadRule) : undefined
}

const round = (share: number): string => `${Number(share.toFixed(1))} %`

/** The phases of the rule in words, as far as there are epochs. */
function phasesOf({ addEndEpoch, removeMiddle, removeEnd }: PadRule, shares: readonly (readonly number[])[]): string {
  const ends = [addEndEpoch, removeMiddle, removeEnd, shares.length - 1].map((end) => Math.min(end, shares.length - 1))
  return ends
    .flatMap((to, phase) => {
      const from = phase === 0 ? 0 : ends[phase - 1] + 1
      if (from > to) return []
      const [begin, first] = shares[from]
      const last = shares[to][1]
      const what = first === last ? whatOf(begin, first) : `the easiest ${round(first)} to ${round(last)}`
      return [`${from === to ? `epoch ${from}` : `epochs ${from} to ${to}`} ${what}`]
    })
    .join('; ')
}

const whatOf = (begin: number, end: number): string => {
  if (begin === 0) return end === 100 ? 'all' : `the easiest ${round(end)}`
  return `all but the easiest ${round(begin)}`
}
