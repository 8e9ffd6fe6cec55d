/** @file One matching step of DC at IPC 1: see gradient.mjs. With the published loops this is a whole iteration. */
import { prepareGradient } from './gradient.mjs'

export const prepare = (device) => prepareGradient(device, 1)
