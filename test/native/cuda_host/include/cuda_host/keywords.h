// CUDA's keywords for g++.
#pragma once
#ifdef __CUDACC__
#error "the emulated CUDA runtime must not be on nvcc's include path"
#endif
#define CUDA_HOST 1

#define __global__ __attribute__((unused))  // a header may hold kernels that one of its users leaves alone
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __forceinline__ inline __attribute__((always_inline))

// One block runs at a time, so a block's shared variables are statics, and AddressSanitizer puts redzones around them.
#define __shared__ static
// `extern __shared__` cannot be expressed: kernels use ALUDEL_DYNAMIC_SHARED. `__noinline__` cannot be a macro, since the standard library
// uses it inside __attribute__(()): kernels write __attribute__((noinline)), which nvcc takes as well.
