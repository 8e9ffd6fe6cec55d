// Products of double panels for linear algebra: a panel is kPanel lines side by side, step by step along K. Both operands of a product can
// have this one form, as a few lines are kRows neighbours of a panel; a triangle is cut into tiles of kRows lines.
#pragma once
#include "native/cpu/kernels/checks.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kRows = VW == 16 ? 8 : VW == 8 ? 4 : 3;  // with the vectors of a panel as many sums as registers hold
constexpr int64_t kPanel = 3 * VD;                         // a multiple of kRows
constexpr int64_t kBlock = 96;                             // lines of a block: a multiple of both
static_assert(kPanel % kRows == 0 && kBlock % kPanel == 0);

typedef double vdu __attribute__((vector_size(ALUDEL_VW * 4), aligned(8), may_alias));
ALUDEL_INLINE vd load(const double* p) { return *reinterpret_cast<const vdu*>(p); }
ALUDEL_INLINE void store(double* p, vd v) { *reinterpret_cast<vdu*>(p) = v; }
ALUDEL_INLINE vd splat(double x) { return x - vd{}; }

// kPanel lines of T, `line` elements apart, as a panel of doubles; lines from `lines` on are zeros.
template <typename T>
void pack_panel(const T* x, int64_t line, int64_t lines, int64_t depth, double* out) {
  if (lines < kPanel) memset(out, 0, static_cast<size_t>(kPanel * depth) * sizeof(double));
  int64_t p = 0;
  for (; p + 8 <= depth; p += 8)  // eight steps of a line at a time: whole cache lines in, short strides out
    for (int64_t l = 0; l < lines; ++l)
      for (int64_t q = 0; q < 8; ++q) out[(p + q) * kPanel + l] = static_cast<double>(x[l * line + p + q]);
  for (; p < depth; ++p)
    for (int64_t l = 0; l < lines; ++l) out[p * kPanel + l] = static_cast<double>(x[l * line + p]);
}

struct Sums {
  vd v[kRows][3];
};

// sum over `depth` steps of a[.] b[.]^T: kRows lines, `a_step` apart from step to step, against a panel whose steps are `b_step` apart.
ALUDEL_INLINE void multiply(const double* a, int64_t a_step, const double* b, int64_t b_step, int64_t depth, Sums* sums) {
  vd acc[kRows][3] = {};
  for (int64_t p = 0; p < depth; ++p, a += a_step, b += b_step) {
    const vd b0 = load(b), b1 = load(b + VD), b2 = load(b + 2 * VD);
#pragma GCC unroll 8
    for (int64_t i = 0; i < kRows; ++i) {
      const vd x = splat(a[i]);
      acc[i][0] += x * b0;
      acc[i][1] += x * b1;
      acc[i][2] += x * b2;
    }
  }
#pragma GCC unroll 8
  for (int64_t i = 0; i < kRows; ++i)
#pragma GCC unroll 3
    for (int64_t j = 0; j < 3; ++j) sums->v[i][j] = acc[i][j];
}

// ---- triangles ------------------------------------------------------------------------------------------------------------------

// Tiles of kRows lines of a lower triangle of `lines` lines, one behind the other: the steps in front of the diagonal, then the square on
// it, with the reciprocals of the diagonal.
ALUDEL_INLINE int64_t triangle_tile_at(int64_t tile) { return kRows * kRows * (tile * (tile + 1) / 2); }
ALUDEL_INLINE int64_t triangle_doubles(int64_t lines) { return triangle_tile_at(ceil_div(lines, kRows)); }

// `depth` steps of kRows lines at x: element (l, p) at x[l line + p step]; lines from `lines` on are zeros.
[[maybe_unused]] void pack_tile(const double* x, int64_t line, int64_t step, int64_t lines, int64_t depth, double* out) {
  for (int64_t p = 0; p < depth; ++p)
    for (int64_t l = 0; l < kRows; ++l) out[p * kRows + l] = l < lines ? x[l * line + p * step] : 0;
}

// Tile `tile` of the triangle whose element (0, 0) is at x.
[[maybe_unused]] void pack_triangle_tile(const double* x, int64_t line, int64_t step, int64_t tile, int64_t lines, double* out) {
  const int64_t first = tile * kRows, rows = min_of(kRows, lines - first);
  pack_tile(x + first * line, line, step, rows, first, out);
  double* square = out + first * kRows;
  for (int64_t p = 0; p < kRows; ++p)
    for (int64_t l = 0; l < kRows; ++l) {
      const double value = l < rows && p <= l ? x[(first + l) * line + (first + p) * step] : 0;
      square[p * kRows + l] = p == l ? (l < rows ? 1 / value : 1) : value;
    }
}

// L X = B in place for a panel of right-hand sides, rows `step` apart; behind the last of them there is room up to a whole tile.
[[maybe_unused]] void solve_triangle(const double* triangle, int64_t lines, double* x, int64_t step) {
  for (int64_t first = 0; first < lines; first += kRows) {
    Sums sums;
    multiply(triangle, kRows, x, step, first, &sums);
    triangle += first * kRows;
    double* own = x + first * step;
#pragma GCC unroll 8
    for (int64_t i = 0; i < kRows; ++i)
#pragma GCC unroll 3
      for (int64_t j = 0; j < 3; ++j) sums.v[i][j] = load(own + i * step + j * VD) - sums.v[i][j];
#pragma GCC unroll 8
    for (int64_t i = 0; i < kRows; ++i) {
      const vd scale = splat(triangle[i * kRows + i]);
#pragma GCC unroll 3
      for (int64_t j = 0; j < 3; ++j) {
        sums.v[i][j] *= scale;
        store(own + i * step + j * VD, sums.v[i][j]);
      }
#pragma GCC unroll 8
      for (int64_t l = i + 1; l < kRows; ++l) {
        const vd factor = splat(triangle[i * kRows + l]);
#pragma GCC unroll 3
        for (int64_t j = 0; j < 3; ++j) sums.v[l][j] -= factor * sums.v[i][j];
      }
    }
    triangle += kRows * kRows;
  }
}

}  // namespace
}  // namespace aludel::cpu::ALUDEL_ISA
