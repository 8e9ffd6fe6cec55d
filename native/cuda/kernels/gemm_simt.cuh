// Products by ordinary float32 multiply-adds, each rounded once, in the order of k: the exact float32 path.
#pragma once
#include "native/cuda/kernels/gemm_tile.cuh"

namespace aludel::cuda {

// A warp is 4 x 8 threads; each makes 8 rows by warp_columns / 8 columns.
template <GemmTile Kind, bool a_along_k, bool b_along_k>
class SimtCore {
 public:
  using Shape = TileShape<Kind>;
  static constexpr int kRows = 8, kColumns = Shape::warp_columns / 8;
  static constexpr int kThreads = 512;            // of a multiprocessor
  static constexpr int kRun = b_along_k ? 1 : 4;  // neighbouring columns of one thread
  static constexpr int kRuns = kColumns / kRun;

  // Which rows and columns are this thread's: see MmaCore.
  __device__ __forceinline__ void locate(int thread) {
    const int warp = thread / 32;
    row0_ = warp % Shape::row_warps * Shape::warp_rows + thread % 32 / 8 * (a_along_k ? 1 : 4);
    column0_ = warp / Shape::row_warps * Shape::warp_columns + thread % 8 * kRun;
  }

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int i = 0; i < kRows; ++i)
#pragma unroll
      for (int j = 0; j < kColumns; ++j) sum_[i][j] = 0;
  }

  __device__ __forceinline__ void multiply(const float* a, const float* b) {
    // Along k two k's at a time are read: four would not fit the registers.
    constexpr int step = a_along_k || b_along_k ? 2 : 1;
    [[maybe_unused]] constexpr int kUnrolled = kColumns < 8 ? 4 : step == 2 ? 1 : 2;
#pragma unroll 1  // unrolled, the addresses of all sixteen k's would be kept in registers
    for (int k4 = 0; k4 < kGemmDepth; k4 += 4)
#pragma unroll kUnrolled
      for (int k = 0; k < 4; k += step) {
        float x[kRows][step], y[kColumns][step];
        read<Shape::rows, kRows, a_along_k, 4, step>(a, row0_, k4, k, x);
        read<Shape::columns, kColumns, b_along_k, 8, step>(b, column0_, k4, k, y);
#pragma unroll
        for (int s = 0; s < step; ++s)
#pragma unroll
          for (int i = 0; i < kRows; ++i)
#pragma unroll
            for (int j = 0; j < kColumns; ++j) sum_[i][j] = fmaf(x[i][s], y[j][s], sum_[i][j]);
      }
  }

  // What a thread holds: kRows rows, in each kRuns runs of kRun columns.
  __device__ __forceinline__ int row(int i) const { return row0_ + line<a_along_k, 4>(i); }
  __device__ __forceinline__ int column(int run) const { return column0_ + line<b_along_k, 8>(run * kRun); }
  __device__ __forceinline__ float value(int i, int run, int u) const { return sum_[i][run * kRun + u]; }
  __device__ __forceinline__ float& value(int i, int run, int u) { return sum_[i][run * kRun + u]; }

 private:
  // Line i of a thread, from its first: along k every Lanes-th one, so that the lanes' lines are neighbours, else groups of four.
  template <bool along_k, int Lanes>
  __device__ __forceinline__ static constexpr int line(int i) {
    return along_k ? i * Lanes : i / 4 * (4 * Lanes) + i % 4;
  }

  // Lines of this thread at k4 + k .. k4 + k + Step - 1. The permutation of a line is that of its first one but for what is said here, so
  // that all the other offsets are constants.
  template <int Lines, int Count, bool along_k, int Lanes, int Step>
  __device__ __forceinline__ static void read(const float* tile, int first, int k4, int k, float (&out)[Count][Step]) {
    if constexpr (along_k) {
      const float* even = tile + along_k_offset(first, k4) + k;
      const float* odd = Lanes == 4 ? tile + along_k_offset(first + 4, k4) + k - 4 * kGemmDepth : even;
#pragma unroll
      for (int i = 0; i < Count; ++i) {
        const float2 v = *reinterpret_cast<const float2*>((i % 2 == 0 ? even : odd) + i * Lanes * kGemmDepth);
        out[i][0] = v.x;
        out[i][1] = v.y;
      }
    } else {
      const float* near = tile + along_lines_offset<Lines>(k4, first) + k * Lines;
      const float* far = Lanes == 4 ? tile + along_lines_offset<Lines>(k4, first + 16) + k * Lines : near + 32;
#pragma unroll
      for (int s = 0; s < Step; ++s)
#pragma unroll
        for (int i = 0; i < Count; i += 4) {
          const float4 v = *reinterpret_cast<const float4*>((i == 0 ? near : far) + s * Lines);
          out[i][s] = v.x;
          out[i + 1][s] = v.y;
          out[i + 2][s] = v.z;
          out[i + 3][s] = v.w;
        }
    }
  }

  int row0_, column0_;
  float sum_[kRows][kColumns];
};

}  // namespace aludel::cuda
