// Rows in panels [B, D, 32] f32: 32 rows side by side, feature by feature. A lane is a row and adds its features in order in float64,
// product and sum rounded apart: the bits of a plain loop, as in native/cpu/kernels/row_panels.h.
#pragma once
#include "native/cuda/kernels/launching.h"
#include "native/cuda/ptx.cuh"

namespace aludel::cuda {

constexpr int kPanelRows = 32;
constexpr int kPanelWarps = 2;  // panels of a block
constexpr int kPanelThreads = 32 * kPanelWarps;
constexpr int kPanelFeatures = 32;  // of a panel that are copied at once
constexpr int kPanelStages = 4;     // copies on their way, and the one at hand

struct Panels {
  const float* data;
  int64_t count, width, rows;

  int64_t blocks() const { return ceil_div(count, kPanelWarps); }
  __host__ __device__ __forceinline__ const float* panel(int64_t p) const { return data + p * width * kPanelRows; }
  // Feature d of row r is at row(r)[d * kPanelRows].
  __device__ __forceinline__ const float* row(int64_t r) const { return panel(r / kPanelRows) + r % kPanelRows; }
};

inline Panels panels_of(const TensorRef& panels, int64_t rows) {
  return {panels.as<const float>(), ceil_div(rows, kPanelRows), panels.dims[1], rows};
}

// ---- the row that leads -----------------------------------------------------------------------------------------------------------

// Least value first, then least row; what is no number comes last. row -1: none. A total order, so that rows may be compared in any.
struct Leader {
  double value;
  int32_t row;
};

__device__ __forceinline__ bool leads(const Leader& a, const Leader& b) {
  if (a.row < 0 || b.row < 0) return b.row < 0 && a.row >= 0;
  const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
  if (a_nan != b_nan) return b_nan;
  return a.value < b.value || (!(b.value < a.value) && a.row < b.row);
}

// The leader among a warp's lanes, in all of them.
__device__ __forceinline__ Leader warp_leader(Leader own) {
#pragma unroll
  for (int half = 16; half > 0; half /= 2) {
    const Leader other = {__shfl_xor_sync(~0u, own.value, half), __shfl_xor_sync(~0u, own.row, half)};
    if (leads(other, own)) own = other;
  }
  return own;
}

// The leader of all panels' leaders, in every thread of the one block that calls it.
template <int Threads>
__device__ __forceinline__ Leader leader_of(const Leader* leaders, int64_t count) {
  __shared__ Leader warps[Threads / 32];
  Leader own = {0, -1};
  for (int64_t p = threadIdx.x; p < count; p += Threads)
    if (leads(leaders[p], own)) own = leaders[p];
  own = warp_leader(own);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = own;
  __syncthreads();
#pragma unroll
  for (int k = 0; k < Threads / 32; ++k)
    if (leads(warps[k], own)) own = warps[k];
  return own;
}

// ---- sums over features -----------------------------------------------------------------------------------------------------------

struct SquaredDifference {
  static __device__ __forceinline__ double of(double a, double x) {
    const double difference = __dsub_rn(a, x);
    return __dmul_rn(difference, difference);
  }
};
struct Product {
  static __device__ __forceinline__ double of(double a, double x) { return __dmul_rn(a, x); }
};

// Shared memory of one warp: a ring of copies of panel and point.
struct PanelStage {
  float rows[kPanelFeatures * kPanelRows];
  double point[kPanelFeatures];
};
constexpr size_t kPanelShared = sizeof(PanelStage) * kPanelStages * kPanelWarps;

// This lane's sum over features d, in order, of Term(point[d], its row's feature d). One warp; `ring`: its kPanelStages stages. A panel is
// one stretch of memory and comes in pieces of 4 KB, some of which are always on their way: a row's sum is one long chain of additions, and
// few panels must fill the memory's latency.
template <typename Term>
__device__ __forceinline__ double panel_sum(const float* panel, const double* point, int64_t width, PanelStage* ring) {
  constexpr int kPieces = kPanelRows / 4;  // of 16 bytes in a feature
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int64_t tiles = (width + kPanelFeatures - 1) / kPanelFeatures;
  const auto copy = [&](int64_t tile) {
    if (tile < tiles) {
      PanelStage& stage = ring[tile % kPanelStages];
      const int64_t first = tile * kPanelFeatures;
      const float* from = panel + first * kPanelRows;
      const int features = static_cast<int>(width - first < kPanelFeatures ? width - first : kPanelFeatures);
#pragma unroll
      for (int k = 0; k < kPieces; ++k) {
        const int piece = k * 32 + lane;
        const bool valid = piece < features * kPieces;
        cp_async<16>(stage.rows + 4 * piece, valid ? from + 4 * piece : panel, valid);
      }
      cp_async<8>(stage.point + lane, lane < features ? point + first + lane : point, lane < features);
    }
    cp_async_commit();
  };
#pragma unroll
  for (int stage = 0; stage < kPanelStages - 1; ++stage) copy(stage);
  double sum = 0;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    cp_async_wait<kPanelStages - 2>();
    __syncwarp();  // the pieces of all lanes have come, and nobody reads the stage that is overwritten now
    copy(tile + kPanelStages - 1);
    const PanelStage& stage = ring[tile % kPanelStages];
    const int features = static_cast<int>(width - tile * kPanelFeatures < kPanelFeatures ? width - tile * kPanelFeatures : kPanelFeatures);
    if (features == kPanelFeatures) {
#pragma unroll
      for (int d = 0; d < kPanelFeatures; ++d)
        sum = __dadd_rn(sum, Term::of(stage.point[d], static_cast<double>(stage.rows[d * kPanelRows + lane])));
    } else {
      for (int d = 0; d < features; ++d)
        sum = __dadd_rn(sum, Term::of(stage.point[d], static_cast<double>(stage.rows[d * kPanelRows + lane])));
    }
  }
  cp_async_wait<0>();
  return sum;
}

}  // namespace aludel::cuda
