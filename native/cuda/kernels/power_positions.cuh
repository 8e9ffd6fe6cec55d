// Sums over channels where a map has several tiles of channels: every tile leaves its own sums, and these are joined.
#pragma once
#include "native/cuda/kernels/channels.cuh"

namespace aludel::cuda {
namespace {

// parts [tiles, n] to positions [n].
__global__ void __launch_bounds__(kThreads) join_tiles(Guard guard, const float* parts, int tiles, float* positions, int64_t n) {
  if (guard.stopped()) return;
  const int64_t stride = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += stride) {
    double sum = 0;
    for (int tile = 0; tile < tiles; ++tile) sum += static_cast<double>(parts[tile * n + i]);
    positions[i] = static_cast<float>(sum);
  }
}

}  // namespace
}  // namespace aludel::cuda
