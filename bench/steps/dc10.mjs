/** @file One matching step of DC at IPC 10: see gradient.mjs. */
import { prepareGradient } from './gradient.mjs'

export const prepare = (device) => prepareGradient(device, 10)
