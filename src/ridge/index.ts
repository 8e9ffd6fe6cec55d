/** @file Ridge regression in closed form. */

export * from './loss.js'
export * from './report.js'
export * from './ridge.js'
