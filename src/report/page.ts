/** @file The report page: one HTML document without a single outside resource. */
import { accuracyTable } from './accuracy-table.js'
import { classTable } from './class-table.js'
import type { ReportData } from './collect.js'
import { coveragePicture } from './coverage-picture.js'
import { expertsSection } from './curriculum.js'
import { accuracyCurve, learningRateCurve, lossCurve, skippedSteps } from './curves.js'
import { figureList, framedPage, section } from './frame.js'
import { definitionTable, escapeHtml, formatDuration, formatNumber, shortNumber } from './html.js'
import { imageRows } from './image-rows.js'
import { learnedLabels } from './learned-labels.js'
import { matchedParameters } from './matched-parameters.js'
import { nasTable } from './nas-table.js'
import { nearestSummary } from './nearest.js'
import { phaseTable } from './phase-table.js'
import { sameProtocol } from './protocol.js'
import { driftCurves, kernelCondition, validationCurves } from './regression-curves.js'
import { representationImages } from './representation-images.js'
import { stageRows } from './stage-rows.js'
import { keptGallery, pruningCurve, trainingImages } from './training-images.js'
import { transferTable } from './transfer-table.js'

const loading = `from safetensors.torch import load_file
from torch.utils.data import TensorDataset

data = load_file('data.safetensors')
train = TensorDataset(data['images'], data['labels'])`

const representationLoading = `<pre><code>${escapeHtml(`from safetensors.torch import load_file
from torch.utils.data import TensorDataset

data = load_file('data.safetensors')
train = TensorDataset(data['images'], data['targets'])`)}</code></pre>
<p>Images are float32, NCHW, as networks see them; targets are what a network is to answer, by mean squared error.</p>`

const states = {
  running: 'still running',
  done: 'complete',
  stopped: 'stopped before its last step',
  failed: 'failed',
  interrupted: 'interrupted before its last step',
} as const

/** Headline numbers: what was reached, from how much, in what time. */
function figures({ record, steps, done, set, representations }: ReportData): string {
  // The last word on each training set, for the network that was measured first, under the protocol of the last word on the images:
  // accuracies after other numbers of epochs cannot stand beside it.
  const first = record.evaluations[0]?.results[0]?.network
  const own = record.evaluations.findLast(({ label, results }) => label === 'distilled' && results.some(({ network }) => network === first))
  const latest = new Map(
    record.evaluations
      .filter((entry) => !own || sameProtocol(entry, own))
      .flatMap(({ label, results }) => results.filter(({ network }) => network === first).map((result) => [label, result] as const)),
  )
  const entries: [string, string][] = Array.from(latest, ([label, { network, mean, std }]) => [
    `${network} on ${label}`,
    `${mean.toFixed(1)} ± ${std.toFixed(1)} %`,
  ])
  if (representations) entries.push(['images', `${representations.shape[0]} of ${record.data.images}`])
  if (set) entries.push(['images', `${set.labels.length} of ${record.data.images}`])
  if (done) entries.push(['distillation', `${done.step} steps, ${formatDuration(done.seconds)}`])
  if (set?.learningRate !== undefined) entries.push(['learned rate', shortNumber(set.learningRate)])
  if (steps.length > 1) entries.push(['loss', `${formatNumber(steps[0].loss, 3)} → ${formatNumber(steps[steps.length - 1].loss, 3)}`])
  return figureList(entries)
}

/** What the source of the run's recipe reports, to set beside one's own. */
function reportedLine(recipe: ReportData['record']['recipe']): string {
  if (!recipe?.reported) return ''
  const { accuracy, spread, source } = recipe.reported
  const figure = `${accuracy.toFixed(1)}${spread === undefined ? '' : ` ± ${spread.toFixed(1)}`} %`
  return `<p>Recipe ${escapeHtml(recipe.name)}: the source reports ${figure} (${escapeHtml(source)}) at its own budget.</p>\n`
}

/** How many images the run makes. */
function sizeOf({ config, representations }: ReportData['record']): string {
  const count = representations ? config.n : config.ipc
  return `${count ?? '?'} image${count === 1 ? '' : 's'}${representations ? '' : ' per class'}`
}

export function reportPage(data: ReportData): string {
  const { record, status, steps, looks, done, set, representations, transfer, coverage, nas, shown, real, stages, subset, experts } = data
  const title = `${String(record.config.method ?? 'run').toUpperCase()} on ${record.data.name}, ${sizeOf(record)}`
  const { specification, name, sha256, images } = record.data
  const kept = subset?.subset && set ? keptGallery(subset.subset, real?.kept, set.classes, set.shape.slice(1)) : ''
  return framedPage({
    title,
    header: `<p class="lead">Dataset distillation, ${states[status] ?? escapeHtml(String(status))}. Started ${escapeHtml(record.started)}.</p>
${record.error ? `<p role="alert">${escapeHtml(record.error)}</p>` : ''}
${figures(data)}
`,
    main: [
      record.representations
        ? ''
        : section(
            'Accuracy',
            `${accuracyTable(record.evaluations)}
${reportedLine(record.recipe)}${accuracyCurve(record)}${set ? classTable(record.evaluations, set.classes) : ''}`,
          ),
      section(
        'Images',
        representations
          ? representationImages(representations)
          : set && shown
            ? imageRows(set, shown, real)
            : '<p>No images were saved.</p>',
      ),
      section('Transfer', transferTable(transfer)),
      section('Feature coverage', coveragePicture(coverage)),
      section('Architecture search', nasTable(nas)),
      section('Images over steps', set && shown && stages && done ? stageRows(set, shown, stages, done.step) : ''),
      section('Learned labels', set?.labelLogits ? learnedLabels(set, set.labelLogits) : ''),
      section('Nearest real images', real ? nearestSummary(real) : ''),
      section('Training images', trainingImages(subset, kept)),
      section('Experts', expertsSection(experts, record.config)),
      section('Matched parameters', set ? matchedParameters(record.config, set.shape.slice(1), set.classes.length) : ''),
      section('Dynamic pruning', pruningCurve(looks)),
      section('Loss', `${lossCurve(steps)}${skippedSteps(steps, record.config.threshold)}`),
      section('Validation', validationCurves(steps)),
      section('Kernel matrix', kernelCondition(steps)),
      section('Drift', driftCurves(steps)),
      section('Learning rate', learningRateCurve(steps)),
      section('Time and memory', phaseTable(record.phases ?? [])),
      section('Do it again', record.commands ? `<pre><code>${escapeHtml(record.commands.join('\n'))}</code></pre>` : ''),
      section(
        'Settings',
        [
          definitionTable('Run', record.config),
          definitionTable('Data', { specification, name, images, sha256 }),
          definitionTable('Versions', record.versions),
          definitionTable('Machine', record.host),
        ].join('\n'),
      ),
      section(
        'Use the images in PyTorch',
        record.representations
          ? representationLoading
          : `<pre><code>${escapeHtml(loading)}</code></pre>
<p>Images are float32, NCHW, already normalised with the mean and standard deviation in <code>manifest.json</code>.</p>`,
      ),
    ].join('\n'),
    footer: `Made by aludel ${escapeHtml(record.versions.aludel ?? '')}`,
  })
}
