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
};

constexpr int kNowhere = -(1 << 30);  // a row that no map holds, whatever a tap adds to it

// Position (n, i, j) meets tap (r, s) at row row0 + i * row_step + r * row_tap of image n, and so for columns.
struct PatchParams {
  GatheredMap map;
  int row0, row_step, row_tap, column0, column_step, column_tap;
  FastDivision channels;

  // Half of a place in the map, of the position or of the tap and channel. Halves may lie outside, their places are then numbers that wrap
  // around; the whole is taken only where it lies inside.
  struct Half {
    uint32_t place;  // in units of the source's vector
    int row, column;
  };
  template <int Vector>
  __device__ __forceinline__ Half half(int image, int row, int column, int channel) const {
    const uint32_t line = static_cast<uint32_t>(image) * static_cast<uint32_t>(map.height) + static_cast<uint32_t>(row);
    const uint32_t pixel = line * static_cast<uint32_t>(map.width) + static_cast<uint32_t>(column);
    return {pixel * static_cast<uint32_t>(map.channels / Vector) + static_cast<uint32_t>(channel) / Vector, row, column};
  }
  __device__ __forceinline__ static Half nowhere() { return {0, kNowhere, 0}; }
  __device__ __forceinline__ uint32_t whole(const Half& position, const Half& tap) const {
    const unsigned row = static_cast<unsigned>(position.row + tap.row), column = static_cast<unsigned>(position.column + tap.column);
    return row < static_cast<unsigned>(map.height) && column < static_cast<unsigned>(map.width) ? position.place + tap.place : kNoElement;
  }
};

// Positions and (tap, channel)s of a product.
template <int Vector>
struct Patches {
  const PatchParams& p;
  const PixelOrder& order;          // of the positions
  const FastDivision& taps_across;  // the kernel's width
  int positions, depth;             // how many there are of either
  int row0, column0;                // p's, or those of a phase

  __device__ __forceinline__ PatchParams::Half position(int i) const {
    if (i >= positions) return PatchParams::nowhere();
    int image, row, column;
    order.split(i, &image, &row, &column);
    return p.half<Vector>(image, row0 + row * p.row_step, column0 + column * p.column_step, 0);
  }
  __device__ __forceinline__ PatchParams::Half tap(int i) const {
    if (i >= depth) return PatchParams::nowhere();
    const int tap = static_cast<int>(p.channels.quotient(static_cast<uint32_t>(i)));
    const int r = static_cast<int>(taps_across.quotient(static_cast<uint32_t>(tap)));
    const int s = tap - r * static_cast<int>(taps_across.divisor());
    return p.half<Vector>(0, r * p.row_tap, s * p.column_tap, i - tap * p.map.channels);
  }
};

// Lines are positions, k is (tap, channel).
template <int Vector>
struct PatchSource {
  static constexpr bool along_k = Vector == 4;  // single channels are few: then neighbouring positions are nearer
  static constexpr int vector = Vector;

  const float* data;
  Patches<Vector> patches;

  using Line = PatchParams::Half;
  using Inner = PatchParams::Half;
  __device__ __forceinline__ Line line(int i) const { return patches.position(i); }
  __device__ __forceinline__ Inner inner(int k) const { return patches.tap(k); }
  __device__ __forceinline__ uint32_t place(const Line& line, const Inner& inner) const { return patches.p.whole(line, inner); }
};

// The other way about, for weight gradients: lines are (tap, channel), k is the position.
template <int Vector>
struct TurnedPatchSource {
  static constexpr bool along_k = false;
  static constexpr int vector = Vector;

  const float* data;
  Patches<Vector> patches;

  using Line = PatchParams::Half;
  using Inner = PatchParams::Half;
  __device__ __forceinline__ Line line(int i) const { return patches.tap(i); }
  __device__ __forceinline__ Inner inner(int k) const { return patches.position(k); }
  __device__ __forceinline__ uint32_t place(const Line& line, const Inner& inner) const { return patches.p.whole(inner, line); }
};

}  // namespace aludel::cuda
