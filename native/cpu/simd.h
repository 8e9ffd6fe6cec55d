// Vectors for kernel units, by GCC/Clang vector extensions. Each unit is compiled once per instruction set with
// ALUDEL_ISA (a namespace name) and ALUDEL_VW (floats per vector) defined; nothing here leaves the unit.
#pragma once
#include "native/core/kernel.h"
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace aludel::cpu::ALUDEL_ISA {

constexpr int VW = ALUDEL_VW;
typedef float vf __attribute__((vector_size(ALUDEL_VW * 4)));
typedef float vfu __attribute__((vector_size(ALUDEL_VW * 4), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(ALUDEL_VW * 4)));
typedef int32_t viu __attribute__((vector_size(ALUDEL_VW * 4), aligned(4), may_alias));
typedef double vd __attribute__((vector_size(ALUDEL_VW * 4)));  // half as many lanes
constexpr int VD = ALUDEL_VW / 2;

ALUDEL_INLINE vf load(const float* p) { return *reinterpret_cast<const vfu*>(p); }
ALUDEL_INLINE void store(float* p, vf v) { *reinterpret_cast<vfu*>(p) = v; }
ALUDEL_INLINE vf splat(float x) { return x - vf{}; }

// a > b ? a : b, so b where either is NaN: one instruction, which GCC does not make of the expression.
ALUDEL_INLINE vf larger(vf a, vf b) {
#if ALUDEL_VW == 16 && defined(__AVX512F__)
  return (vf)_mm512_maskz_max_ps(0xFFFF, (__m512)a, (__m512)b);  // GCC warns of the plain one
#elif ALUDEL_VW == 8 && defined(__AVX__)
  return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#elif ALUDEL_VW == 4 && defined(__SSE2__)
  return (vf)_mm_max_ps((__m128)a, (__m128)b);
#else
  return a > b ? a : b;
#endif
}

}  // namespace aludel::cpu::ALUDEL_ISA
