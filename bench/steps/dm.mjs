/** @file One DM step: see matching.mjs. */
import { dm } from '../../dist/distill/matching/dm.js'
import { prepareMatching } from './matching.mjs'

export const prepare = (device) => prepareMatching(device, dm, {})
