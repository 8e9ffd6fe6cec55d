/** @file Which share stays when none is said: what the published commands take for a method, and where that is stated. */
import { AludelError } from '../errors.js'
import type { Amount } from './amount.js'

export interface DefaultShare {
  readonly amount: Amount
  /** Where the share comes from, for the user to read. */
  readonly from: string
}

export interface ShareContext {
  readonly method: string
  /** Synthetic images per class. */
  readonly ipc: number
  /** Name of the data set. */
  readonly data: string
}

const moser = 'the published commands of Moser et al. 2411.12115'
const sixty: Amount = { keepPercent: 60 }
const twenty: Amount = { keepPercent: 20 }

/** By method. Those that match as dc or dm does take its share; that is ours. */
const byMethod: Readonly<Record<string, DefaultShare>> = {
  dc: { amount: sixty, from: `${moser} for dc` },
  dsa: { amount: sixty, from: `that of dc, in ${moser}; ours for dsa` },
  dm: { amount: twenty, from: `${moser} for dm` },
  datadam: { amount: twenty, from: `that of dm, in ${moser}; ours for datadam` },
  atom: { amount: twenty, from: `that of dm, in ${moser}; ours for atom` },
}

const cifarAtOne: DefaultShare = {
  amount: { keep: 0.1 },
  from: 'the figure of BiLP 2305.18381: 10 % of CIFAR-10 at one image per class with dc',
}

/** Throws `invalid_option` for a method that no source speaks of. */
export function defaultShare({ method, ipc, data }: ShareContext): DefaultShare {
  if (ipc === 1 && /^cifar/.test(data)) return cifarAtOne
  if (Object.hasOwn(byMethod, method)) return byMethod[method]
  throw new AludelError('invalid_option', `prune: no source says which share to keep for ${method}; give keep, drop or keepPercent`)
}
