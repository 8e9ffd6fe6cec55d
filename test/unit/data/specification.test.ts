/** @file Data sets as text: what is read from it and back, normalisation by name, and options that do not fit. */
import { describe, expect, it } from 'vitest'
import { recipeStatistics } from '../../../src/data/channel-statistics.js'
import { openDataset } from '../../../src/data/open.js'
import { formatSpecification, parseSpecification } from '../../../src/data/specification.js'
import { expectError, mnistDir } from './fixtures.js'
import { image, twoClasses } from './image-specs.js'

describe('parseSpecification', () => {
  it.each([
    ['fashion-mnist', { name: 'fashion-mnist', path: undefined, options: {} }],
    ['cifar10:a/b', { name: 'cifar10', path: 'a/b', options: {} }],
    ['folder:C:\\x,size=64,fit=crop', { name: 'folder', path: 'C:\\x', options: { size: 64, fit: 'crop' } }],
    ['folder:a,b c,holdout=0.1,split-seed=7', { name: 'folder', path: 'a,b c', options: { holdout: 0.1, splitSeed: 7 } }],
    ['mnist:x,normalize=0.1:0.2/1,flip=no', { name: 'mnist', path: 'x', options: { normalize: '0.1:0.2/1', flip: false } }],
  ])('%s', (text, wanted) => {
    const parsed = parseSpecification(text)
    expect(parsed).toEqual(wanted)
    expect(parseSpecification(formatSpecification(parsed))).toEqual(wanted)
  })

  it.each([
    ['folder:x,size=0', /size: expected pixels.*'0'/],
    ['folder:x,size=1.5', /size/],
    ['folder:x,size=', /size/],
    ['folder:x,fit=stretch', /fit: expected squash or crop but received 'stretch'/],
    ['folder:x,colour=red', /options among size, fit.*'colour'/],
    ['folder:x,size=4,size=8', /size is given twice/],
    ['folder:x,holdout=1', /holdout/],
    ['cifar100:x,labels=all', /fine or coarse/],
    ['mnist:x,flip=maybe', /yes or no/],
    ['mnist:x,flip=constructor', /flip: expected yes or no but received 'constructor'/],
    ['mnist:x,constructor=1', /options among size.*'constructor'/],
  ])('refuses %s', (text, message) => expectError(() => parseSpecification(text), 'invalid_option', message))
})

describe('openDataset', () => {
  it('takes the constants that were asked for', async () => {
    const dir = mnistDir()
    const { mean, std } = await openDataset(`mnist:${dir}`)
    expect({ mean, std }).toEqual(recipeStatistics('mnist'))
    expect(await openDataset(`mnist:${dir},normalize=none`)).toMatchObject({ mean: [0], std: [1] })
    expect(await openDataset(`mnist:${dir},normalize=0.25/0.5,flip=yes`)).toMatchObject({ mean: [0.25], std: [0.5], flip: true })
    const measured = await openDataset(`mnist:${dir},normalize=measured`, 'test')
    const pixels = Array.from(measured.images, (byte) => byte / 255)
    const average = pixels.reduce((sum, x) => sum + x, 0) / pixels.length
    expect(measured.mean[0]).toBeCloseTo(average, 12)
    expect(measured.std[0]).toBeCloseTo(Math.sqrt(pixels.reduce((sum, x) => sum + (x - average) ** 2, 0) / pixels.length), 12)
  })

  it('measures on the training images for both splits', async () => {
    const dir = await twoClasses({ train: [image(0), image(100)], val: [image(200)] })
    const [train, test] = [
      await openDataset(`folder:${dir},normalize=measured`),
      await openDataset(`folder:${dir},normalize=measured`, 'test'),
    ]
    expect(train.mean[0]).toBeCloseTo(50 / 255, 12)
    expect(test.mean).toEqual(train.mean)
  })

  it.each([
    ['mnist', 'normalize=0.1:0.2/0.5', /MEAN\/STD with 1 number each/],
    ['mnist', 'normalize=0.1/0', /std > 0/],
    ['mnist', 'normalize=imagenet', /auto, none, measured, condensation, krr-st/],
    ['mnist', 'normalize=krr-st', /no constants for mnist/],
    ['mnist', 'size=16', /has no option size; it takes normalize, flip/],
    ['idx', 'holdout=0.1', /no option holdout/],
  ])('refuses %s with %s', (name, option, message) =>
    expectError(() => openDataset(`${name}:${mnistDir()},${option}`), 'invalid_option', message),
  )

  it('refuses to normalise a channel without variation by its own statistics', async () => {
    const dir = await twoClasses({ train: [image(7), image(7)], val: [image(7)] })
    await expectError(() => openDataset(`folder:${dir},normalize=measured`), 'invalid_data', /channel 0 has the same value/)
  })
})
