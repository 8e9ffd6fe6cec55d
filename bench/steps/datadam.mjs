/** @file One DataDAM step at DM's shapes, p = 4, instance norm (the preset of the paper): see matching.mjs. */
import { datadam } from '../../dist/distill/matching/datadam.js'
import { prepareMatching, presetOptions } from './matching.mjs'

export const prepare = (device) => prepareMatching(device, datadam, presetOptions(datadam, 'paper'))
