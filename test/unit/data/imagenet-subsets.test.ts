/** @file The 10-class subsets of ImageNet-1K. Their tables: golden case imagenet_subsets. */
import { expect, it } from 'vitest'
import { imagenetSubset, imagenetSubsetNames } from '../../../src/data/imagenet-subsets.js'

it('have ten classes each, every class once', () => {
  expect(imagenetSubsetNames).toHaveLength(15)
  for (const name of imagenetSubsetNames) {
    const { classes } = imagenetSubset(name)
    expect(new Set(classes.map(({ synset }) => synset)).size, name).toBe(10)
    for (const { imagenetIndex, synset } of classes) {
      expect(imagenetIndex).toBeLessThan(1000)
      expect(synset).toMatch(/^n\d{8}$/)
    }
  }
})

it('agree on the index of a synset', () => {
  const indices = new Map<string, number>()
  for (const { imagenetIndex, synset } of imagenetSubsetNames.flatMap((name) => imagenetSubset(name).classes)) {
    expect(indices.get(synset) ?? imagenetIndex).toBe(imagenetIndex)
    indices.set(synset, imagenetIndex)
  }
  // sorted by synset, indices ascend
  const sorted = [...indices].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, index]) => index)
  expect(sorted).toEqual(sorted.toSorted((a, b) => a - b))
})

it('go by name or alias', () => {
  expect(imagenetSubset('ImageFruit')).toEqual(imagenetSubset('imagenet-fruits'))
  expect(imagenetSubset('imagenette').classes[0]).toEqual({ imagenetIndex: 0, synset: 'n01440764', name: 'tench' })
  for (const name of ['imagenet-z', 'toString', ''])
    expect(() => imagenetSubset(name)).toThrow(expect.objectContaining({ code: 'not_found' }))
})
