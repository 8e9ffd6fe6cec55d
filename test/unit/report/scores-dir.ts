/** @file A directory of scores of a few small images, and subsets of them. */
import { join } from 'node:path'
import { createDataset, type Dataset } from '../../../src/data/dataset.js'
import { createSubset, describeScores, type SelectOptions, selectSamples, writeSubset } from '../../../src/prune/index.js'
import { type ScoresRecord, startRecord, writeKind, writeRecord } from '../../../src/scoring/score-directory.js'
import { freshDir } from '../data/fixtures.js'

/** 3 classes of 20 images, 6x4 RGB; names that HTML must escape. */
export function scoredDataset(change: Partial<Parameters<typeof createDataset>[0]> = {}): Dataset {
  const images = 60
  const shape = [images, 6, 4, 3] as const
  return createDataset({
    name: 'dots & <lines>',
    split: 'train',
    classes: ['cat & "dog"', '<ship>', 'truck'],
    images: Uint8Array.from({ length: images * 72 }, (_, i) => (i * 37) % 251),
    shape,
    labels: Int32Array.from({ length: images }, (_, i) => i % 3),
    mean: [0.5, 0.5, 0.5],
    std: [0.25, 0.25, 0.25],
    flip: true,
    ...change,
  })
}

/** Losses over orders of magnitude: those of the first class are small, those of the last large. */
export const losses = Float64Array.from({ length: 60 }, (_, i) => 10 ** ((i % 3) - 3 + Math.floor(i / 3) / 20))
const events = Float64Array.from({ length: 60 }, (_, i) => Math.floor(i / 3) % 5)

const about = { source: 'convnet, 2 <runs>', pass: 'evaluation', epochs: 5, runs: 2, seed: 0 } as const

export async function writeScoresDir(data: Dataset, change: Partial<ScoresRecord> = {}): Promise<string> {
  const dir = freshDir()
  const kinds = { loss: losses, forgetting: events }
  for (const [name, values] of Object.entries(kinds)) await writeKind(dir, name, describeScores(data, values, { ...about, name }))
  const source = { kind: 'networks', network: 'convnet', runs: 2 } as const
  const record = startRecord(data, { source, kinds: Object.keys(kinds), versions: { aludel: '0.1.0' } })
  await writeRecord(dir, { ...record, status: 'done', accuracies: [70, 72], perClass: [90, 75.25, null], seconds: 75, ...change })
  return dir
}

export async function writeSubsetOf(data: Dataset, options: Partial<SelectOptions> = {}): Promise<string> {
  const path = join(freshDir(), 'kept & <few>.json')
  const selection = await selectSamples(data, { order: 'asc', scores: losses, keep: 0.2, ...options } as SelectOptions)
  await writeSubset(path, createSubset(data, selection, selection.values ? { ...about, name: 'loss' } : null))
  return path
}
