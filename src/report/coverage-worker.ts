/** @file Computes coverage on a thread of its own: distances of thousands of rows take seconds, which the event loop is not held for. */
import { parentPort, workerData } from 'node:worker_threads'
import { coverageOf } from './coverage.js'

parentPort?.postMessage(coverageOf(workerData))
