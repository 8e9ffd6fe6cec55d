/** @file `aludel pack`: a data set decoded once into files that later commands read by rows, as --data packed:DIR. */
import type { Command } from 'commander'
import { exists } from '../../data/file-bytes.js'
import type { PackRecord, Split } from '../../data/index.js'
import { isLabelled } from '../../data/labels.js'
import { packSplit, verifyPack } from '../../data/packed/pack.js'
import type { PackProgress } from '../../data/packed/pack-files.js'
import { pixelPath, recordPath } from '../../data/packed/pack-record.js'
import { AbortError, AludelError, onFile } from '../../errors.js'
import { lockRun } from '../../experiment/run-lock.js'
import { makeDirectory } from '../../files/make-directory.js'
import { type CliContext, outputOf } from '../context.js'
import { addDataOptions, type DataOptions, specificationOf } from '../data-options.js'
import { exitCode } from '../exit-codes.js'
import { listenForInterrupt } from '../interrupt.js'
import { nonEmptyPath } from '../options.js'
import type { Output } from '../output.js'
import { Progress } from '../progress.js'

interface Options extends DataOptions {
  readonly out?: string
  readonly verify?: string
}

const splits = ['train', 'test'] as const

export function addPack(program: Command, context: CliContext): void {
  const command = program.command('pack').description('decode a data set once into files that every command reads as --data packed:DIR')
  addDataOptions(command, 'data set to pack')
  command
    .option('--out <dir>', 'directory of the pack; an interrupted one goes on', nonEmptyPath)
    .option('--verify <dir>', 'compare every byte of a pack with its record instead', nonEmptyPath)
    .action((options: Options) => packCommand(options, command, context))
}

async function packCommand(options: Options, command: Command, context: CliContext): Promise<void> {
  const output = outputOf(context, command)
  const { data, out, verify } = options
  if (verify !== undefined && (data !== undefined || out !== undefined))
    throw new AludelError('invalid_option', '--verify: stands alone; it reads a pack that is there')
  if (verify !== undefined) return underInterrupt(output, context, (signal) => verifyCommand(verify, output, signal))
  if (data === undefined || out === undefined) throw new AludelError('invalid_option', 'pack: expected --data and --out, or --verify')
  const specification = specificationOf(data, options)
  await onFile(out, () => makeDirectory(out))
  const lock = await lockRun(out)
  try {
    await underInterrupt(output, context, (signal) => packAll(specification, out, output, signal))
  } finally {
    await lock.release()
  }
}

/** Ctrl-C ends the work at the next batch; the same command goes on from there. */
async function underInterrupt(output: Output, context: CliContext, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const abort = new AbortController()
  const interrupt = listenForInterrupt(() => {
    output.notice('\nstopping; the same command goes on from here')
    abort.abort()
  })
  try {
    await work(abort.signal)
  } catch (error) {
    if (!(error instanceof AbortError)) throw error
    context.setExitCode(exitCode.interrupted)
  } finally {
    interrupt.remove()
  }
}

async function packAll(specification: string, out: string, output: Output, signal: AbortSignal): Promise<void> {
  const packed: PackRecord[] = []
  for (const split of splits) {
    const record = await withProgress(split, output, (onProgress) => packSplit(specification, split, out, { signal, onProgress })).catch(
      (error) => {
        // images without labels may have no test images
        if (split === 'train' || isLabelled(packed[0]) || (error as Partial<AludelError>).code !== 'not_found') throw error
        output.notice(`no test images are packed: ${error.message}`)
      },
    )
    if (!record) continue
    output.line(lineOf(out, record))
    packed.push(record)
  }
  output.value({ pack: out, splits: packed.map((record) => summaryOf(out, record)) })
}

async function verifyCommand(dir: string, output: Output, signal: AbortSignal): Promise<void> {
  const there: Split[] = []
  for (const split of splits) if (await exists(recordPath(dir, split))) there.push(split)
  if (there.length === 0) throw new AludelError('not_found', `${dir}: holds no pack: neither train.json nor test.json`)
  const checked: PackRecord[] = []
  for (const split of there) {
    const record = await withProgress(split, output, (onProgress) => verifyPack(dir, split, { signal, onProgress }))
    output.line(`${lineOf(dir, record)}: every byte is as recorded`)
    checked.push(record)
  }
  output.value({ pack: dir, verified: true, splits: checked.map((record) => summaryOf(dir, record)) })
}

/** One bar for decoding and one for hashing. */
async function withProgress<T>(
  split: Split,
  output: Output,
  work: (onProgress: (progress: PackProgress) => void) => Promise<T>,
): Promise<T> {
  let bar: Progress | undefined
  let what: PackProgress['what'] | undefined
  try {
    return await work((progress) => {
      if (progress.what !== what) {
        bar?.finish()
        what = progress.what
        bar = new Progress({ label: `${what} ${split}`, total: progress.total, from: progress.from, stream: output.stderr })
      }
      bar?.update(progress.done)
    })
  } finally {
    bar?.finish()
  }
}

const bytesOf = ({ shape }: PackRecord): number => shape.reduce((product, d) => product * d, 1)

const lineOf = (dir: string, record: PackRecord): string => {
  const { split, shape, unreadable } = record
  const left = unreadable.length > 0 ? `, ${unreadable.length} files left out (listed in ${recordPath(dir, split)})` : ''
  return `${split}: ${shape[0]} images${isLabelled(record) ? '' : ' without labels'} [${shape.slice(1).join(', ')}], ${bytesOf(record)} bytes in ${pixelPath(dir, split)}${left}`
}

const summaryOf = (dir: string, record: PackRecord) => {
  const { split, shape, classes, contentSha256, filesSha256, unreadable } = record
  const file = pixelPath(dir, split)
  return { split, file, bytes: bytesOf(record), shape, classes: classes.length, sha256: contentSha256, filesSha256, unreadable }
}
