/** @file Shards of a scoring joined: all of them, of the same data by the same settings, to the very files that one pass would have written. */
import { checkPath } from '../../arguments.js'
import { exists } from '../../data/file-bytes.js'
import { AludelError, expected, onFile } from '../../errors.js'
import { lockRun } from '../../experiment/run-lock.js'
import type { Shard } from '../../experiment/types.js'
import { makeDirectory } from '../../files/make-directory.js'
import { readRecord, recordPath, type ScoresRecord } from '../score-directory.js'
import { assemble } from './assemble.js'
import { finish } from './finish.js'
import { settingsHash } from './score-model.js'
import { readPart, type StoredPart } from './score-part.js'
import type { ModelSource } from './settings.js'
import { shardBlocks, shardPath } from './shard.js'

interface ShardDirectory {
  readonly dir: string
  readonly record: ScoresRecord
  readonly shard: Shard
}

export interface MergeScoresOptions {
  /** Let an accuracy near chance pass. */
  readonly allowChance?: boolean
}

/**
 * Joins the shards in `dirs`, in any order, into scores in `out`. Throws `invalid_option` when a directory is no finished shard of a scoring
 * by a model, `not_found` naming shards that are missing, `invalid_option` for one that is there twice, `incompatible` for other data or
 * settings, `invalid_data` for damage and for an accuracy near chance, `io`.
 */
export async function mergeScores(
  dirs: readonly string[],
  out: string,
  { allowChance = false }: MergeScoresOptions = {},
): Promise<ScoresRecord> {
  checkPath('mergeScores: out', out)
  if (!Array.isArray(dirs) || dirs.length === 0) throw expected('invalid_option', 'mergeScores', 'directories of shards', dirs)
  if (await exists(recordPath(out)))
    throw new AludelError('invalid_option', `${out}: holds scores already; give another directory for the joined ones`)
  const shards = checkComplete(await Promise.all(dirs.map(readShard)))
  const { record } = shards[0]
  const source = record.source as unknown as ModelSource
  const parts: StoredPart[] = []
  for (const { dir, shard } of shards) {
    const blocks = shardBlocks(source.places, source.block, shard)
    if (blocks.length === 0) continue
    const stored = await readPart(shardPath(dir))
    const rows = blocks.reduce((sum, block) => sum + block.rows, 0)
    if (stored.settings !== settingsHash(record)) throw expected('invalid_data', shardPath(dir), 'the settings of its record', 'others')
    if (stored.part.first !== blocks[0].first || stored.part.rows !== rows)
      throw expected(
        'invalid_data',
        shardPath(dir),
        `${rows} images from ${blocks[0].first} on`,
        `${stored.part.rows} from ${stored.part.first} on`,
      )
    parts.push(stored)
  }
  const labels = new Int32Array(source.places)
  for (const { part, listing } of parts) if (listing) labels.set(listing.labels, part.first)
  const ofFiles = parts[0].listing?.names !== undefined
  const { name, split } = record.data
  const places = {
    ...{ name, split: split as 'train' | 'test', classes: record.classes, labels },
    names: ofFiles ? parts.flatMap(({ listing }) => listing?.names ?? []) : undefined,
    ...(!ofFiles && { sha256: record.data.sha256 }),
    ...(record.data.files !== undefined && { filesSha256: record.data.files }),
  }
  const seconds = shards.reduce((sum, one) => sum + one.record.seconds, 0)
  const whole: ScoresRecord = {
    ...record,
    source: { ...record.source, allowChance: allowChance || source.allowChance },
    shard: null,
    seconds: Math.round(seconds * 1000) / 1000,
  }
  await onFile(out, () => makeDirectory(out))
  const lock = await lockRun(out)
  try {
    return await finish(
      out,
      whole,
      await assemble(
        places,
        parts.map(({ part }) => part),
      ),
    )
  } finally {
    await lock.release()
  }
}

async function readShard(dir: string): Promise<ShardDirectory> {
  const record = await readRecord(dir)
  const { shard, status, source } = record
  if (source.kind !== 'model' || shard === null)
    throw expected(
      'invalid_option',
      dir,
      'a shard that aludel score --model --shard wrote',
      shard === null ? 'scores of all images' : 'others',
    )
  if (status !== 'done')
    throw new AludelError('invalid_option', `${dir}: shard ${shard.index}/${shard.of} is not finished; continue it with --resume`)
  return { dir, record, shard }
}

/** The shards in order, each once, none missing, all of one scoring. */
function checkComplete(shards: readonly ShardDirectory[]): ShardDirectory[] {
  const [{ dir, record, shard }] = shards
  for (const other of shards) {
    if (other.shard.of !== shard.of) throw expected('incompatible', `${other.dir}: shards`, `${shard.of} as in ${dir}`, other.shard.of)
    const [there, here] = [other.record, record].map(({ data, source, kinds, features, classes, versions }) => {
      const { allowChance: _, model: __, ...settings } = source
      const { node: ___, ...made } = versions
      return { ...settings, ...made, kinds, features, classes, sha256: data.sha256 } as Record<string, unknown>
    })
    const name = Object.keys({ ...here, ...there }).find((key) => JSON.stringify(here[key]) !== JSON.stringify(there[key]))
    if (name !== undefined)
      throw expected('incompatible', `${other.dir}: ${name}`, `${JSON.stringify(here[name])} as in ${dir}`, JSON.stringify(there[name]))
  }
  // only of shards of one scoring does an index say which part they are
  for (const other of shards) {
    const twin = shards.find((one) => one !== other && one.shard.index === other.shard.index)
    if (twin) throw new AludelError('invalid_option', `shard ${other.shard.index}/${shard.of} is there twice: ${other.dir} and ${twin.dir}`)
  }
  const missing = Array.from({ length: shard.of }, (_, i) => i + 1).filter((index) => !shards.some((one) => one.shard.index === index))
  if (missing.length > 0) {
    const named = missing.map((index) => `${index}/${shard.of}`).join(', ')
    throw new AludelError('not_found', `shard ${named} is missing: score it with --shard, and give all ${shard.of} directories`)
  }
  return [...shards].sort((a, b) => a.shard.index - b.shard.index)
}
