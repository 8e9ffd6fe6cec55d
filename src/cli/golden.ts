#!/usr/bin/env node
/** @file `npm run -s golden -- DIR`: replays golden vectors. Exit codes: 0 all passed, 1 a case failed, 2 wrong usage. */
import { Command } from 'commander'
import { Device } from '../engine/runtime/device.js'
import { AludelError, systemFailure } from '../errors.js'
import { float32Engine, float64Engine, type GoldenEngine } from '../golden/engines.js'
import { describeResult, replayFolder } from '../golden/replay.js'

interface Options {
  readonly engine: string
  readonly threads?: string
}

const engineNames = ['all', 'f64', 'f32']

async function replay(folder: string, engines: readonly GoldenEngine[]): Promise<void> {
  const totals = { passed: 0, failed: 0, skipped: 0 }
  for await (const result of replayFolder(folder, engines)) {
    totals[result.outcome]++
    for (const line of describeResult(result)) console.log(line)
  }
  console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`)
  if (totals.failed > 0) process.exitCode = 1
}

async function main(folder: string, { engine, threads }: Options): Promise<void> {
  if (!engineNames.includes(engine))
    throw new AludelError('invalid_option', `--engine: expected ${engineNames.join(', ')} but received '${engine}'`)
  const reference = engine === 'f32' ? [] : [float64Engine]
  if (engine === 'f64') return replay(folder, reference)
  const device = await Device.open(threads === undefined ? {} : { threads: Number(threads) })
  try {
    await replay(folder, [...reference, float32Engine(device)])
  } finally {
    await device.close()
  }
}

const program = new Command('golden')
  .description('Replays float64 golden vectors through the reference interpreter (f64) and the compiled product (f32).')
  .argument('<folder>', 'folder of .json and .npz cases, searched with its subfolders')
  .option('--engine <name>', 'all, f64 or f32', 'all')
  .option('--threads <n>', 'threads of the device')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .action(async (folder: string, options: Options) => {
    try {
      await main(folder, options)
    } catch (failure) {
      const error = systemFailure(failure)
      if (!(error instanceof AludelError)) throw error
      console.error(error.message)
      process.exitCode = error.code === 'not_found' || error.code === 'invalid_option' ? 2 : 1
    }
  })

await program.parseAsync()
