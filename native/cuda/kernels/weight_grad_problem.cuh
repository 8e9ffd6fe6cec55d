// The weight gradient as one product per group: (tap, channel) by positions times positions by filters.
#pragma once
#include "native/cuda/kernels/conv_source.cuh"
#include "native/cuda/kernels/conv_weight_grad.h"
#include "native/cuda/kernels/gemm.cuh"
#include "native/cuda/kernels/matrix_source.cuh"

namespace aludel::cuda {

template <int x_vector, int dy_vector>
struct WeightGradProblem {
  using A = TurnedPatchSource<x_vector>;
  using B = MatrixSource<false, dy_vector>;
  static constexpr bool column_sums = true, squares = false;  // the sums of dy's columns are db
  static constexpr GemmTiles tiles = {x_vector == 4, false, dy_vector == 4};

  int m, n, k;
  PatchParams patches;
  PixelOrder order;
  FastDivision taps_across;
  const float *x, *dy;
  int64_t x_stride, dy_stride;
  float* out;
  int64_t split_stride;
  float* db;
  int64_t db_split_stride;

  struct Part {
    int m, n, k;
    const WeightGradProblem& problem;
    int64_t batch;

    __device__ __forceinline__ A a() const {
      const PatchParams& p = problem.patches;
      return {problem.x + batch * problem.x_stride, {p, problem.order, problem.taps_across, k, m, p.row0, p.column0}};
    }
    __device__ __forceinline__ B b() const { return {problem.dy + batch * problem.dy_stride, n, k, 1, static_cast<uint32_t>(n)}; }
    __device__ __forceinline__ int64_t row(int i) const { return (batch * m + i) * n; }
  };
  __device__ __forceinline__ Part part(int64_t batch) const { return {m, n, k, *this, batch}; }
  __device__ __forceinline__ const float* bias(int64_t) const { return nullptr; }
  __device__ __forceinline__ float* sums(int64_t batch, int split) const { return db + split * db_split_stride + batch * n; }
};

// Of all groups. With few channels x is gathered element by element; where the filters do not fill vectors either, only the exact core is
// there.
inline GemmPlan weight_grad_plan(const ConvShape& s, bool may_split) {
  const bool wide_x = s.channels % 4 == 0, wide_dy = s.filters % 4 == 0;
  return gemm_plan({s.groups, s.taps() * s.channels, s.filters, s.positions()}, {wide_x && wide_dy, false, wide_dy}, may_split);
}

template <int x_vector, int dy_vector>
WeightGradProblem<x_vector, dy_vector> weight_grad_problem(const ConvShape& s, const WeightGrad& p) {
  return {
      int(s.taps() * s.channels),
      s.filters,
      int(s.positions()),
      {{s.height, s.width, s.channels},
       -s.pad_height,
       s.stride_height,
       1,
       -s.pad_width,
       s.stride_width,
       1,
       FastDivision(uint32_t(s.channels))},
      {FastDivision(uint32_t(s.out_height)), FastDivision(uint32_t(s.out_width))},
      FastDivision(uint32_t(s.kernel_width)),
      p.x,
      p.dy,
      s.x_stride(),
      s.y_stride(),
      p.dw,
      s.groups * s.weights(),
      p.db,
      s.groups * s.filters,
  };
}

}  // namespace aludel::cuda
