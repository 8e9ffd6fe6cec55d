/** @file Options that mean the same in every command. */
import { type Command, Option } from 'commander'
import { wholeNumber } from '../options.js'

export interface DeviceOptions {
  readonly threads?: number
  readonly device?: 'cpu' | 'cuda'
}

export function addDeviceOptions(command: Command): Command {
  return command
    .option('--threads <n>', 'worker threads of the CPU device (default: all cores); results do not depend on it', wholeNumber(1))
    .addOption(new Option('--device <kind>', 'where to compute (default: the best there is)').choices(['cpu', 'cuda']))
}

export const seedOption = (): Option => new Option('--seed <n>', 'seed of every random draw').argParser(wholeNumber(0)).default(0)
