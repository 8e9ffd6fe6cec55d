// Register tiles of the convolutions: [rows x 2 vectors] accumulators. inner_products reduces along the rows' memory (forward, input
// gradient, Winograd), outer_products reduces across pixels or tiles (weight gradients). Accumulation is float32.
#pragma once
#include "native/cpu/kernels/conv_geometry.h"

namespace aludel::cpu::ALUDEL_ISA {

constexpr int kVectors = 2;
constexpr int kBlock = kVectors * VW;  // produced channels of one tile; divides kPreparedMultiple
// 16 vector registers: 12 accumulators, 2 weights, 1 broadcast. 32 registers (AVX-512): 24 accumulators, and 12 row pointers still fit
// the general registers.
constexpr int kRows = VW == 16 ? 12 : 6;
constexpr int kHalfRows = kRows / 2;

static_assert(kPreparedMultiple % kBlock == 0, "prepared weights hold whole blocks");

// For functions around a register tile: its row pointers need the general registers of a whole function. Static, so never a weak symbol.
#define ALUDEL_TILE [[maybe_unused]] static __attribute__((noinline))

// Hands out aligned pieces of a worker's scratch. With a null base it only counts.
struct ScratchCursor {
  uintptr_t base;
  int64_t bytes = 0;

  template <typename T>
  ALUDEL_INLINE T* take(int64_t count) {
    T* piece = reinterpret_cast<T*>(base + static_cast<uintptr_t>(bytes));
    bytes += round_up(count * int64_t(sizeof(T)), 64);
    return piece;
  }
};

// sum[p][v] += rows[p][i] * panel[i][v] for i < count.
template <int P>
ALUDEL_INLINE void inner_products(vf (&sum)[P][kVectors], const float* const* rows, const float* panel, int64_t count) {
  const float* row[P];
#pragma GCC unroll 16
  for (int p = 0; p < P; ++p) row[p] = rows[p];
  for (int64_t i = 0; i < count; ++i) {
    vf w[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) w[v] = load(panel + v * VW);
    panel += kBlock;
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) {
      const vf a = splat(row[p][i]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[p][v] += a * w[v];
    }
  }
}

// out[p] = panel-weighted sums of rows p < P, rows and results a fixed stride apart; whole blocks are stored.
template <int P>
ALUDEL_TILE void inner_tile(const float* a, int64_t a_row, const float* panel, int64_t count, float* out, int64_t out_row) {
  const float* rows[P];
#pragma GCC unroll 16
  for (int p = 0; p < P; ++p) rows[p] = a + p * a_row;
  vf sum[P][kVectors] = {};
  inner_products<P>(sum, rows, panel, count);
#pragma GCC unroll 16
  for (int p = 0; p < P; ++p) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) store(out + p * out_row + v * VW, sum[p][v]);
  }
}

// The reduction of outer_products: `images` x `rows` x `columns` points, each with its own strides in a and b (in floats).
struct ReductionWalk {
  int64_t images, rows, columns;
  int64_t a_image, a_row, a_column;
  int64_t b_image, b_row, b_column;
};

// sum[p][v] += a[point][p] * b[point][v] over all points of the walk.
template <int P>
ALUDEL_INLINE void outer_products(vf (&sum)[P][kVectors], const float* a, const float* b, const ReductionWalk& walk) {
  const int64_t a_step = walk.a_column, b_step = walk.b_column;
  for (int64_t n = 0; n < walk.images; ++n) {
    for (int64_t i = 0; i < walk.rows; ++i) {
      const float* pa = a + n * walk.a_image + i * walk.a_row;
      const float* pb = b + n * walk.b_image + i * walk.b_row;
      for (int64_t j = 0; j < walk.columns; ++j, pa += a_step, pb += b_step) {
        vf w[kVectors];
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) w[v] = load(pb + v * VW);
#pragma GCC unroll 16
        for (int p = 0; p < P; ++p) {
          const vf x = splat(pa[p]);
#pragma GCC unroll 2
          for (int v = 0; v < kVectors; ++v) sum[p][v] += x * w[v];
        }
      }
    }
  }
}

// Writes the first `count` floats of a vector pair; the tensor behind may end right there.
ALUDEL_INLINE void store_part(float* out, const vf (&block)[kVectors], int64_t count) {
  float lanes[kBlock];
  for (int v = 0; v < kVectors; ++v) store(lanes + v * VW, block[v]);
  for (int64_t i = 0; i < count; ++i) out[i] = lanes[i];
}

ALUDEL_INLINE void copy_floats(const float* from, float* to, int64_t count) {
  int64_t i = 0;
  for (; i + VW <= count; i += VW) store(to + i, load(from + i));
  for (; i < count; ++i) to[i] = from[i];
}

ALUDEL_INLINE vf load_part(const float* p, int64_t count) {
  float lanes[VW] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = p[i];
  return load(lanes);
}

}  // namespace aludel::cpu::ALUDEL_ISA
