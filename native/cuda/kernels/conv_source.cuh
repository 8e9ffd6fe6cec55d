// Feature maps as operands of a product: the patches under the taps of a kernel are gathered on the way to shared memory.
#pragma once
#include "native/cuda/kernels/fast_division.cuh"
#include "native/cuda/kernels/gemm_tile.cuh"

namespace aludel::cuda {

// How the pixels that make the lines of a product lie: index = (image * rows + row) * columns + column.
struct PixelOrder {
  FastDivision rows, columns;

  __device__ __forceinline__ void split(int index, int* image, int* row, int* column) const {
    const uint32_t lines = columns.quotient(static_cast<uint32_t>(index));
    *column = index - static_cast<int>(lines * columns.divisor());
    *image = static_cast<int>(rows.quotient(lines));
    *row = static_cast<int>(lines - static_cast<uint32_t>(*image) * rows.divisor());
  }
};

// The map that is gathered from: [images, height, width, channels] of one group.
struct GatheredMap {
  int height, width, channels;
  int64_t image_stride;

  __device__ __forceinline__ bool holds(int row, int column) const {
    return static_cast<unsigned>(row) < static_cast<unsigned>(height) && static_cast<unsigned>(column) < static_cast<unsigned>(width);
  }
};

constexpr int kNowhere = -(1 << 30);  // a row that no map holds, whatever a tap adds to it

// Lines are positions, k is (tap, channel): line (n, i, j) meets tap (r, s) at the pixel (row0 + i * row_step + r * row_tap, ..) of image
// n.
struct PatchParams {
  GatheredMap map;
  int row0, row_step, row_tap, column0, column_step, column_tap;
  FastDivision channels;
};

template <int Vector>
struct PatchSource {
  static constexpr bool along_k = Vector == 4;  // single channels are few: then neighbouring positions are nearer
  static constexpr int vector = Vector;

  const float* data;
  int lines, depth;
  const PatchParams& p;
  const PixelOrder& order;
  const FastDivision& taps_across;
  int row0, column0;  // p's, or those of a phase

  struct Line {
    const float* image;
    int row, column;
  };
  struct Inner {
    int row, column, channel;
  };
  __device__ __forceinline__ Line line(int i) const {
    if (i >= lines) return {data, kNowhere, 0};
    int n, row, column;
    order.split(i, &n, &row, &column);
    return {data + n * p.map.image_stride, row0 + row * p.row_step, column0 + column * p.column_step};
  }
  __device__ __forceinline__ Inner inner(int k) const {
    if (k >= depth) return {kNowhere, 0, 0};
    const int tap = static_cast<int>(p.channels.quotient(static_cast<uint32_t>(k)));
    const int r = static_cast<int>(taps_across.quotient(static_cast<uint32_t>(tap)));
    const int s = tap - r * static_cast<int>(taps_across.divisor());
    return {r * p.row_tap, s * p.column_tap, k - tap * p.map.channels};
  }
  __device__ __forceinline__ const float* address(const Line& line, const Inner& inner, bool* valid) const {
    const int row = line.row + inner.row, column = line.column + inner.column;
    *valid = p.map.holds(row, column);
    return line.image + (*valid ? (row * p.map.width + column) * p.map.channels + inner.channel : 0);
  }
};

// The other way about, for weight gradients: lines are (tap, channel), k is the position.
template <int Vector>
struct TurnedPatchSource {
  static constexpr bool along_k = false;
  static constexpr int vector = Vector;

  const float* data;
  int lines, depth;
  const PatchParams& p;
  const PixelOrder& order;
  const FastDivision& taps_across;

  struct Line {
    int row, column, channel;
  };
  struct Inner {
    const float* image;
    int row, column;
  };
  __device__ __forceinline__ Line line(int i) const {
    if (i >= lines) return {kNowhere, 0, 0};
    const int tap = static_cast<int>(p.channels.quotient(static_cast<uint32_t>(i)));
    const int r = static_cast<int>(taps_across.quotient(static_cast<uint32_t>(tap)));
    const int s = tap - r * static_cast<int>(taps_across.divisor());
    return {p.row0 + r * p.row_tap, p.column0 + s * p.column_tap, i - tap * p.map.channels};
  }
  __device__ __forceinline__ Inner inner(int k) const {
    if (k >= depth) return {data, kNowhere, 0};
    int n, row, column;
    order.split(k, &n, &row, &column);
    return {data + n * p.map.image_stride, row * p.row_step, column * p.column_step};
  }
  __device__ __forceinline__ const float* address(const Line& line, const Inner& inner, bool* valid) const {
    const int row = line.row + inner.row, column = line.column + inner.column;
    *valid = p.map.holds(row, column);
    return inner.image + (*valid ? (row * p.map.width + column) * p.map.channels + line.channel : 0);
  }
};

}  // namespace aludel::cuda
