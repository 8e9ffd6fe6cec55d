/** @file What the comparison of the two backends' kernels finds. */
import { expect, it } from 'vitest'
import { compareKernels, kernelsIn } from '../../../scripts/check-mirror.mjs'

const file = (path, ...kernels) => ({
  path,
  text: kernels.map((kernel) => `extern const Kernel kernel_${kernel};\nconst Kernel kernel_${kernel} = {nullptr, launch};\n`).join(''),
})
const cpu = kernelsIn([file('native/cpu/kernels/cast.cc', 'cast'), file('native/cpu/kernels/pool.cc', 'avg_pool', 'max_pool')])
const cuda = (...files) => compareKernels(cpu, kernelsIn(files), {})

it('is content with a file of the same name for every kernel', () => {
  expect(cuda(file('native/cuda/kernels/cast.cu', 'cast'), file('native/cuda/kernels/pool.cu', 'avg_pool', 'max_pool'))).toEqual([])
})

it('names kernels that are missing, elsewhere, or one too many', () => {
  expect(cuda(file('native/cuda/kernels/pool.cu', 'cast', 'max_pool'), file('native/cuda/kernels/sort.cu', 'sort'))).toEqual([
    'native/cuda/kernels/cast.cu: expected kernel_cast as in native/cpu/kernels/cast.cc; it is in pool.cu',
    'native/cuda/kernels/pool.cu: expected kernel_avg_pool as in native/cpu/kernels/pool.cc; there is none',
    'native/cuda/kernels/sort.cu: kernel_sort has no counterpart in native/cpu/kernels',
  ])
})
