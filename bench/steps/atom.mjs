/** @file One ATOM step at DM's shapes, both kinds of attention over blocks 1 and 2, instance norm: see matching.mjs. */
import { atom } from '../../dist/distill/matching/atom.js'
import { prepareMatching, presetOptions } from './matching.mjs'

export const prepare = (device) => prepareMatching(device, atom, presetOptions(atom, 'default'))
