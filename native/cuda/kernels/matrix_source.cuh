// A matrix in memory as an operand of a product.
#pragma once
#include "native/cuda/kernels/gemm_tile.cuh"

namespace aludel::cuda {

// Element (line, k) at line * line_stride + k * k_stride. With Vector 4 the stride of the contiguous axis is 1, and its length and the
// other stride are multiples of four.
template <bool AlongK, int Vector>
struct MatrixSource {
  static constexpr bool along_k = AlongK;
  static constexpr int vector = Vector;

  const float* data;
  int lines, depth;
  int64_t line_stride, k_stride;

  struct Line {
    const float* at;
    bool valid;
  };
  struct Inner {
    int64_t offset;
    bool valid;
  };
  __device__ __forceinline__ Line line(int i) const {
    const bool valid = i < lines;
    return {data + (valid ? (Vector == 4 && !AlongK ? i : i * line_stride) : 0), valid};
  }
  __device__ __forceinline__ Inner inner(int k) const {
    const bool valid = k < depth;
    return {valid ? (Vector == 4 && AlongK ? k : k * k_stride) : 0, valid};
  }
  __device__ __forceinline__ const float* address(const Line& line, const Inner& inner, bool* valid) const {
    *valid = line.valid && inner.valid;
    return line.at + inner.offset;
  }
};

}  // namespace aludel::cuda
