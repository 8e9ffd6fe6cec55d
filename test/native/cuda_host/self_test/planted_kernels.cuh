// Kernels with faults that the emulation has to find. With a Bug parameter, 0 is the right kernel.
#pragma once
#include "native/cuda/ptx.cuh"

namespace self_test {
namespace {

namespace cuda = aludel::cuda;

// Sum of each block's 256 values. Bug: no __syncthreads between the warps' sums and the block's.
template <bool Bug>
__global__ void block_sum(const float* x, float* out) {
  __shared__ float parts[8];
  float v = x[blockIdx.x * blockDim.x + threadIdx.x];
  for (int o = 16; o; o >>= 1) v += __shfl_down_sync(~0u, v, o);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
  if (!Bug) __syncthreads();
  if (threadIdx.x == 0) {
    float sum = 0;
    for (float p : parts) sum += p;
    out[blockIdx.x] = sum;
  }
}

// The same as a tree in dynamic shared memory. Bug: no barrier inside the loop.
template <bool Bug>
__global__ void tree_sum(const float* x, float* out) {
  ALUDEL_DYNAMIC_SHARED(float, values);
  values[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
  __syncthreads();
  for (unsigned o = blockDim.x / 2; o; o /= 2) {
    if (threadIdx.x < o) values[threadIdx.x] += values[threadIdx.x + o];
    if (!Bug) __syncthreads();
  }
  if (threadIdx.x == 0) out[blockIdx.x] = values[0];
}

// Bug: lanes of a warp exchange data in shared memory without __syncwarp.
template <bool Bug>
__global__ void reverse_warp(const int* x, int* out) {
  __shared__ int values[32];
  values[threadIdx.x] = x[threadIdx.x];
  if (!Bug) __syncwarp();
  out[threadIdx.x] = values[31 - threadIdx.x];
}

// Bug: everybody updates one word without an atomic.
template <bool Bug>
__global__ void count_threads(int* n) {
  if (Bug)
    *n = *n + 1;
  else
    atomicAdd(n, 1);
}

// A double buffer fed by cp.async: each thread sums what its mirror loaded.
enum PipelineBug { kNoBug, kNoWait, kShortWait, kNoBarrierAfterWait, kNoEndBarrier };
template <int Bug>
__global__ void pipeline_sum(const float4* x, float* out, int steps) {
  __shared__ float4 buffer[2][64];
  const int t = threadIdx.x;
  const auto load = [&](int step) {
    cuda::cp_async<16>(&buffer[step & 1][t], x + step * 64 + t);
    cuda::cp_async_commit();
  };
  float sum = 0;
  load(0);
  for (int step = 0; step < steps; ++step) {
    if (step + 1 < steps) {
      load(step + 1);
      if (Bug != kNoWait) cuda::cp_async_wait<Bug == kShortWait ? 2 : 1>();
    } else if (Bug != kNoWait) {
      cuda::cp_async_wait<0>();
    }
    if (Bug != kNoBarrierAfterWait) __syncthreads();
    const float4 v = buffer[step & 1][63 - t];
    sum += v.x + 2 * v.y + 3 * v.z + 4 * v.w;
    if (Bug != kNoEndBarrier) __syncthreads();
  }
  out[t] = sum;
}

__global__ void barrier_in_branch(int* x) {
  if (threadIdx.x < 40)
    __syncthreads();
  else
    x[0] = 1;
  if (threadIdx.x >= 40)
    for (;;) __syncwarp(~0u);
}
__global__ void shuffle_in_branch(int* x) {
  int v = threadIdx.x;
  if (threadIdx.x % 32 < 7)
    v = __shfl_sync(~0u, v, 0);
  else
    __syncthreads();
  x[threadIdx.x] = v;
}
__global__ void paired_barriers(int* x) {
  if (threadIdx.x < 32) {
    x[threadIdx.x] = 1;
    __syncthreads();
  } else {
    __syncthreads();
    x[threadIdx.x] = 2;
  }
}
__global__ void mask_without_caller(int* x) { x[threadIdx.x] = __shfl_sync(0xffffu, static_cast<int>(threadIdx.x), 0); }

__global__ void write_too_far(float* x, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i <= n) x[i] = 1.0f;
}
__global__ void write_shared_too_far(float* out) {
  __shared__ float s[32];
  s[threadIdx.x + blockIdx.x] = 1.0f;  // one too far in the second block
  __syncthreads();
  out[threadIdx.x] = s[threadIdx.x];
}
__global__ void misaligned_copy(const float* x, float* out) {
  __shared__ __align__(16) float s[8];
  cuda::cp_async<16>(s, x + 1);
  cuda::cp_async_commit();
  cuda::cp_async_wait<0>();
  out[0] = s[0];
}
// Bug: no __threadfence before the block says that it is done.
template <bool Bug>
__global__ void hand_over(int* data, unsigned* done, int* out) {
  if (threadIdx.x != 0) return;
  data[blockIdx.x] = 1;
  if (!Bug) __threadfence();
  if (atomicAdd(done, 1u) == gridDim.x - 1)
    for (unsigned i = 0; i < gridDim.x; ++i) *out += data[i];
}

}  // namespace
}  // namespace self_test
