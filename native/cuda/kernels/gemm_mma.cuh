// Products on the tensor cores: operands rounded to TF32 or bfloat16 as they leave shared memory, sums in float32.
//
// Thread 4 g + t of a warp holds, of a tile's sixteen k's, 4t .. 4t + 3: a permutation of the order in which mma counts k that is the same
// for A and B, so that tiles along k are read 16 bytes at a time.
#pragma once
#include "native/cuda/kernels/gemm_tile.cuh"

namespace aludel::cuda {

// TF32: two mma of eight k's. What a thread holds of one line: k's 4t, 4t + 1 for the first, 4t + 2, 4t + 3 for the second.
struct Tf32Products {
  static constexpr int line_words = 4;
  struct Line {
    uint32_t k[4];
  };
  __device__ __forceinline__ static Line line(const float4& v) { return {{to_tf32(v.x), to_tf32(v.y), to_tf32(v.z), to_tf32(v.w)}}; }
  __device__ __forceinline__ static void multiply(float (&sum)[4], const Line& low, const Line& high, const Line& column) {
#pragma unroll
    for (int half = 0; half < 4; half += 2) {
      const uint32_t a[4] = {low.k[half], high.k[half], low.k[half + 1], high.k[half + 1]};
      const uint32_t b[2] = {column.k[half], column.k[half + 1]};
      mma_m16n8k8_tf32(sum, a, b);
    }
  }
};

// bfloat16: one mma of sixteen k's.
struct Bf16Products {
  static constexpr int line_words = 2;
  struct Line {
    uint32_t k[2];
  };
  __device__ __forceinline__ static Line line(const float4& v) { return {{to_bf16x2(v.x, v.y), to_bf16x2(v.z, v.w)}}; }
  __device__ __forceinline__ static void multiply(float (&sum)[4], const Line& low, const Line& high, const Line& column) {
    const uint32_t a[4] = {low.k[0], high.k[0], low.k[1], high.k[1]};
    const uint32_t b[2] = {column.k[0], column.k[1]};
    mma_m16n8k16_bf16(sum, a, b);
  }
};

// 3xTF32: each operand is the sum of two TF32 numbers, and of their four products the smallest, 2^-22 of the whole, is left out. What a
// tensor core does with the last bits of its sums is not specified, so it sums sixteen k's at a time from zero, and those short sums are
// added as float32 numbers are: the error is then no larger than that of multiply-adds one after the other.
struct Tf32x3Products {
  static constexpr int line_words = 8;
  struct Line {
    Tf32Products::Line high, low;
  };
  __device__ __forceinline__ static Line line(const float4& v) {
    Line x;
    x.high = Tf32Products::line(v);
    x.low = Tf32Products::line(make_float4(v.x - __uint_as_float(x.high.k[0]), v.y - __uint_as_float(x.high.k[1]),
                                           v.z - __uint_as_float(x.high.k[2]), v.w - __uint_as_float(x.high.k[3])));
    return x;
  }
  __device__ __forceinline__ static void multiply(float (&sum)[4], const Line& low, const Line& high, const Line& column) {
    float part[4] = {};
    Tf32Products::multiply(part, low.low, high.low, column.high);
    Tf32Products::multiply(part, low.high, high.high, column.low);
    Tf32Products::multiply(part, low.high, high.high, column.high);
#pragma unroll
    for (int u = 0; u < 4; ++u) sum[u] += part[u];
  }
};

// A warp makes 32 rows by warp_columns columns: two by warp_columns / 8 fragments of 16 x 8.
template <class Products, GemmTile Kind, bool a_along_k, bool b_along_k>
class MmaCore {
 public:
  using Shape = TileShape<Kind>;
  static constexpr int kRows = 4, kRun = 2, kRuns = Shape::warp_columns / 8;
  // Of a multiprocessor: half of them, where sums and operands do not fit 128 registers a thread.
  static constexpr int kThreads = Products::line_words * Shape::warp_columns > 128 ? 256 : 512;

  // Which rows and columns are this thread's. To be said before products and again before values are read: between, nothing is kept of it
  // but what the products need.
  __device__ __forceinline__ void locate(int thread) {
    const int warp = thread / 32;
    row0_ = warp % Shape::row_warps * Shape::warp_rows;
    column0_ = warp / Shape::row_warps * Shape::warp_columns;
    group_ = thread % 32 / 4;
    lane_ = thread % 4;
  }

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int j = 0; j < kRuns; ++j)
#pragma unroll
        for (int u = 0; u < 4; ++u) sum_[i][j][u] = 0;
  }

  __device__ __forceinline__ void multiply(const float* a, const float* b) {
    const int lane = opaque(lane_);  // or the permuted places of all lines would be kept in registers through the steps
    typename Products::Line rows[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) rows[i] = read<Shape::rows, a_along_k>(a, row0_, i, lane);
#pragma unroll
    for (int j = 0; j < kRuns; ++j) {
      const typename Products::Line column = read<Shape::columns, b_along_k>(b, column0_, j, lane);
#pragma unroll
      for (int i = 0; i < 2; ++i) Products::multiply(sum_[i][j], rows[2 * i], rows[2 * i + 1], column);
    }
  }

  __device__ __forceinline__ int row(int i) const { return row0_ + 8 * i + group_; }
  __device__ __forceinline__ int column(int run) const { return column0_ + 8 * run + 2 * lane_; }
  __device__ __forceinline__ float value(int i, int run, int u) const { return sum_[i / 2][run][i % 2 * 2 + u]; }
  __device__ __forceinline__ float& value(int i, int run, int u) { return sum_[i / 2][run][i % 2 * 2 + u]; }

 private:
  // k's 4t .. 4t + 3 of line first + 8 i + g. `first` is a multiple of 32, so that the permutation of the line is that of 8 i + g alone.
  template <int Lines, bool along_k>
  __device__ __forceinline__ typename Products::Line read(const float* tile, int first, int i, int lane) const {
    if constexpr (along_k) {
      return Products::line(load_shared(tile + (first + 8 * i) * kGemmDepth + along_k_offset(group_, 4 * lane)));
    } else {
      const float* at = tile + 4 * lane * Lines + first + 8 * (i & ~3) + ((i % 4 ^ lane) << 3) + group_;
      return Products::line(make_float4(at[0], at[Lines], at[2 * Lines], at[3 * Lines]));
    }
  }

  int row0_, column0_, group_, lane_;
  float sum_[2][kRuns][4];
};

}  // namespace aludel::cuda
