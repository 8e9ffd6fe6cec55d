/** @file Inputs and outputs of a model as errors show them. */
import type { ModelPort } from './read-model.js'

export const shown = ({ dims }: ModelPort): string => (dims ? `[${dims.map((d) => (d === '' ? '?' : d)).join(', ')}]` : 'of any shape')
export const listed = (ports: readonly ModelPort[]): string => ports.map((port) => `${port.name} ${shown(port)}`).join(', ') || 'none'
