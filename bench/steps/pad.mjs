/**
 * @file One iteration of PAD at IPC 1 as published for CIFAR-10: 80 unrolled SGD steps on all ten images under DSA, the exact gradient to pixels, label
 * logits and learning rate, and their update. The expert is that of `mtt`. Value: the matching loss.
 */
import { parseAugment } from '../../dist/augment/dsa.js'
import { pad } from '../../dist/distill/trajectory/methods.js'
import { prepareMatching } from './mtt.mjs'

const options = { innerSteps: 80, labels: 'soft', labelLr: 5, lrLr: 1e-7 }

export const prepare = (device) => prepareMatching(device, { method: pad, ipc: 1, options, augment: parseAugment('dsa', true) })
