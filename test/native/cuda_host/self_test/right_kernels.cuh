// Kernels without a fault, one per idiom. `Bug` of those in planted_kernels.cuh leaves out what each idiom needs.
#pragma once
#include "native/cuda/ptx.cuh"

namespace self_test {
namespace {

namespace cuda = aludel::cuda;

// One warp per row: softmax, cross-entropy loss and its gradient.
__global__ void __launch_bounds__(128) softmax_loss(const float* __restrict__ logits, const int* __restrict__ labels,
                                                    float* __restrict__ loss, float* __restrict__ gradient, int rows, int columns) {
  const int row = blockIdx.x * (blockDim.x / warpSize) + threadIdx.x / warpSize, lane = threadIdx.x % warpSize;
  if (row >= rows) return;  // a whole warp leaves together
  const float* r = logits + static_cast<size_t>(row) * columns;
  float largest = -INFINITY, sum = 0;
  for (int i = lane; i < columns; i += warpSize) largest = fmaxf(largest, __ldg(r + i));
#pragma unroll
  for (int o = 16; o; o >>= 1) largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, o));
  for (int i = lane; i < columns; i += warpSize) sum += __expf(r[i] - largest);
  for (int o = 16; o; o >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, o);
  for (int i = lane; i < columns; i += warpSize)
    gradient[static_cast<size_t>(row) * columns + i] = __expf(r[i] - largest) / sum - (i == labels[row] ? 1.0f : 0.0f);
  if (lane == 0) loss[row] = logf(sum) + largest - r[labels[row]];
}

// Votes, partial masks, counting barriers.
__global__ void votes(unsigned* out) {
  const unsigned t = threadIdx.x;
  const int count = __syncthreads_count(t % 3 == 0), any = __syncthreads_or(t == 77), all = __syncthreads_and(t < 1000);
  out[t] = __ballot_sync(~0u, t & 1) + static_cast<unsigned>(count * 2 + any + all);
  if (t % 32 < 16) out[t] += __shfl_xor_sync(0xffffu, t, 8, 16) + __reduce_add_sync(0xffffu, 1u);
}

// A 16x16 bf16, B 16x8 bf16, one warp; ldmatrix in both forms.
__global__ void product_bf16(const uint16_t* a, const uint16_t* b, float* d) {
  __shared__ __align__(16) uint16_t as[16 * 16], bs[16 * 8];
  const int lane = threadIdx.x;
  for (int i = lane; i < 256; i += 32) as[i] = a[i];
  for (int i = lane; i < 128; i += 32) bs[i] = b[i];
  __syncwarp();
  uint32_t fa[4], fb[2];
  cuda::ldmatrix<4>(fa, as + (lane % 16) * 16 + lane / 16 * 8);
  cuda::ldmatrix<2, true>(fb, bs + (lane % 16) * 8);
  float sum[4] = {};
  cuda::mma_m16n8k16_bf16(sum, fa, fb);
  for (int q = 0; q < 4; ++q) d[(lane / 4 + q / 2 * 8) * 8 + lane % 4 * 2 + q % 2] = sum[q];
}

// A 16x8, B 8x8 (k by n), one warp.
__global__ void product_tf32(const float* a, const float* b, float* d) {
  const int lane = threadIdx.x, g = lane / 4, t = lane % 4;
  const uint32_t fa[4] = {cuda::to_tf32(a[g * 8 + t]), cuda::to_tf32(a[(g + 8) * 8 + t]), cuda::to_tf32(a[g * 8 + t + 4]),
                          cuda::to_tf32(a[(g + 8) * 8 + t + 4])};
  const uint32_t fb[2] = {cuda::to_tf32(b[t * 8 + g]), cuda::to_tf32(b[(t + 4) * 8 + g])};
  float sum[4] = {};
  cuda::mma_m16n8k8_tf32(sum, fa, fb);
  for (int q = 0; q < 4; ++q) d[(g + q / 2 * 8) * 8 + 2 * t + q % 2] = sum[q];
}

// A 8x4, B 4x8, one warp.
__global__ void product_f64(const double* a, const double* b, double* d) {
  const int lane = threadIdx.x, g = lane / 4, t = lane % 4;
  double sum[2] = {};
  cuda::mma_m8n8k4_f64(sum, a[g * 4 + t], b[t * 8 + g]);
  for (int q = 0; q < 2; ++q) d[g * 8 + 2 * t + q] = sum[q];
}

// Sums of blocks, added in order by the block that finishes last.
__global__ void last_block_sum(const float* x, float* parts, unsigned* finished, float* out) {
  __shared__ float values[64];
  __shared__ bool last;
  values[threadIdx.x] = x[blockIdx.x * 64 + threadIdx.x];
  __syncthreads();
  if (threadIdx.x == 0) {
    float sum = 0;
    for (float v : values) sum += v;
    parts[blockIdx.x] = sum;
    __threadfence();
    last = atomicAdd(finished, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (last && threadIdx.x == 0) {
    float sum = 0;
    for (unsigned i = 0; i < gridDim.x; ++i) sum += parts[i];
    *out = sum;
  }
}

__global__ void add_value(float* x, float value) { x[blockIdx.x * blockDim.x + threadIdx.x] += value; }
__global__ void double_values(float* x) { x[blockIdx.x * blockDim.x + threadIdx.x] *= 2.0f; }
__global__ void nothing() {}
__global__ void fill_dynamic_shared(int n) {
  ALUDEL_DYNAMIC_SHARED(float, s);
  for (int i = threadIdx.x; i < n; i += blockDim.x) s[i] = 1.0f;
}

// For timing: n collectives of one kind per thread.
__global__ void many_barriers(int n) {
  for (int i = 0; i < n; ++i) __syncthreads();
}
__global__ void many_shuffles(int n, int* out) {
  unsigned v = threadIdx.x;
  for (int i = 0; i < n; ++i) v += __shfl_xor_sync(~0u, v, 1);
  if (v == 12345u) *out = 1;
}
__global__ void many_products(int n, float* out) {
  float d[4] = {};
  const uint32_t a[4] = {1, 2, 3, 4}, b[2] = {5, 6};
  for (int i = 0; i < n; ++i) cuda::mma_m16n8k8_tf32(d, a, b);
  if (d[0] == -1) *out = d[0];
}

}  // namespace
}  // namespace self_test
