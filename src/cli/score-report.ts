/** @file The report of a directory of scores, with the images that were scored where they can be opened. */
import { datasetStream, type ImageStream } from '../data/image-stream.js'
import { isOfFiles, openImageStream } from '../data/open.js'
import { formatSpecification, parseSpecification } from '../data/specification.js'
import { writeScoreReport } from '../report/index.js'
import type { ScoresRecord } from '../scoring/score-directory.js'
import { completedBy, type DataOptions, openOptions, specificationOf } from './data-options.js'
import type { Library } from './library.js'
import { given } from './options.js'
import type { Output } from './output.js'

/** Side in pixels of images in the page, where the data names none. */
const side = 64

export interface ScoreReportJob {
  readonly library: Library
  readonly output: Output
  readonly record: ScoresRecord
  /** `data` overrides what the record names; `subset` is what the histograms show, not what the data is cut to. */
  readonly options: DataOptions & { readonly out?: string }
  /** Whether the data is opened; default true. */
  readonly real?: boolean
}

/** Writes the page and returns its path. Throws what opening the data and `writeScoreReport` throw. */
export async function reportScores(dir: string, { library, output, record, options, real = true }: ScoreReportJob): Promise<string> {
  const { subset, out: to, ...reading } = options
  const named = options.data ?? record.specification ?? undefined
  if (real && named === undefined) output.notice('nothing by class and no images: give --data, the data that was scored')
  if (!real || named === undefined) return writeScoreReport(dir, given({ to, subset }))
  const specification = completedBy(specificationOf(named, reading), record.specification ?? undefined)
  return writeScoreReport(dir, { data: await openScored(specification, record, options, library), ...given({ to, subset }) })
}

/** Folders of images give the few that are shown, everything else is opened as it is. */
async function openScored(
  specification: string,
  { data: { split } }: ScoresRecord,
  options: DataOptions,
  library: Library,
): Promise<ImageStream> {
  const part = split === 'test' ? 'test' : 'train'
  const { options: reading, ...rest } = parseSpecification(specification)
  const { subset, ...others } = reading
  const whole = formatSpecification({ ...rest, options: others })
  if (subset === undefined && isOfFiles(whole)) return openImageStream(whole, part, { size: side })
  return datasetStream(await library.openDataset(specification, part, openOptions(options)))
}
