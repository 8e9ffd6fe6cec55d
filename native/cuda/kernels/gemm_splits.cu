// Second stage of products whose inner axis was cut into parts.
#include "native/cuda/kernels/gemm.cuh"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 256;

// Parts are read in batches of eight, so that as many loads are on their way.
__global__ void __launch_bounds__(kThreads) add_splits(Guard guard, const float* partial, int64_t splits, int64_t count, const float* bias,
                                                       int64_t rows, int64_t columns, float* out) {
  if (guard.stopped()) return;
  const int64_t stride = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count; i += stride) {
    double sum = 0;
    int64_t split = 0;
    for (; split + 8 <= splits; split += 8) {
      float v[8];
#pragma unroll
      for (int u = 0; u < 8; ++u) v[u] = partial[(split + u) * count + i];
#pragma unroll
      for (int u = 0; u < 8; ++u) sum += static_cast<double>(v[u]);
    }
    for (; split < splits; ++split) sum += static_cast<double>(partial[split * count + i]);
    if (bias != nullptr) sum += static_cast<double>(bias[i / (rows * columns) * columns + i % columns]);
    out[i] = static_cast<float>(sum);
  }
}

}  // namespace

Status sum_splits(const float* partial, int64_t splits, int64_t count, const float* bias, int64_t rows, int64_t columns, float* out,
                  const Context& context) {
  return launched(context, add_splits, grid_for(count, kThreads, *context.device), kThreads, 0, partial, splits, count, bias, rows, columns,
                  out);
}

}  // namespace aludel::cuda
