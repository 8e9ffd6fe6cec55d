// Vectors of which only the first lanes are read or written, and square blocks of vectors turned over in registers.
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

template <int... J>
struct LaneList {};
template <int N, int... J>
struct FirstLanes : FirstLanes<N - 1, N - 1, J...> {};
template <int... J>
struct FirstLanes<0, J...> {
  using List = LaneList<J...>;
};

#ifdef __clang__
#define ALUDEL_PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define ALUDEL_PICK(a, b, ...) __builtin_shuffle(a, b, vi{__VA_ARGS__})
#endif

// Exchanges the upper of every two runs of D lanes of `a` with the lower one of `b`.
template <int D, int... J>
ALUDEL_INLINE void exchange(vf& a, vf& b, LaneList<J...>) {
  const vf low = ALUDEL_PICK(a, b, (J & D ? VW + J - D : J)...);
  b = ALUDEL_PICK(a, b, (J & D ? VW + J : J + D)...);
  a = low;
}

template <int D>
ALUDEL_INLINE void transpose_step(vf* block) {
#pragma GCC unroll 16
  for (int i = 0; i < VW; ++i)
    if ((i & D) == 0) exchange<D>(block[i], block[i + D], FirstLanes<VW>::List{});
}

// Row i, lane j of VW vectors becomes row j, lane i.
ALUDEL_INLINE void transpose(vf* block) {
#if ALUDEL_VW >= 16
  transpose_step<8>(block);
#endif
#if ALUDEL_VW >= 8
  transpose_step<4>(block);
#endif
  transpose_step<2>(block);
  transpose_step<1>(block);
}

template <int D>
ALUDEL_INLINE void transpose_halves_step(vf* block) {
#pragma GCC unroll 8
  for (int i = 0; i < VW / 2; ++i)
    if ((i & D) == 0) exchange<D>(block[i], block[i + D], FirstLanes<VW>::List{});
}

// The same within both halves of VW / 2 vectors, which hold two blocks side by side.
ALUDEL_INLINE void transpose_halves(vf* block) {
#if ALUDEL_VW >= 16
  transpose_halves_step<4>(block);
#endif
#if ALUDEL_VW >= 8
  transpose_halves_step<2>(block);
#endif
  transpose_halves_step<1>(block);
}

// Lanes 0, 2, … of `a`, then those of `b`; and lanes 1, 3, ….
template <int... J>
ALUDEL_INLINE vf even_lanes(vf a, vf b, LaneList<J...>) {
  return ALUDEL_PICK(a, b, (2 * J)...);
}
template <int... J>
ALUDEL_INLINE vf odd_lanes(vf a, vf b, LaneList<J...>) {
  return ALUDEL_PICK(a, b, (2 * J + 1)...);
}

#undef ALUDEL_PICK

}  // namespace aludel::cpu::ALUDEL_ISA
