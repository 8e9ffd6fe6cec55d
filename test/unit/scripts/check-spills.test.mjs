/** @file What ptxas says of kernels, read from a build log. */
import { describe, expect, it } from 'vitest'
import { kernelsOf, spillsOf, tableOf } from '../../../scripts/check-spills.mjs'

const clean = `[3/9] Building CUDA object CMakeFiles/cuda.dir/native/cuda/kernels/copy.cu.o
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z4copyPfi' for 'sm_80'
ptxas info    : Function properties for _Z4copyPfi
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 8192 bytes smem, 384 bytes cmem[0]
ptxas info    : Compiling entry function '_Z4copyPfi' for 'sm_90'
ptxas info    : Function properties for _Z4copyPfi
    16 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 38 registers, 376 bytes cmem[0]
`
/** A function that was not inlined spills, and its kernel does not. */
const spilling = `ptxas info    : Compiling entry function '_Z4gemmPf' for 'sm_90'
ptxas info    : Function properties for _Z4gemmPf
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers
ptxas info    : Function properties for _Z5innerPf
    24 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
`

describe('a build log', () => {
  it('says what each kernel takes on each architecture', () => {
    expect(kernelsOf(clean)).toEqual([
      { symbol: '_Z4copyPfi', architecture: 'sm_80', registers: 40, shared: 8192, stack: 0, spills: 0 },
      { symbol: '_Z4copyPfi', architecture: 'sm_90', registers: 38, shared: 0, stack: 16, spills: 0 },
    ])
    expect(spillsOf(kernelsOf(clean))).toEqual([])
    expect(tableOf(kernelsOf(clean)).split('\n')).toHaveLength(4)
  })

  it('gives spills away, of kernels and of functions', () => {
    const found = spillsOf(kernelsOf(clean + spilling))
    expect(found).toEqual([expect.stringMatching(/inner.* for sm_90: 20 bytes spilled/)])
  })

  it('that goes on replaces what was said before', () => {
    const fixed = spilling.replace('8 bytes spill stores, 12 bytes', '0 bytes spill stores, 0 bytes')
    expect(spillsOf(kernelsOf(spilling + fixed))).toEqual([])
    expect(spillsOf(kernelsOf(fixed + spilling))).toHaveLength(1)
  })

  it('without kernels has none', () => {
    expect(kernelsOf('[1/2] Building CXX object a.o\n')).toEqual([])
  })
})
