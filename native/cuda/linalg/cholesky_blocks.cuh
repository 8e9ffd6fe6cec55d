// Where the diagonal blocks of a factor lie, and how matrices are cut: shared by the factorisation and the solves.
#pragma once
#include <math.h>

#include "native/cuda/linalg/cholesky.h"
#include "native/cuda/linalg/tile_product.cuh"

namespace aludel::cuda {

static_assert(kTile == kCholeskyBlock);
constexpr int64_t kBlockElements = kCholeskyBlock * kCholeskyBlock;
constexpr int kGroup = 4;  // blocks whose columns meet the rest of the matrix at once

// What is known before the first block. A function: device code may not name a constant object of the host.
__device__ __forceinline__ CholeskyState cholesky_start() { return {-1, 0, HUGE_VAL, 0}; }

__host__ __device__ __forceinline__ double* inverse_of_block(double* blocks, int64_t j) { return blocks + j * 2 * kBlockElements; }
__host__ __device__ __forceinline__ double* diagonal_block(double* blocks, int64_t j) {
  return inverse_of_block(blocks, j) + kBlockElements;
}

// Rows of block i that the matrix has.
__device__ __forceinline__ int rows_of(int64_t n, int64_t i) {
  const int64_t left = n - i * kTile;
  return static_cast<int>(left < kTile ? left : kTile);
}

// A diagonal block's inverse, or the block itself, as an operand: of its transpose where along is lines.
template <Along along>
__device__ __forceinline__ Stream<double, along> whole_block(const double* block, double* stages) {
  return {block, kTile, kTile, kTile, true, stages};
}

}  // namespace aludel::cuda
