// Vectors for kernel units, by GCC/Clang vector extensions. Each unit is compiled once per instruction set with
// ALUDEL_ISA (a namespace name) and ALUDEL_VW (floats per vector) defined; nothing here leaves the unit.
#pragma once
#include "native/core/kernel.h"

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

}  // namespace aludel::cpu::ALUDEL_ISA
