/** @file The identity of a data set's content. Apart from the data set, whose types stay free of Node's. */
import { createHash, type Hash } from 'node:crypto'
import type { DatasetFields } from './dataset.js'

/** A content hash up to the pixels, which are to follow in row order. */
export const beginContentHash = ({ shape, labels }: Pick<DatasetFields, 'shape' | 'labels'>): Hash =>
  createHash('sha256')
    .update(JSON.stringify(shape))
    .update(new Uint8Array(labels.buffer, labels.byteOffset, labels.byteLength))
