/** @file What programs are compiled for and devices are: instruction sets and GPU architectures. */

/** What a program is compiled for: an instruction set of the CPU, or the architecture of a GPU. Results are bit-identical only within one. */
export type Isa = CpuIsa | `sm_${number}`
export type CpuIsa = 'avx512' | 'avx2' | 'portable' | 'wide16'

export const cpuIsas: readonly string[] = ['avx512', 'avx2', 'portable', 'wide16'] satisfies CpuIsa[]
export const isGpu = (isa: Isa = 'avx2'): isa is `sm_${number}` => /^sm_\d+$/.test(isa)
