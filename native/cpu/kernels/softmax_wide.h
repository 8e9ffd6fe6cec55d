// Softmax of rows of many classes: vectors along the row.
#pragma once
#include "native/cpu/kernels/lanes.h"
#include "native/cpu/kernels/softmax.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kRunVectors = 16;  // vectors that are summed up in float32

// Calls f(k, lanes) for the vectors of a row of K classes in order, and flush() after every run and at the end.
template <typename F, typename Flush>
ALUDEL_INLINE void for_parts(int64_t K, const F& f, const Flush& flush) {
  const int64_t whole = K / VW * VW;
  for (int64_t begin = 0; begin < whole; begin += kRunVectors * VW) {
    const int64_t end = min_of(whole, begin + kRunVectors * VW);
    for (int64_t k = begin; k < end; k += VW) f(k, AllLanes{});
    flush();
  }
  if (whole < K) f(whole, first_lanes(static_cast<int>(K - whole))), flush();
}

ALUDEL_INLINE double lane_total(vd v) {
  double total = 0;
  for (int i = 0; i < VD; ++i) total += v[i];
  return total;
}

// Sums of float32 vectors in float64.
struct ExactSum {
  vd low{}, high{};
  ALUDEL_INLINE void add(vf v) {
    typedef float vh __attribute__((vector_size(VW * 2)));
    vh half[2];
    __builtin_memcpy(half, &v, sizeof v);
    low += __builtin_convertvector(half[0], vd), high += __builtin_convertvector(half[1], vd);
  }
  ALUDEL_INLINE double total() const { return lane_total(low + high); }
};

// The same, a run at a time in float32: flush() ends a run.
struct RunningSum {
  ExactSum exact;
  vf part{};
  ALUDEL_INLINE void add(vf v) { part += v; }
  ALUDEL_INLINE void flush() { exact.add(part), part = vf{}; }
  ALUDEL_INLINE double total() const { return exact.total(); }
};

// The maximum of a row. A NaN is passed over; exp(NaN - max) then carries it on.
ALUDEL_INLINE float row_max(const float* z, int64_t K) {
  vf best[4] = {splat(-INFINITY), splat(-INFINITY), splat(-INFINITY), splat(-INFINITY)};
  int64_t k = 0;
  for (; k + 4 * VW <= K; k += 4 * VW) {
    best[0] = larger(load(z + k), best[0]), best[1] = larger(load(z + k + VW), best[1]);
    best[2] = larger(load(z + k + 2 * VW), best[2]), best[3] = larger(load(z + k + 3 * VW), best[3]);
  }
  const vf all = larger(larger(best[0], best[1]), larger(best[2], best[3]));
  float top = -INFINITY;
  for (int lane = 0; lane < VW; ++lane) top = all[lane] > top ? all[lane] : top;
  for (; k < K; ++k) top = z[k] > top ? z[k] : top;
  return top;
}

// v with 0 in one lane, or as it is when there is no such lane. Not v[lane] = 0, which would put the vector into memory.
template <int... J>
ALUDEL_INLINE vf without_lane(vf v, int64_t lane, LaneList<J...>) {
  return as_float(as_int(v) & ~(vi{J...} == static_cast<int32_t>(lane)));
}
ALUDEL_INLINE vf without_lane(vf v, int64_t lane) { return without_lane(v, lane, FirstLanes<VW>::List{}); }

constexpr int64_t kFarAhead = 4096;  // elements: what the second-level cache is given time to fetch

// Calls f(k, e, lanes) with e = exp(z - m) of the classes from k on, and flush() as for_parts does; e is 0 at the class `left_out` (-1:
// none) and beyond the row. The next row is on its way to the first-level cache meanwhile, and rows far ahead to the second: a processor
// that waits for memory in one pass and computes in the other does neither well, and the first level alone has too few requests under way.
template <typename F, typename Flush>
ALUDEL_INLINE void for_exponentials(const float* z, float m, int64_t K, int64_t left_out, const F& f, const Flush& flush) {
  const auto whole_vectors = [&]<int U>(Bundle<U>, int64_t k) {
    auto e = exp_at_most_0(each<U>([&](int i) {
      __builtin_prefetch(z + K + k + i * VW);
      __builtin_prefetch(z + K + kFarAhead + k + i * VW, 0, 2);
      return load(z + k + i * VW) - m;
    }));
    if (left_out >= k && left_out < k + U * VW) e = each<U>([&](int i) { return without_lane(e.v[i], left_out - k - i * VW); });
#pragma GCC unroll 8
    for (int i = 0; i < U; ++i) f(k + i * VW, e.v[i], AllLanes{});
  };
  const int64_t whole = K / VW * VW;
  for (int64_t begin = 0; begin < whole; begin += kRunVectors * VW) {
    const int64_t end = min_of(whole, begin + kRunVectors * VW);
    int64_t k = begin;
    for (; k + 4 * VW <= end; k += 4 * VW) whole_vectors(Bundle<4>{}, k);
    for (; k < end; k += VW) whole_vectors(Bundle<1>{}, k);
    flush();
  }
  if (whole == K) return;
  const SomeLanes lanes = first_lanes(static_cast<int>(K - whole));
  vf e = exp_at_most_0((lanes.mask ? load(z + whole, lanes) : splat(-INFINITY)) - m);
  e = without_lane(e, left_out - whole);
  f(whole, e, lanes);
  flush();
}

}  // namespace
}  // namespace aludel::cpu::ALUDEL_ISA
