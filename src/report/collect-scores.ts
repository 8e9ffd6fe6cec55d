/** @file Everything a report of scores shows, read from its directory, from the data, and from a subset of it. */
import type { ImageStream } from '../data/image-stream.js'
import { AludelError } from '../errors.js'
import { readScores, readSubset, type ScoreFile } from '../prune/index.js'
import { isSameData } from '../prune/provenance.js'
import { kindPath, listKinds, readRecord, type ScoresRecord } from '../scoring/score-directory.js'
import { extremesOf, shownExtremes } from './extremes.js'
import { thumbnails } from './pictures.js'
import type { Extremes, ScoredSamples, ScoreReport } from './score-report.js'

export interface ScoreReportOptions {
  /** The data that was scored: brings what is by class, and the images; only those that are shown are read. */
  readonly data?: ImageStream
  /** File of a subset of that data, shown in the histograms. */
  readonly subset?: string
}

/** Throws `not_found`, `invalid_data` for damaged files, `incompatible` for other data or a subset of other data, `io`. */
export async function collectScores(dir: string, { data, subset }: ScoreReportOptions = {}): Promise<ScoreReport> {
  const record = await readRecord(dir)
  const kinds: ScoreFile[] = []
  for (const kind of await listKinds(dir)) kinds.push(await readScores(kindPath(dir, kind)))
  for (const { score, data: scored } of kinds)
    if (!isSameData(scored, record.data))
      throw new AludelError('invalid_data', `${kindPath(dir, score.name)}: holds scores of other data than scores.json names`)
  const kept = subset === undefined ? undefined : { file: subset, subset: await readSubset(subset) }
  if (kept && !isSameData(kept.subset.data, record.data))
    throw new AludelError(
      'incompatible',
      `${subset}: expected a subset of the data that was scored (${record.data.name}) but it is one of ${kept.subset.data.name}`,
    )
  const about = { record, kinds, ...(kept && { subset: kept }) }
  if (!data) return { ...about, extremes: [] }
  const places = placesOf(data, record)
  const samples = samplesOf(data, places)
  const count = shownExtremes(data.classes.length)
  const extremes = count === 0 ? [] : kinds.map((file) => extremesOf(file, samples, count))
  return { ...about, samples, extremes, ...(extremes.length > 0 && { pictures: await picturesOf(data, places, extremes) }) }
}

/**
 * The place in the data of each row that was scored: files that could not be read have a place and no row. What is in memory is compared
 * by content; files that are read as they are asked for, by number and classes.
 */
function placesOf(data: ImageStream, { data: scored, classes, unreadable }: ScoresRecord): Int32Array {
  const lost = new Set(data.names ? unreadable.map(({ row }) => row) : [])
  const places = Int32Array.from(data.labels.keys()).filter((place) => !lost.has(place))
  const same =
    data.sha256 === undefined
      ? places.length === scored.samples
      : data.sha256 === scored.sha256 || (scored.files !== undefined && scored.files === data.filesSha256)
  if (same && classes.join('\n') === data.classes.join('\n')) return places
  const received = `${data.name}, ${places.length} images in ${data.classes.length} classes`
  throw new AludelError(
    'incompatible',
    `report: expected the data that was scored (${scored.name}, ${scored.samples} images in ${classes.length} classes) but received other (${received})`,
  )
}

function samplesOf({ labels, classes }: ImageStream, places: Int32Array): ScoredSamples {
  const rows = classes.map(() => [] as number[])
  for (const [row, place] of places.entries()) rows[labels[place]].push(row)
  return { rows }
}

/** The pixels of all rows that are shown, each once. */
async function picturesOf(
  { image, read }: ImageStream,
  places: Int32Array,
  extremes: readonly Extremes[],
): Promise<NonNullable<ScoreReport['pictures']>> {
  const rows = [...new Set(extremes.flatMap(({ classes }) => classes.flatMap(({ easiest, hardest }) => [...easiest, ...hardest])))]
  rows.sort((a, b) => a - b)
  const [height, width, channels] = image
  const parts: Uint8Array[] = []
  let shape: readonly [number, number, number, number] = [0, height, width, channels]
  for await (const { images } of read({ blocks: rows.map((row) => ({ first: places[row], rows: 1 })) })) {
    const small = thumbnails(images, [1, height, width, channels])
    parts.push(small.images)
    shape = small.shape
  }
  const [, ...pixel] = shape
  return { images: new Uint8Array(Buffer.concat(parts)), shape: [rows.length, ...pixel], place: new Map(rows.map((row, i) => [row, i])) }
}
