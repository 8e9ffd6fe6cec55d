/** @file Published CIFAR-10 models under `evaluateModel`: the accuracies that their authors, or an independent measurement, state. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cifar10 } from '../../src/data/cifar10.js'
import type { Dataset } from '../../src/data/dataset.js'
import { Device } from '../../src/engine/runtime/device.js'
import { evaluateModel } from '../../src/evaluate/onnx-accuracy.js'

const data = process.env.ALUDEL_DATA
const folder = join(data ?? '.', 'models', 'cifar10')
const isThere = data !== undefined && existsSync(folder)

const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
const cifar = { mean: [0.4914, 0.4822, 0.4465], std: [0.2471, 0.2435, 0.2616] }

describe.skipIf(!isThere)(`the models in ${isThere ? folder : '$ALUDEL_DATA/models/cifar10, which is not there'}`, () => {
  let device: Device
  let test: Dataset
  beforeAll(async () => {
    device = await Device.open({ threads: 2 })
    test = await cifar10(join(data as string, 'cifar10'), 'test')
  })
  afterAll(() => device?.close())

  it.each([
    ['resnet8-mlperftiny', { scale: 1 }, 8721],
    // These two have a batch of one.
    ['resnet_2b-vnncomp', cifar, 6925],
    ['resnet_4b-vnncomp', cifar, 7720],
    ['resnet20', imagenet, 9173],
    ['resnet32', imagenet, 9263],
    ['resnet44', imagenet, 9311],
    ['resnet56', imagenet, 9339],
  ])('%s gives its accuracy to an image', async (name, normalization, correct) => {
    const result = await evaluateModel(join(folder, `cifar10-${name}.onnx`), { test, device, ...normalization })
    expect(result.images).toBe(10_000)
    expect(Math.abs(result.correct - correct)).toBeLessThanOrEqual(1)
  })
})
