// A matrix in memory as an operand of a product.
#pragma once
#include "native/cuda/kernels/gemm_tile.cuh"

namespace aludel::cuda {

// Element (line, k) at line * line_stride + k * k_stride. With Vector 4 the contiguous axis is stepped through in fours and its stride is
// not looked at; its length and the other stride are multiples of four.
template <bool AlongK, int Vector>
struct MatrixSource {
  static constexpr bool along_k = AlongK;
  static constexpr int vector = Vector;

  const float* data;
  int lines, depth;
  uint32_t line_stride, k_stride;  // in floats

  using Line = uint32_t;
  using Inner = uint32_t;
  __device__ __forceinline__ Line line(int i) const {
    const uint32_t at = static_cast<uint32_t>(i);
    return i >= lines ? kNoElement : Vector == 1 || AlongK ? at * (line_stride / Vector) : at / Vector;
  }
  __device__ __forceinline__ Inner inner(int k) const {
    const uint32_t at = static_cast<uint32_t>(k);
    return k >= depth ? kNoElement : Vector == 1 || !AlongK ? at * (k_stride / Vector) : at / Vector;
  }
  __device__ __forceinline__ uint32_t place(Line line, Inner inner) const {
    return line == kNoElement || inner == kNoElement ? kNoElement : line + inner;
  }
};

}  // namespace aludel::cuda
