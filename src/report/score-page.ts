/** @file The page of a score directory: how scores are distributed, how they agree, what they call easy and hard, and what a subset keeps. */
import { classShares } from './class-shares.js'
import { figureList, framedPage, section } from './frame.js'
import { definitionTable, escapeHtml, formatDuration } from './html.js'
import { scoreDistributions } from './score-distributions.js'
import { scoreGallery } from './score-gallery.js'
import type { ScoreReport } from './score-report.js'
import { agreement, scorerAccuracy, unreadableImages } from './score-tables.js'
import { mean } from './statistics.js'
import { ruleTable } from './subset-rule.js'

const sources = { networks: 'networks trained for it', checkpoint: 'weights from a file', model: 'an ONNX model' } as const

export function scorePage(report: ScoreReport): string {
  const { record, kinds, samples } = report
  const { kind, ...settings } = record.source
  const { name, split, sha256, samples: images } = record.data
  const shard = record.shard ? `, part ${record.shard.index} of ${record.shard.of}` : ''
  const unseen = samples
    ? ''
    : '<p role="note">The data was not looked at: there is nothing by class here, and no images. <code>aludel report DIR --data NAME:PATH</code> adds them.</p>\n'
  return framedPage({
    title: `Scores of ${name}`,
    header: `<p class="lead">How hard each of ${images} images is, said by ${sources[kind] ?? escapeHtml(String(kind))}${shard}${record.status === 'running' ? '; not all scores are there yet' : ''}.</p>
${figureList(headline(report))}
${unseen}`,
    main: [
      section('Is a class harmed?', harm(report)),
      ...kinds.map((file) => section(file.score.name, scoreDistributions(report, file))),
      section('Easiest and hardest images', scoreGallery(report)),
      section('How scores agree', agreement(report)),
      section('Accuracy of what scored', scorerAccuracy(report)),
      section('Images that could not be read', unreadableImages(report)),
      section(
        'How it was made',
        [
          definitionTable('What scored', { kind, ...settings }),
          definitionTable('Data', { name, split, images, classes: record.classes.length, sha256 }),
          definitionTable('Versions', record.versions),
        ].join('\n'),
      ),
    ].join('\n'),
    footer: `Made by aludel ${escapeHtml(record.versions.aludel ?? '')}`,
  })
}

function headline({ record: { data, accuracies, seconds, classes }, kinds, subset }: ScoreReport): [string, string][] {
  const entries: [string, string][] = [
    ['images', `${data.samples} in ${classes.length} ${classes.length === 1 ? 'class' : 'classes'}`],
    [kinds.length === 1 ? 'score' : 'scores', kinds.map(({ score }) => score.name).join(', ') || 'none yet'],
  ]
  if (subset) entries.push(['kept', `${subset.subset.indices.length} of ${data.samples}`])
  if (accuracies.length > 0)
    entries.push([`accuracy${accuracies.length > 1 ? ` of ${accuracies.length} networks` : ''}`, `${mean(accuracies).toFixed(1)} %`])
  if (seconds > 0) entries.push(['time', formatDuration(seconds)])
  return entries
}

/** What the subset does to the classes, with its rule. */
function harm({ subset, samples, record }: ScoreReport): string {
  if (!subset) return ''
  const totals = subset.subset.totals ?? samples?.rows.map((rows) => rows.length)
  return `<p>The subset <code>${escapeHtml(subset.file)}</code>; what it keeps is coloured in the histograms below.</p>
${classShares({ subset: subset.subset, totals, accuracy: record.perClass })}
${ruleTable(subset.subset)}`
}
