// Walking the contiguous channel axis in vectors: pairs of vectors, then one, then a masked remainder, so that every C is handled
// and no lane outside [begin, end) is ever read or written (another task may own it).
#pragma once
#include "native/cpu/simd.h"
#if defined(__AVX__)
#include <immintrin.h>
#endif

namespace aludel::cpu::ALUDEL_ISA {

struct AllLanes {};

struct SomeLanes {
  int count;  // 1 .. VW-1
  vi mask;    // -1 in the first count lanes
};

ALUDEL_INLINE SomeLanes first_lanes(int count) {
  SomeLanes lanes{count, {}};
  for (int i = 0; i < VW; ++i) lanes.mask[i] = i < count ? -1 : 0;
  return lanes;
}

ALUDEL_INLINE vf load(const float* p, AllLanes) { return load(p); }
ALUDEL_INLINE void store(float* p, vf v, AllLanes) { store(p, v); }

#if ALUDEL_VW == 16 && defined(__AVX512F__)
ALUDEL_INLINE vf load(const float* p, const SomeLanes& lanes) {
  return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << lanes.count) - 1u), p);
}
ALUDEL_INLINE void store(float* p, vf v, const SomeLanes& lanes) {
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << lanes.count) - 1u), (__m512)v);
}
#elif ALUDEL_VW == 8 && defined(__AVX__)
ALUDEL_INLINE vf load(const float* p, const SomeLanes& lanes) { return (vf)_mm256_maskload_ps(p, (__m256i)lanes.mask); }
ALUDEL_INLINE void store(float* p, vf v, const SomeLanes& lanes) { _mm256_maskstore_ps(p, (__m256i)lanes.mask, (__m256)v); }
#else
ALUDEL_INLINE vf load(const float* p, const SomeLanes& lanes) {
  vf v{};
  for (int i = 0; i < VW - 1; ++i)
    if (i < lanes.count) v[i] = p[i];
  return v;
}
ALUDEL_INLINE void store(float* p, vf v, const SomeLanes& lanes) {
  for (int i = 0; i < VW - 1; ++i)
    if (i < lanes.count) p[i] = v[i];
}
#endif

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
