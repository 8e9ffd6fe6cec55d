// Products of 64 x 64 tiles on the float64 tensor cores (which round as fused multiply-adds do): what the kernels of linear algebra are
// made of. A block of four warps holds a tile of sums in registers; operands stream through shared memory, the next stretch of k while one
// is multiplied, or lie there already. An element's sum runs over k in order.
#pragma once
#include "native/cuda/kernels/launching.h"
#include "native/cuda/ptx.cuh"

namespace aludel::cuda {

constexpr int kTile = 64;
constexpr int kTileThreads = 128;
constexpr int kTileDepth = 16;  // of k at once

// Both pitches keep the eight lines and four ks of a fragment in different banks and lines of memory 16-byte aligned.
constexpr int kDepthPitch = kTileDepth + 4;                   // a line's ks side by side
constexpr int kLinePitch = kTile + 4;                         // a k's lines side by side
constexpr int kStage = kTile * kDepthPitch;                   // elements of an operand's stage, either way
constexpr int kResident = kTile * kLinePitch;                 // and of a tile that stays
constexpr size_t kStreamBytes = 2 * kStage * sizeof(double);  // two stages

// This thread's 32 of the tile's sums: two rows of warps, two columns, each 4 x 4 fragments.
struct TileSum {
  double v[4][4][2] = {};

  // f(row, column, value) for all of them.
  template <typename F>
  __device__ __forceinline__ void each(const F& f) {
    const int thread = static_cast<int>(threadIdx.x), warp = thread / 32;
    const int row = warp / 2 * 32 + thread % 32 / 4, column = warp % 2 * 32 + thread % 4 * 2;
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j)
#pragma unroll
        for (int u = 0; u < 2; ++u) f(row + 8 * i, column + 8 * j + u, v[i][j][u]);
  }
};

enum class Along { depth, lines };  // what lies side by side in memory

// An operand in global memory: `lines` of at most kTile lines count, `depth` of ks; all others are zeros. pitch: elements from one line to
// the next, or from one k to the next.
template <typename T, Along along>
struct Stream {
  const T* data;
  int64_t pitch;
  int lines, depth;
  bool wide;  // copies of 16 bytes are aligned and do not straddle the end
  T* stages;  // shared, kStreamBytes

  static constexpr int kWide = 16 / sizeof(T);

  __device__ __forceinline__ void copy(int step) const {
    if (wide)
      copy_pieces<kWide>(step);
    else
      copy_pieces<1>(step);
  }
  __device__ __forceinline__ double value(int step, int line, int k) const {
    const T* stage = stages + step % 2 * kStage;
    return static_cast<double>(along == Along::depth ? stage[line * kDepthPitch + k] : stage[k * kLinePitch + line]);
  }

 private:
  template <int kPiece>
  __device__ __forceinline__ void copy_pieces(int step) const {
    constexpr int kAcross = (along == Along::depth ? kTileDepth : kTile) / kPiece, kRows = kTileThreads / kAcross;
    constexpr int kPitch = along == Along::depth ? kDepthPitch : kLinePitch, kCopies = kTile * kTileDepth / kPiece / kTileThreads;
    const int thread = static_cast<int>(threadIdx.x), outer = thread / kAcross, inner = thread % kAcross * kPiece;
    const int line = along == Along::depth ? outer : inner, k = step * kTileDepth + (along == Along::depth ? inner : outer);
    const T* from = data + (along == Along::depth ? line * pitch + k : k * pitch + line);
    T* to = stages + step % 2 * kStage + outer * kPitch + inner;
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      const bool valid = along == Along::depth ? line + i * kRows < lines && k < depth : line < lines && k + i * kRows < depth;
      cp_async<kPiece* static_cast<int>(sizeof(T))>(to + i * kRows * kPitch, valid ? from : data, valid);
      from += kRows * pitch;
    }
  }
};

// Whether copies of 16 bytes fit: `inner` elements side by side, `pitch` to the next.
template <typename T>
__host__ __device__ __forceinline__ bool is_wide(const T* data, int64_t pitch, int64_t inner) {
  constexpr int64_t kPiece = 16 / sizeof(T);
  return reinterpret_cast<uintptr_t>(data) % 16 == 0 && pitch % kPiece == 0 && inner % kPiece == 0;
}

// A tile that is in shared memory already, element (line, k) where the strides say.
struct Resident {
  const double* data;
  int line_stride, k_stride;

  __device__ __forceinline__ void copy(int) const {}
  __device__ __forceinline__ double value(int step, int line, int k) const {
    return data[line * line_stride + (step * kTileDepth + k) * k_stride];
  }
};

// sum +- a b^T over k below `depth`. All threads of the block, which has done with the stages and put resident tiles in place before; when
// it returns, the block may overwrite both.
template <bool subtract, typename A, typename B>
__device__ __forceinline__ void add_product(TileSum& sum, const A& a, const B& b, int depth) {
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, group = thread % 32 / 4, lane = thread % 4;
  const int row = warp / 2 * 32 + group, column = warp % 2 * 32 + group;
  const int steps = (depth + kTileDepth - 1) / kTileDepth;
  a.copy(0);
  b.copy(0);
  cp_async_commit();
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    cp_async_wait<0>();
    __syncthreads();  // this step's stretch is there for all, and all are done with the other stage
    if (step + 1 < steps) {
      a.copy(step + 1);
      b.copy(step + 1);
    }
    cp_async_commit();
#pragma unroll
    for (int k = 0; k < kTileDepth; k += 4) {
      double fa[4], fb[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        fa[i] = subtract ? -a.value(step, row + 8 * i, k + lane) : a.value(step, row + 8 * i, k + lane);
        fb[i] = b.value(step, column + 8 * i, k + lane);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) mma_m8n8k4_f64(sum.v[i][j], fa[i], fb[j]);
    }
  }
  __syncthreads();
}

// Makes the sums a resident tile: element (row, column) at row * kLinePitch + column.
__device__ __forceinline__ void keep(TileSum& sum, double* tile) {
  sum.each([&](int row, int column, double value) { tile[row * kLinePitch + column] = value; });
  __syncthreads();
}

}  // namespace aludel::cuda
