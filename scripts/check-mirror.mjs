/** @file Two mirrored backends: every kernel of `native/cpu/kernels` stands in a CUDA file of the same name, and no other does. */
import { posix } from 'node:path'
import { filesUnder, isMain, read, report } from './lib/files.mjs'

/** Kernels whose file has another name on the GPU, and why. */
const elsewhere = {
  // On the CPU both directions share the loops of one file; on the GPU each has tiles of its own.
  conv2d_input_grad: 'conv_input_grad',
  // The CPU adds rows one after another; the GPU sorts first, which is a concept of its own.
  scatter_add: 'scatter_add',
}

/** Kernel name to the file that defines it, without ending. */
export function kernelsIn(files) {
  return new Map(
    files.flatMap(({ path, text }) =>
      [...text.matchAll(/^const Kernel kernel_(\w+)\s*[={]/gm)].map(([, kernel]) => [kernel, posix.basename(path).replace(/\.\w+$/, '')]),
    ),
  )
}

export function compareKernels(cpu, cuda, exceptions = elsewhere) {
  const wanted = (kernel) => exceptions[kernel] ?? cpu.get(kernel)
  return [
    ...[...cpu.keys()]
      .filter((kernel) => cuda.get(kernel) !== wanted(kernel))
      .map((kernel) => {
        const found = cuda.has(kernel) ? `it is in ${cuda.get(kernel)}.cu` : 'there is none'
        return `native/cuda/kernels/${wanted(kernel)}.cu: expected kernel_${kernel} as in native/cpu/kernels/${cpu.get(kernel)}.cc; ${found}`
      }),
    ...[...cuda.keys()]
      .filter((kernel) => !cpu.has(kernel))
      .map((kernel) => `native/cuda/kernels/${cuda.get(kernel)}.cu: kernel_${kernel} has no counterpart in native/cpu/kernels`),
  ]
}

const sources = (folder, ending) => filesUnder([folder], [ending]).map((path) => ({ path, text: read(path) }))

export const checkMirror = () =>
  compareKernels(kernelsIn(sources('native/cpu/kernels', '.cc')), kernelsIn(sources('native/cuda/kernels', '.cu')))

if (isMain(import.meta)) report('mirror', checkMirror())
