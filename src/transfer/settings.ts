/** @file The protocols that a pretrained network is measured by, with the numbers of KRR-ST's released code (arXiv 2310.06511) and MKDT's probe. */
import { checkOptions, wholeNumber } from '../arguments.js'
import { expected } from '../errors.js'
import { rateForOutputs } from '../optim/output-rate.js'

/** Gradient descent with momentum. */
export interface DescentSettings {
  /** Images of a step; the last one of a pass may have fewer. */
  readonly batch: number
  readonly lr: number
  readonly momentum: number
  /** Of all parameters, added to the gradient. */
  readonly weightDecay: number
}

/** On images and their target representations: mean squared error, a constant rate, no augmentation. */
export interface PretrainSettings extends DescentSettings {
  readonly epochs: number
}

/** On labelled images: cross-entropy, the rate half a cosine to 0 over all steps. */
export interface SupervisedSettings extends DescentSettings {
  readonly iterations: number
}

/** A linear classifier of frozen features by L-BFGS. */
export interface ProbeSettings {
  /** Share of the target's training images whose labels are used, in (0, 1], at least one of each class. */
  readonly share: number
  readonly iterations: number
  /** Times the sum of the squared weights, added to the mean cross-entropy. */
  readonly l2: number
}

/** A student that is trained towards a classifier's answers on the images of the set, without one of the target's. */
export interface KdSettings {
  readonly epochs: number
  readonly batch: number
  /** Of AdamW without weight decay, half a cosine to 0 over the epochs. */
  readonly lr: number
  /** Of the student when it is measured: statistics of each batch of test images (the released code), or running ones. */
  readonly bnEval: 'batch' | 'running'
}

export interface TransferSettings {
  readonly pretrain: PretrainSettings
  readonly finetune: SupervisedSettings
  readonly linear: SupervisedSettings
  readonly probe: ProbeSettings
  readonly kd: KdSettings
}

export const protocols = ['finetune', 'linear', 'probe', 'kd'] as const
export type TransferProtocol = (typeof protocols)[number]

export const defaultSettings: TransferSettings = {
  pretrain: { epochs: 1000, batch: 256, lr: 0.1, momentum: 0.9, weightDecay: 1e-3 },
  finetune: { iterations: 10_000, batch: 256, lr: 0.01, momentum: 0.9, weightDecay: 5e-4 },
  linear: { iterations: 5000, batch: 512, lr: 0.2, momentum: 0.9, weightDecay: 0 },
  probe: { share: 0.01, iterations: 400, l2: 1e-3 },
  kd: { epochs: 1000, batch: 512, lr: 1e-4, bnEval: 'batch' },
}

export type SettingsChange = { readonly [P in keyof TransferSettings]?: Partial<TransferSettings[P]> }

const known = (part: object) => Object.fromEntries(Object.keys(part).map((name) => [name, true as const]))
const shown = (text: string) => `a ${text}`

/**
 * The defaults with what `change` says otherwise; the rate of pretraining is that of representations of `outputs` numbers.
 * Throws `invalid_option` naming the setting.
 */
export function settingsOf(change: SettingsChange, outputs: number): TransferSettings {
  checkOptions<SettingsChange>('transfer: settings', change, { pretrain: true, finetune: true, linear: true, probe: true, kd: true })
  const parts = Object.entries(defaultSettings).map(([name, part]) => {
    const own = change[name as keyof TransferSettings] ?? {}
    checkOptions<object>(`transfer: ${name}`, own, known(part))
    const rate = name === 'pretrain' && { lr: rateForOutputs(defaultSettings.pretrain.lr, outputs) }
    const whole = { ...part, ...rate, ...own }
    for (const [key, value] of Object.entries(whole)) checkSetting(`transfer: ${name} ${key}`, key, value)
    return [name, whole]
  })
  return Object.fromEntries(parts)
}

function checkSetting(what: string, key: string, value: unknown): void {
  if (['epochs', 'batch', 'iterations'].includes(key)) {
    wholeNumber(what, value)
    return
  }
  if (key === 'bnEval') {
    if (value !== 'batch' && value !== 'running') throw expected('invalid_option', what, "'batch' or 'running'", value)
    return
  }
  const ranges: Readonly<Record<string, readonly [string, (n: number) => boolean]>> = {
    lr: ['number > 0', (n) => n > 0],
    share: ['share in (0, 1]', (n) => n > 0 && n <= 1],
    momentum: ['number in [0, 1)', (n) => n >= 0 && n < 1],
  }
  const [wanted, holds] = ranges[key] ?? ['number >= 0', (n: number) => n >= 0]
  if (typeof value !== 'number' || !Number.isFinite(value) || !holds(value)) throw expected('invalid_option', what, shown(wanted), value)
}
