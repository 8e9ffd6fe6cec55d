/** @file What tells distilled sets apart. */
import type { SyntheticSetFields } from '../experiment/types.js'
import { bytesOf, hashOfParts } from '../files/pieces.js'

/** SHA-256 of the images, labels and learned rate of a set. */
export const setHash = ({ images, labels, labelLogits, learningRate }: SyntheticSetFields): Promise<string> =>
  hashOfParts(JSON.stringify({ learningRate }), [images, labels, ...(labelLogits ? [labelLogits] : [])].map(bytesOf))
