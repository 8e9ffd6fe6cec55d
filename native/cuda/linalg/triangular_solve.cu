#include "native/cuda/linalg/cholesky_blocks.cuh"
#include "native/cuda/linalg/triangular_solve.h"

namespace aludel::cuda {
namespace {

struct Problem {
  CholeskyFactor factor;
  double *b, *x;
  int64_t columns;
  bool wide_factor, wide_sides;
};

// Columns of a tile of right-hand sides.
__device__ __forceinline__ int columns_of(const Problem& p) {
  const int64_t left = p.columns - int64_t{blockIdx.x} * kTile;
  return static_cast<int>(left < kTile ? left : kTile);
}
__device__ __forceinline__ int64_t place(const Problem& p, int64_t block) {
  return block * kTile * p.columns + int64_t{blockIdx.x} * kTile;
}

// Right-hand sides from row `block` on as the second operand: k runs down the rows.
__device__ __forceinline__ Stream<double, Along::lines> sides(const Problem& p, const double* data, int64_t block, int depth,
                                                              double* stages) {
  return {data + place(p, block), p.columns, columns_of(p), depth, p.wide_sides, stages};
}

// Block (r, j) of L, `depth` columns of it; transposed: of L^T, where r is a block of columns of L and the k run down its rows.
template <bool transposed>
__device__ __forceinline__ auto factor_at(const Problem& p, int64_t r, int64_t j, int depth, double* stages) {
  const SquareMatrix& l = p.factor.l;
  if constexpr (transposed)
    return Stream<double, Along::lines>{l.data + j * kTile * l.pitch + r * kTile, l.pitch, rows_of(l.n, r), depth, p.wide_factor, stages};
  else
    return Stream<double, Along::depth>{l.data + r * kTile * l.pitch + j * kTile, l.pitch, rows_of(l.n, r), depth, p.wide_factor, stages};
}

// f(row, column, value, address) for the sums that lie inside block `block` of `data`.
template <typename F>
__device__ __forceinline__ void each_inside(const Problem& p, TileSum& sum, double* data, int64_t block, const F& f) {
  double* own = data + place(p, block);
  const int rows = rows_of(p.factor.l.n, block), columns = columns_of(p);
  sum.each([&](int row, int column, double& value) {
    if (row < rows && column < columns) f(value, own[row * p.columns + column]);
  });
}

// Solves block j; blocks y = 1.. of the grid do so for themselves and then take it out of block j + y (j - y): two launches in one, and
// nobody waits for what another block writes. Right-hand sides of block j are only read, its solution only written.
template <bool transposed>
__global__ void __launch_bounds__(kTileThreads) solve_block(Guard guard, Problem p, int64_t j) {
  if (guard.stopped() || p.factor.state->failed >= 0) return;
  constexpr Along along = transposed ? Along::lines : Along::depth;
  ALUDEL_DYNAMIC_SHARED(double, shared);
  double* tile = shared + 2 * kStage;  // first the stages of B, then the tile that is multiplied
  const auto inverse = whole_block<along>(inverse_of_block(p.factor.blocks, j), shared);
  const auto diagonal = whole_block<along>(diagonal_block(p.factor.blocks, j), shared);
  const Resident kept = {tile, 1, kLinePitch};

  TileSum x;
  add_product<false>(x, inverse, sides(p, p.b, j, rows_of(p.factor.l.n, j), tile), kTile);
  keep(x, tile);
  TileSum residual;
  each_inside(p, residual, p.b, j, [](double& value, double& at) { value = at; });
  add_product<true>(residual, diagonal, kept, kTile);
  keep(residual, tile);
  add_product<false>(x, inverse, kept, kTile);
  if (blockIdx.y == 0) return each_inside(p, x, p.x, j, [](double value, double& at) { at = value; });

  const int64_t r = transposed ? j - blockIdx.y : j + blockIdx.y;
  keep(x, tile);
  TileSum rest;
  each_inside(p, rest, p.b, r, [](double& value, double& at) { value = at; });
  add_product<true>(rest, factor_at<transposed>(p, r, j, rows_of(p.factor.l.n, j), shared), kept, kTile);
  each_inside(p, rest, p.b, r, [](double value, double& at) { at = value; });
}

// Takes the solved blocks from..to-1 out of the blocks first + y.
template <bool transposed>
__global__ void __launch_bounds__(kTileThreads) update(Guard guard, Problem p, int64_t first, int64_t from, int64_t to) {
  if (guard.stopped() || p.factor.state->failed >= 0) return;
  ALUDEL_DYNAMIC_SHARED(double, shared);
  const int64_t r = first + blockIdx.y, n = p.factor.l.n;
  const int depth = static_cast<int>((to * kTile < n ? to * kTile : n) - from * kTile);
  TileSum rest;
  each_inside(p, rest, p.b, r, [](double& value, double& at) { value = at; });
  add_product<true>(rest, factor_at<transposed>(p, r, from, depth, shared), sides(p, p.x, from, depth, shared + 2 * kStage), depth);
  each_inside(p, rest, p.b, r, [](double value, double& at) { at = value; });
}

constexpr size_t kSolveBytes = kStreamBytes + kResident * sizeof(double);

template <bool transposed>
Status launch_direction(const Problem& p, const Context& context) {
  const int64_t count = ceil_div(p.factor.l.n, kTile), groups = ceil_div(count, kGroup);
  const unsigned columns = static_cast<unsigned>(ceil_div(p.columns, kTile));
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t group = transposed ? groups - 1 - g : g, from = group * kGroup, to = from + kGroup < count ? from + kGroup : count;
    for (int64_t s = 0; s < to - from; ++s) {
      const int64_t j = transposed ? to - 1 - s : from + s;
      const dim3 grid(columns, static_cast<unsigned>(to - from - s));
      ALUDEL_RETURN_IF_ERROR(launched(context, solve_block<transposed>, grid, kTileThreads, kSolveBytes, p, j));
    }
    const int64_t first = transposed ? 0 : to, left = transposed ? from : count - to;
    if (left == 0) continue;
    const dim3 grid(columns, static_cast<unsigned>(left));
    ALUDEL_RETURN_IF_ERROR(launched(context, update<transposed>, grid, kTileThreads, 2 * kStreamBytes, p, first, from, to));
  }
  return {};
}

}  // namespace

Status launch_triangular_solve(const CholeskyFactor& factor, bool transposed, double* b, double* x, int64_t columns,
                               const Context& context) {
  const bool wide_sides = is_wide(b, columns, columns) && is_wide(x, columns, columns);
  const Problem problem = {factor, b, x, columns, is_wide(factor.l.data, factor.l.pitch, kTile), wide_sides};
  return transposed ? launch_direction<true>(problem, context) : launch_direction<false>(problem, context);
}

int64_t cholesky_solve_workspace_bytes(int64_t n, int64_t columns) { return n * columns * static_cast<int64_t>(sizeof(double)); }

Status launch_cholesky_solve(const CholeskyFactor& factor, double* b, int64_t columns, void* workspace, const Context& context) {
  double* half_way = static_cast<double*>(workspace);
  ALUDEL_RETURN_IF_ERROR(launch_triangular_solve(factor, false, b, half_way, columns, context));
  return launch_triangular_solve(factor, true, half_way, b, columns, context);
}

}  // namespace aludel::cuda
