// A block makes a tile on or below the diagonal, or of a stretch of the features where tiles alone are too few to fill a device.
#include "native/cuda/linalg/gram.h"
#include "native/cuda/linalg/tile_product.cuh"

namespace aludel::cuda {
namespace {

constexpr int64_t kWantedBlocks = 512;
constexpr int64_t kLeastStretch = 512;  // features: fewer cost more to join than they save

struct Plan {
  int64_t tiles, pairs, stretches, stretch;
};

Plan plan_of(const GramShape& shape) {
  const int64_t tiles = ceil_div(shape.rows, kTile), pairs = tiles * (tiles + 1) / 2;
  const int64_t wanted = ceil_div(kWantedBlocks, pairs), most = ceil_div(shape.features, kLeastStretch);
  const int64_t stretches = wanted < most ? wanted : most < 1 ? 1 : most;
  const int64_t stretch = round_up(ceil_div(shape.features, stretches), kTileDepth);
  return {tiles, pairs, stretch > 0 ? ceil_div(shape.features, stretch) : 1, stretch};
}

struct Pair {
  int row, column;  // tiles
};

// The p-th of (0,0) (1,0) (1,1) (2,0) ...
__device__ __forceinline__ Pair pair_of(int64_t p) {
  int64_t row = static_cast<int64_t>((sqrt(8.0 * static_cast<double>(p) + 1.0) - 1.0) * 0.5);
  while (row * (row + 1) / 2 > p) --row;
  while ((row + 1) * (row + 2) / 2 <= p) ++row;
  return {static_cast<int>(row), static_cast<int>(p - row * (row + 1) / 2)};
}

// Rows of a fragment's column lie side by side in what is mirrored, so both writes are of 64 bytes.
__device__ __forceinline__ void write(TileSum& sum, const Pair& pair, int64_t n, Triangle triangle, double* gram) {
  sum.each([&](int row, int column, double value) {
    const int64_t i = int64_t{pair.row} * kTile + row, j = int64_t{pair.column} * kTile + column;
    if (i >= n || j > i) return;
    gram[i * n + j] = value;
    if (triangle == Triangle::both && i != j) gram[j * n + i] = value;
  });
}

template <typename T>
struct Problem {
  const T* features;
  int64_t n, width, stretch, pairs;
  bool wide, joined;  // joined: stretches meet in `partial`
  double *gram, *partial;
  Triangle triangle;
};

// partial: [stretches, pairs, 32, threads], as threads hold it.
__device__ __forceinline__ int64_t partial_at(int64_t stretch, int64_t pairs, int64_t pair) {
  return (stretch * pairs + pair) * (kTile * kTile) + threadIdx.x;
}

template <typename T>
__global__ void __launch_bounds__(kTileThreads) gram_tiles(Guard guard, const Problem<T> p) {
  if (guard.stopped()) return;
  ALUDEL_DYNAMIC_SHARED(T, shared);
  const Pair pair = pair_of(blockIdx.x);
  const int64_t first = int64_t{blockIdx.y} * p.stretch;
  const int depth = static_cast<int>(p.width - first < p.stretch ? p.width - first : p.stretch);
  const auto stream = [&](int tile, T* stages) {
    const int64_t row = int64_t{tile} * kTile, left = p.n - row;
    return Stream<T, Along::depth>{
        p.features + row * p.width + first, p.width, static_cast<int>(left < kTile ? left : kTile), depth, p.wide, stages};
  };
  TileSum sum;
  add_product<false>(sum, stream(pair.row, shared), stream(pair.column, shared + 2 * kStage), depth);
  if (!p.joined) return write(sum, pair, p.n, p.triangle, p.gram);
  double* to = p.partial + partial_at(blockIdx.y, p.pairs, blockIdx.x);
  sum.each([&](int, int, double value) {
    *to = value;
    to += kTileThreads;
  });
}

__global__ void __launch_bounds__(kTileThreads)
    join_stretches(Guard guard, const double* partial, int64_t stretches, int64_t n, Triangle triangle, double* gram) {
  if (guard.stopped()) return;
  TileSum sum;
  for (int64_t stretch = 0; stretch < stretches; ++stretch) {
    const double* from = partial + partial_at(stretch, gridDim.x, blockIdx.x);
    sum.each([&](int, int, double& value) {
      value += *from;
      from += kTileThreads;
    });
  }
  write(sum, pair_of(blockIdx.x), n, triangle, gram);
}

template <typename T>
Status launch_of(const GramShape& shape, const T* features, double* gram, Triangle triangle, void* workspace, const Context& context) {
  const Plan plan = plan_of(shape);
  const bool joined = plan.stretches > 1;
  const Problem<T> problem = {features,     shape.rows, shape.features,
                              plan.stretch, plan.pairs, is_wide(features, shape.features, shape.features),
                              joined,       gram,       static_cast<double*>(workspace),
                              triangle};
  const dim3 grid(static_cast<unsigned>(plan.pairs), static_cast<unsigned>(plan.stretches));
  ALUDEL_RETURN_IF_ERROR(launched(context, gram_tiles<T>, grid, kTileThreads, 4 * kStage * sizeof(T), problem));
  if (!joined) return {};
  return launched(context, join_stretches, static_cast<unsigned>(plan.pairs), kTileThreads, 0, problem.partial, plan.stretches, shape.rows,
                  triangle, gram);
}

}  // namespace

int64_t gram_workspace_bytes(const GramShape& shape) {
  const Plan plan = plan_of(shape);
  return plan.stretches > 1 ? plan.stretches * plan.pairs * kTile * kTile * static_cast<int64_t>(sizeof(double)) : 0;
}

Status launch_gram(const GramShape& shape, const float* features, double* gram, Triangle triangle, void* workspace,
                   const Context& context) {
  return launch_of(shape, features, gram, triangle, workspace, context);
}
Status launch_gram(const GramShape& shape, const double* features, double* gram, Triangle triangle, void* workspace,
                   const Context& context) {
  return launch_of(shape, features, gram, triangle, workspace, context);
}

}  // namespace aludel::cuda
