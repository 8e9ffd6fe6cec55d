/** @file What programs are compiled for and devices are: instruction sets, GPU architectures and the precision of products. */

/** What a program is compiled for: an instruction set of the CPU, or the architecture of a GPU. Results are bit-identical only within one. */
export type Isa = CpuIsa | `sm_${number}`
export type CpuIsa = 'avx512' | 'avx2' | 'portable' | 'wide16'

export const cpuIsas: readonly string[] = ['avx512', 'avx2', 'portable', 'wide16'] satisfies CpuIsa[]
export const isGpu = (isa: string = 'avx2'): isa is `sm_${number}` => /^sm_\d+$/.test(isa)

/**
 * How a GPU multiplies in convolutions and matrix products: what inputs are rounded to, or as two TF32 numbers each (tf32x3); a CPU has f32 only.
 */
export type Precision = 'f32' | 'tf32' | 'bf16' | 'tf32x3'

export const precisions: readonly Precision[] = ['f32', 'tf32', 'bf16', 'tf32x3']

/** What the bits of a result depend on, as records and plans keep it: the instruction set, of a GPU the precision too. */
export const arithmeticOf = <I extends string, P>({ isa, precision }: { readonly isa: I; readonly precision: P }) => ({
  isa,
  ...(isGpu(isa) && { precision }),
})
