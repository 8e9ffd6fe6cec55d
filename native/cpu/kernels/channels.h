// Walking the contiguous channel axis in vectors: pairs of vectors, then one, then a masked remainder, so that every C is handled
// and no lane outside [begin, end) is ever read or written (another task may own it).
#pragma once
#include "native/cpu/kernels/lanes.h"

namespace aludel::cpu::ALUDEL_ISA {

// U vectors of channels, the same ones at every pixel. kVectors is a constant so that per-channel values can live in registers.
template <int U, typename L>
struct Strip {
  static constexpr int kVectors = U;
  int64_t begin;  // first channel
  L lanes;
};

// Calls f(strip) for strips of at most U vectors that cover channels [begin, end) in ascending order.
template <int U = 2, typename F>
ALUDEL_INLINE void for_strips(int64_t begin, int64_t end, const F& f) {
  int64_t c = begin;
  if constexpr (U > 1) {
    for (; c + U * VW <= end; c += U * VW) f(Strip<U, AllLanes>{c, {}});
  }
  for (; c + VW <= end; c += VW) f(Strip<1, AllLanes>{c, {}});
  if (c < end) f(Strip<1, SomeLanes>{c, first_lanes((int)(end - c))});
}

// acc[0..VW) += v in float64.
ALUDEL_INLINE void add_to(double* acc, vf v) {
  for (int i = 0; i < VW; ++i) acc[i] += (double)v[i];
}

ALUDEL_INLINE void add_to(double* acc, vf v, AllLanes) { add_to(acc, v); }
// Lanes outside take nothing, not even a NaN: they may be the neighbour's.
ALUDEL_INLINE void add_to(double* acc, vf v, const SomeLanes& lanes) { add_to(acc, (vf)((vi)v & lanes.mask)); }

ALUDEL_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
ALUDEL_INLINE int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

}  // namespace aludel::cpu::ALUDEL_ISA
