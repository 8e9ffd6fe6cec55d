// Register tiles of the matrix product, 6 x 2 vectors of C from packed panels or operands in place, and 6 x 4 dot products.
#pragma once
#include "native/cpu/kernels/checks.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kMr = 6;
constexpr int64_t kDotRows = VW == 16 ? 6 : 3;  // with the columns as many sums as registers hold; kMr is a multiple
constexpr int64_t kDotColumns = 4;

template <typename T>
struct Tile;
template <>
struct Tile<float> {
  typedef vf V;
  typedef float Unaligned __attribute__((vector_size(ALUDEL_VW * 4), aligned(4), may_alias));
  static constexpr int64_t width = VW;
};
template <>
struct Tile<double> {
  typedef vd V;
  typedef double Unaligned __attribute__((vector_size(ALUDEL_VW * 4), aligned(8), may_alias));
  static constexpr int64_t width = VD;
};
template <typename T>
constexpr int64_t kNr = 2 * Tile<T>::width;

// ---- packing --------------------------------------------------------------------------------------------------------------------

// Panels of `width` lines (rows of a, columns of b), k-major, short panels filled with zeros.
template <typename T, int64_t width>
void pack(const T* x, int64_t line, int64_t step, int64_t lines, int64_t k, T* out) {
  for (int64_t first = 0; first < lines; first += width, out += width * k) {
    int64_t n = min_of(width, lines - first);
    const T* from = x + first * line;
    if (line == 1 && n == width) {
      for (int64_t i = 0; i < k; ++i) memcpy(out + i * width, from + i * step, width * sizeof(T));
      continue;
    }
    if (n < width) memset(out, 0, static_cast<size_t>(width * k) * sizeof(T));
    int64_t i = 0;
    for (; i + 8 <= k; i += 8)  // eight steps of a line at a time: whole cache lines in, short strides out
      for (int64_t l = 0; l < n; ++l)
        for (int64_t j = 0; j < 8; ++j) out[(i + j) * width + l] = from[l * line + (i + j) * step];
    for (; i < k; ++i)
      for (int64_t l = 0; l < n; ++l) out[i * width + l] = from[l * line + i * step];
  }
}

// ---- the register tile ------------------------------------------------------------------------------------------------------------

// acc[i][0..1] = sum over k of a[i, k] b[k, :]. Rows past the edge repeat the last one (a is read in place) or are zeros (packed).
template <typename T, bool packed_a>
ALUDEL_INLINE void multiply_tile(const T* a, int64_t a_row, int64_t a_column, int64_t rows, const T* b, int64_t b_row, int64_t k, T* out) {
  typedef typename Tile<T>::V V;
  typedef typename Tile<T>::Unaligned U;
  constexpr int64_t W = Tile<T>::width;
  V acc[kMr][2] = {};
  const T* row[kMr];
  for (int64_t i = 0; i < kMr; ++i) row[i] = a + (i < rows ? i : rows - 1) * a_row;
  for (int64_t p = 0; p < k; ++p) {
    V b0 = *reinterpret_cast<const U*>(b), b1 = *reinterpret_cast<const U*>(b + W);
    b += b_row;
#pragma GCC unroll 6
    for (int64_t i = 0; i < kMr; ++i) {
      V x = (packed_a ? a[p * kMr + i] : row[i][p * a_column]) - V{};
      acc[i][0] += x * b0;
      acc[i][1] += x * b1;
    }
  }
#pragma GCC unroll 6
  for (int64_t i = 0; i < kMr; ++i) {
    *reinterpret_cast<V*>(out + i * 2 * W) = acc[i][0];
    *reinterpret_cast<V*>(out + i * 2 * W + W) = acc[i][1];
  }
}

template <typename T>
void store_tile(const T* tile, T* c, int64_t c_row, int64_t c_column, int64_t rows, int64_t columns, bool add) {
  constexpr int64_t N = kNr<T>;
  if (c_column == 1 && columns == N) {
    for (int64_t i = 0; i < rows; ++i) {
      T* to = c + i * c_row;
      for (int64_t j = 0; j < N; ++j) to[j] = add ? to[j] + tile[i * N + j] : tile[i * N + j];
    }
    return;
  }
  for (int64_t j = 0; j < columns; ++j)
    for (int64_t i = 0; i < rows; ++i) {
      T* to = c + i * c_row + j * c_column;
      *to = add ? *to + tile[i * N + j] : tile[i * N + j];
    }
}

// ---- dot products -----------------------------------------------------------------------------------------------------------------

// Halves are added until one lane is left. x: 64-byte aligned, overwritten.
template <typename T, int64_t lanes>
ALUDEL_INLINE T sum_of_lanes(T* x) {
  if constexpr (lanes == 2) {
    return x[0] + x[1];
  } else {
    typedef T Half __attribute__((vector_size(lanes / 2 * sizeof(T)), may_alias));
    *reinterpret_cast<Half*>(x) += *reinterpret_cast<const Half*>(x + lanes / 2);
    return sum_of_lanes<T, lanes / 2>(x);
  }
}

// out[i][j] = sum over k of a[i, k] b[j, k], both contiguous along K: lane l sums every W-th term from l on, the lanes are added, then
// what no vector holds. Rows and columns past the edge repeat the last one.
template <typename T>
ALUDEL_INLINE void multiply_dots(const T* a, int64_t a_row, int64_t rows, const T* b, int64_t b_row, int64_t columns, int64_t k, T* out) {
  typedef typename Tile<T>::V V;
  typedef typename Tile<T>::Unaligned U;
  constexpr int64_t W = Tile<T>::width;
  for (int64_t first = 0; first < rows; first += kDotRows, out += kDotRows * kNr<T>) {
    V acc[kDotRows][kDotColumns] = {};
    const T *row[kDotRows], *column[kDotColumns];
    for (int64_t i = 0; i < kDotRows; ++i) row[i] = a + min_of(first + i, rows - 1) * a_row;
    for (int64_t j = 0; j < kDotColumns; ++j) column[j] = b + min_of(j, columns - 1) * b_row;
    int64_t p = 0;
    for (; p + W <= k; p += W) {
      V y[kDotColumns];
#pragma GCC unroll 4
      for (int64_t j = 0; j < kDotColumns; ++j) y[j] = *reinterpret_cast<const U*>(column[j] + p);
#pragma GCC unroll 6
      for (int64_t i = 0; i < kDotRows; ++i) {
        V x = *reinterpret_cast<const U*>(row[i] + p);
#pragma GCC unroll 4
        for (int64_t j = 0; j < kDotColumns; ++j) acc[i][j] += x * y[j];
      }
    }
#pragma GCC unroll 6
    for (int64_t i = 0; i < kDotRows; ++i)
#pragma GCC unroll 4
      for (int64_t j = 0; j < kDotColumns; ++j) {
        alignas(64) T lanes[W];
        *reinterpret_cast<V*>(lanes) = acc[i][j];
        T total = sum_of_lanes<T, W>(lanes);
        for (int64_t q = p; q < k; ++q) total += row[i][q] * column[j][q];
        out[i * kNr<T> + j] = total;
      }
  }
}

}  // namespace
}  // namespace aludel::cpu::ALUDEL_ISA
