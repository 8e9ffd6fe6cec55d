/** @file Data sets by the name used on the command line: 'cifar10:DIR', 'mnist:DIR', 'fashion-mnist:DIR', or 'fashion-mnist' (bundled). */
import { AludelError, expected } from '../errors.js'
import { cifar10 } from './cifar10.js'
import type { Dataset, Split } from './dataset.js'
import { fashionMnist } from './fashion-mnist.js'
import { mnist } from './mnist.js'

interface Source {
  readonly read: (dir: string | undefined, split: Split) => Promise<Dataset>
  readonly bundled: boolean
}

const sources: Readonly<Record<string, Source>> = {
  cifar10: { read: (dir, split) => cifar10(dir as string, split), bundled: false },
  mnist: { read: (dir, split) => mnist(dir as string, split), bundled: false },
  'fashion-mnist': { read: fashionMnist, bundled: true },
}

export const datasetNames: readonly string[] = Object.keys(sources)

/** Letters and digits only, lower case: what a mistyped name is compared by. */
const canonical = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '')

/** Spellings seen elsewhere, in canonical form. */
const aliases: Readonly<Record<string, string>> = {
  cifar: 'cifar10',
  cfiar10: 'cifar10',
  fmnist: 'fashion-mnist',
  fashion: 'fashion-mnist',
  digits: 'mnist',
  minst: 'mnist',
}

function suggestion(name: string): string {
  const form = canonical(name)
  const known =
    datasetNames.find((candidate) => canonical(candidate) === form) ?? (Object.hasOwn(aliases, form) ? aliases[form] : undefined)
  return known ? `did you mean '${known}'?` : `known names are ${datasetNames.join(', ')}`
}

/**
 * Opens a data set by specification.
 * @throws AludelError `invalid_option` for an unknown name or a missing directory, and what the readers throw.
 */
export async function openDataset(specification: string, split: Split = 'train'): Promise<Dataset> {
  if (typeof specification !== 'string') throw expected('invalid_option', 'data set', "a text such as 'cifar10:DIR'", specification)
  const colon = specification.indexOf(':')
  const name = colon < 0 ? specification : specification.slice(0, colon)
  const dir = colon < 0 ? undefined : specification.slice(colon + 1)
  if (!Object.hasOwn(sources, name)) throw new AludelError('invalid_option', `unknown data set '${name}'; ${suggestion(name)}`)
  const source = sources[name]
  if (dir === '' || (dir === undefined && !source.bundled)) {
    throw new AludelError('invalid_option', `data set '${name}' needs the directory of its files: '${name}:DIR'`)
  }
  return source.read(dir, split)
}
