// Rows in panels [B, D, 32] f32: 32 rows side by side, feature by feature. A lane is a row, so that each row's sum is added feature by
// feature in float64, as plain loops add: the same bits at any vector width and on any backend.
#pragma once
#include <math.h>

#include "native/cpu/kernels/checks.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kPanelRows = 32;
constexpr int kPanelVectors = kPanelRows / VD;
constexpr int64_t kTaskNumbers = 1 << 16;

// x as it stands in a register, or in memory where a vector is wider than one: keeps the compiler from contracting a product and the sum
// behind it into one rounding. Flags of a file would do the same, but gyp has none.
ALUDEL_INLINE vd rounded(vd x) {
#if defined(__AVX512F__)
  asm("" : "+v"(x));
#elif (defined(__AVX__) && ALUDEL_VW <= 8) || (defined(__SSE2__) && ALUDEL_VW <= 4)
  asm("" : "+x"(x));
#elif defined(__aarch64__)
  asm("" : "+w"(x));
#else
  asm("" : "+m"(x));
#endif
  return x;
}

struct Panels {
  const float* data;
  int64_t count, width, rows;

  ALUDEL_INLINE const float* panel(int64_t p) const { return data + p * width * kPanelRows; }
  ALUDEL_INLINE const float* row(int64_t r) const { return panel(r / kPanelRows) + r % kPanelRows; }  // feature d is d * kPanelRows on
  ALUDEL_INLINE int64_t per_task() const { return max_of(1, kTaskNumbers / (width * kPanelRows)); }
  ALUDEL_INLINE int64_t tasks() const { return ceil_div(count, per_task()); }
};

// The row that leads a task, or -1.
struct Leader {
  double value;
  int64_t row;
};

[[maybe_unused]] Status check_panels(const char* op, const TensorRef& panels, int64_t rows) {
  const bool fits = panels.dtype == DType::f32 && panels.rank == 3 && panels.dims[0] >= ceil_div(rows, kPanelRows) && panels.dims[1] >= 1 &&
                    panels.dims[2] == kPanelRows && rows >= 1 && rows <= INT32_MAX;
  return fits ? Status{} : wrong(op, "f32 panels [B, D, 32] of as many rows or more");
}

ALUDEL_INLINE Panels panels_of(const TensorRef& panels, int64_t rows) {
  return {panels.as<const float>(), ceil_div(rows, kPanelRows), panels.dims[1], rows};
}

ALUDEL_INLINE vd as_doubles(const float* x) {
  typedef float vh __attribute__((vector_size(VD * 4), aligned(4), may_alias));
  return __builtin_convertvector(*reinterpret_cast<const vh*>(x), vd);
}

// sums[row] = sum over features d of term(point[d], row's feature), in order.
template <typename Term>
ALUDEL_INLINE void panel_sums(const float* panel, const double* point, int64_t width, double* sums, const Term& term) {
  vd sum[kPanelVectors] = {};
  for (int64_t d = 0; d < width; ++d, panel += kPanelRows) {
    const vd own = point[d] - vd{};
#pragma GCC unroll 16
    for (int v = 0; v < kPanelVectors; ++v) sum[v] += rounded(term(own, as_doubles(panel + v * VD)));
  }
  typedef double vdu __attribute__((vector_size(VW * 4), aligned(8), may_alias));
#pragma GCC unroll 16
  for (int v = 0; v < kPanelVectors; ++v) *reinterpret_cast<vdu*>(sums + v * VD) = sum[v];
}

ALUDEL_INLINE void panel_distances(const float* panel, const double* point, int64_t width, double* sums) {
  panel_sums(panel, point, width, sums, [](vd a, vd x) {
    const vd difference = a - x;
    return difference * difference;
  });
}

ALUDEL_INLINE void panel_products(const float* panel, const double* point, int64_t width, double* sums) {
  panel_sums(panel, point, width, sums, [](vd a, vd x) { return a * x; });
}

}  // namespace
}  // namespace aludel::cpu::ALUDEL_ISA
