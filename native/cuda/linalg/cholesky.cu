#include <math.h>

#include "native/cuda/linalg/cholesky.h"
#include "native/cuda/linalg/cholesky_blocks.cuh"

namespace aludel::cuda {
namespace {

// ---- a diagonal block ---------------------------------------------------------------------------------------------------------------

constexpr int kSide = 16;  // threads are 16 x 16; a thread holds every 16th row and column
constexpr int kOwn = kTile / kSide;

// Factors a diagonal block and inverts the factor, by one elimination: what turns A into an upper triangle turns the unit matrix into the
// inverse of the unit lower factor. Both lie in registers; a step needs a column of the one and a row of the other, and one barrier.
__global__ void __launch_bounds__(kSide* kSide, 1)
    factor_block(Guard guard, SquareMatrix a, int64_t block, bool begun, double* blocks, CholeskyState* state) {
  if (guard.stopped() || (begun && state->failed >= 0)) return;
  __shared__ double columns[2][kTile], rows[2][kTile], pivots[kTile], roots[kTile];
  const int thread = static_cast<int>(threadIdx.x), ty = thread / kSide, tx = thread % kSide;
  const int64_t first = block * kTile;
  double own[kOwn][kOwn], inverse[kOwn][kOwn];
#pragma unroll
  for (int p = 0; p < kOwn; ++p)
#pragma unroll
    for (int q = 0; q < kOwn; ++q) {
      const int i = ty + kSide * p, j = tx + kSide * q;
      inverse[p][q] = i == j ? 1 : 0;
      own[p][q] = first + i < a.n && j <= i ? a.data[(first + i) * a.pitch + first + j] : inverse[p][q];
    }
#pragma unroll
  for (int m = 0; m < kOwn; ++m)
    for (int s = 0; s < kSide; ++s) {
      const int k = m * kSide + s;
      double *column = columns[k % 2], *row = rows[k % 2];
      if (tx == s) {
#pragma unroll
        for (int p = 0; p < kOwn; ++p) {
          const int i = ty + kSide * p;
          column[i] = i > k ? own[p][m] : 0;  // zeros leave finished rows and columns as they are
          if (i == k) pivots[k] = own[p][m];
        }
      }
      if (ty == s) {
#pragma unroll
        for (int q = 0; q < kOwn; ++q) row[tx + kSide * q] = inverse[m][q];
      }
      __syncthreads();
      const double pivot = pivots[k];
      if (!(pivot > 0 && pivot < HUGE_VAL)) {
        if (thread == 0) {
          CholeskyState known = begun ? *state : cholesky_start();
          known.failed = first + k, known.pivot = pivot;
          *state = known;
        }
        return;
      }
      const double scale = 1 / pivot;
#pragma unroll
      for (int p = 0; p < kOwn; ++p) {
        const double factor = -column[ty + kSide * p] * scale;
#pragma unroll
        for (int q = 0; q < kOwn; ++q) {
          own[p][q] = __fma_rn(factor, column[tx + kSide * q], own[p][q]);
          inverse[p][q] = __fma_rn(factor, row[tx + kSide * q], inverse[p][q]);
        }
      }
    }
  if (thread < kTile) roots[thread] = sqrt(pivots[thread]);
  __syncthreads();
  double *inverse_to = inverse_of_block(blocks, block), *block_to = diagonal_block(blocks, block);
#pragma unroll
  for (int p = 0; p < kOwn; ++p)
#pragma unroll
    for (int q = 0; q < kOwn; ++q) {
      const int i = ty + kSide * p, j = tx + kSide * q;
      const double value = j < i ? own[p][q] / roots[j] : j == i ? roots[i] : 0;
      if (first + i < a.n && j <= i) a.data[(first + i) * a.pitch + first + j] = value;
      block_to[i * kTile + j] = value;
      inverse_to[i * kTile + j] = inverse[p][q] / roots[i];
    }
  if (thread == 0) {
    CholeskyState known = begun ? *state : cholesky_start();
    for (int k = 0; k < rows_of(a.n, block); ++k)
      known.smallest = fmin(known.smallest, pivots[k]), known.largest = fmax(known.largest, pivots[k]);
    *state = known;
  }
}

// ---- the panel below it -------------------------------------------------------------------------------------------------------------

__device__ __forceinline__ Stream<double, Along::depth> block_at(const SquareMatrix& a, int64_t i, int64_t column, int depth, bool wide,
                                                                 double* stages) {
  return {a.data + i * kTile * a.pitch + column, a.pitch, rows_of(a.n, i), depth, wide, stages};
}

// X = A L^-T of one block of rows: X0 = A (L^-1)^T, then X = X0 + (A - X0 L^T) (L^-1)^T.
__global__ void __launch_bounds__(kTileThreads)
    solve_panel(Guard guard, SquareMatrix a, int64_t j, double* blocks, const CholeskyState* state, bool wide) {
  if (guard.stopped() || state->failed >= 0) return;
  ALUDEL_DYNAMIC_SHARED(double, shared);
  double* tile = shared + 2 * kStage;  // first the stages of A, then the tile that is multiplied
  const int64_t i = j + 1 + blockIdx.x;
  const auto inverse = whole_block<Along::depth>(inverse_of_block(blocks, j), shared);
  const auto factor = whole_block<Along::depth>(diagonal_block(blocks, j), shared);
  const Resident kept = {tile, kLinePitch, 1};
  double* rows = a.data + i * kTile * a.pitch + j * kTile;
  const int count = rows_of(a.n, i);

  TileSum x;
  add_product<false>(x, block_at(a, i, j * kTile, kTile, wide, tile), inverse, kTile);
  keep(x, tile);
  TileSum residual;
  residual.each([&](int row, int column, double& value) { value = row < count ? rows[row * a.pitch + column] : 0; });
  add_product<true>(residual, kept, factor, kTile);
  keep(residual, tile);
  add_product<false>(x, kept, inverse, kTile);
  x.each([&](int row, int column, double value) {
    if (row < count) rows[row * a.pitch + column] = value;
  });
}

// ---- the rest of the matrix ---------------------------------------------------------------------------------------------------------

// Blocks (i, c) with c = first_column + y and i = c + x: A -= P_i P_c^T, P the columns from..to of the factor.
__global__ void __launch_bounds__(kTileThreads)
    update(Guard guard, SquareMatrix a, int64_t first_column, int64_t from, int64_t to, const CholeskyState* state, bool wide) {
  if (guard.stopped() || state->failed >= 0) return;
  ALUDEL_DYNAMIC_SHARED(double, shared);
  const int64_t c = first_column + blockIdx.y, i = c + blockIdx.x;
  if (i * kTile >= a.n) return;
  double* own = a.data + i * kTile * a.pitch + c * kTile;
  const int rows = rows_of(a.n, i), columns = rows_of(a.n, c), depth = static_cast<int>(to - from);
  const auto counts = [&](int row, int column) { return row < rows && column < columns && (i != c || column <= row); };
  TileSum sum;
  sum.each([&](int row, int column, double& value) { value = counts(row, column) ? own[row * a.pitch + column] : 0; });
  add_product<true>(sum, block_at(a, i, from, depth, wide, shared), block_at(a, c, from, depth, wide, shared + 2 * kStage), depth);
  sum.each([&](int row, int column, double value) {
    if (counts(row, column)) own[row * a.pitch + column] = value;
  });
}

constexpr size_t kPanelBytes = kStreamBytes + kResident * sizeof(double);

}  // namespace

int64_t cholesky_blocks_bytes(int64_t n) { return ceil_div(n, kCholeskyBlock) * 2 * kBlockElements * static_cast<int64_t>(sizeof(double)); }

Status launch_cholesky(const SquareMatrix& a, double* blocks, CholeskyState* state, const Context& context, bool begun) {
  const int64_t count = ceil_div(a.n, kTile);
  const bool wide = is_wide(a.data, a.pitch, kTile);
  const auto subtract = [&](int64_t first, int64_t last, int64_t from, int64_t to) -> Status {
    if (first >= last) return {};
    const dim3 grid(static_cast<unsigned>(count - first), static_cast<unsigned>(last - first));
    return launched(context, update, grid, kTileThreads, 2 * kStreamBytes, a, first, from * kTile, to * kTile, state, wide);
  };
  for (int64_t group = 0; group < count; group += kGroup) {
    const int64_t end = group + kGroup < count ? group + kGroup : count;
    for (int64_t j = group; j < end; ++j) {
      ALUDEL_RETURN_IF_ERROR(launched(context, factor_block, 1, kSide * kSide, 0, a, j, begun || j > 0, blocks, state));
      if (j + 1 == count) break;
      ALUDEL_RETURN_IF_ERROR(
          launched(context, solve_panel, static_cast<unsigned>(count - j - 1), kTileThreads, kPanelBytes, a, j, blocks, state, wide));
      ALUDEL_RETURN_IF_ERROR(subtract(j + 1, end, j, j + 1));
    }
    ALUDEL_RETURN_IF_ERROR(subtract(end, count, group, end));
  }
  return {};
}

}  // namespace aludel::cuda
