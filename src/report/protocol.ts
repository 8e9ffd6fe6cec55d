/** @file Which accuracies may stand beside each other. */
import type { EvaluationRecord } from '../experiment/run-dir.js'
import type { EvaluationResult } from '../experiment/types.js'

/** The protocol of a record; earlier versions knew one. */
export const protocolName = ({ protocol = 'dc' }: { readonly protocol?: EvaluationRecord['protocol'] | undefined }): string => protocol

/** Protocol, and labels and rate where these are those of a set. */
export function trainedHow(entry: EvaluationRecord, { training }: EvaluationResult): string {
  const name = protocolName(entry)
  if (!training || (name !== 'trajectory' && name !== 'rfad' && training.labels === 'hard')) return name
  const scale = training.labelScale === undefined ? '' : `, labels x ${training.labelScale}`
  const lr = Number(training.learningRate.toPrecision(4))
  const rate = name === 'trajectory' || scale !== '' ? `, lr ${lr}, batch ${training.batch}${scale}` : ''
  return `${name}: ${training.labels} labels${rate}`
}

/** Whether two records were measured alike: protocol, epochs and augmentation. */
export const sameProtocol = (a: EvaluationRecord, b: EvaluationRecord): boolean =>
  protocolName(a) === protocolName(b) && a.epochs === b.epochs && a.augment === b.augment

/** What was trained on, and how where that is not the default. */
export function trainedOn(entry: EvaluationRecord): string {
  const { label, epochs } = entry
  const protocol = protocolName(entry)
  return `${label}${epochs === null ? '' : `, ${epochs} epochs`}${protocol === 'dc' ? '' : `, protocol ${protocol}`}`
}
