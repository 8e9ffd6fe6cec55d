// Counter-based random numbers, the same bits on every backend, instruction set and thread count.
//
// Recipe. Philox4x32-10 (Salmon et al. 2011): key (key[0], key[1]), counter (b, counter[0], purpose, 0), four words a block;
// element i uses word i % 4 of block b = i / 4.
//   uniform      (w >> 8) * 2^-24, in [0, 1)
//   normal       elements 2j, 2j+1 from words w0, w1 = (2j, 2j+1): u = ((w0 >> 8) + 1) * 2^-24 in (0, 1], t = w1 >> 8,
//                r = sqrt(-2 log u), angle a = 2 pi t 2^-24; element 2j = r cos a, element 2j+1 = r sin a
//   permutation  0..n-1 sorted by (word i, i), ascending
// Arithmetic of the normals: u = 2^e m with m in [sqrt(1/2), sqrt(2)); log u by the degree-8 polynomial below in m - 1; t is split in
// integers into quadrant q = (t + 2^21) >> 22 and rest t - q 2^22, whose angle in [-pi/4, pi/4] is one rounded product; sine and
// cosine by the polynomials below. Every sum of a product is an explicit fused multiply-add, and no other product meets a sum: a compiler
// has nothing to contract, so the bits do not depend on its flags. Square root and single products are correctly rounded everywhere.
#pragma once
#include <cstdint>
#include <cstring>

#include "native/core/tensor.h"

#if defined(__CUDACC__)
#define ALUDEL_HD __host__ __device__
#else
#define ALUDEL_HD
#endif

namespace aludel {

struct PhiloxBlock {
  uint32_t w0, w1, w2, w3;
};

ALUDEL_HD ALUDEL_INLINE PhiloxBlock philox4x32_10(PhiloxBlock counter, uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    uint64_t a = uint64_t{0xD2511F53u} * counter.w0, b = uint64_t{0xCD9E8D57u} * counter.w2;
    uint32_t high_a = static_cast<uint32_t>(a >> 32), high_b = static_cast<uint32_t>(b >> 32);
    counter = {high_b ^ counter.w1 ^ key0, static_cast<uint32_t>(b), high_a ^ counter.w3 ^ key1, static_cast<uint32_t>(a)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

ALUDEL_HD ALUDEL_INLINE float fused_multiply_add(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}

ALUDEL_HD ALUDEL_INLINE uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
ALUDEL_HD ALUDEL_INLINE float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

ALUDEL_HD ALUDEL_INLINE float uniform_of(uint32_t word) {
  return static_cast<float>(static_cast<int32_t>(word >> 8)) * 5.9604644775390625e-8f;
}

// -2 log u of the recipe: the squared radius. Zero (never negative) at u = 1.
ALUDEL_HD ALUDEL_INLINE float normal_radius_squared(uint32_t word) {
  float u = static_cast<float>(static_cast<int32_t>((word >> 8) + 1)) * 5.9604644775390625e-8f;
  int32_t shifted = static_cast<int32_t>(bits_of(u)) - 0x3f3504f3;  // bits of sqrt(1/2)
  float e = static_cast<float>(shifted >> 23);
  float m = float_of(static_cast<uint32_t>((shifted & 0x007fffff) + 0x3f3504f3)) - 1.0f;
  float p = fused_multiply_add(7.0376836292e-2f, m, -1.1514610310e-1f);
  p = fused_multiply_add(p, m, 1.1676998740e-1f);
  p = fused_multiply_add(p, m, -1.2420140846e-1f);
  p = fused_multiply_add(p, m, 1.4249322787e-1f);
  p = fused_multiply_add(p, m, -1.6668057665e-1f);
  p = fused_multiply_add(p, m, 2.0000714765e-1f);
  p = fused_multiply_add(p, m, -2.4999993993e-1f);
  p = fused_multiply_add(p, m, 3.3333331174e-1f);
  float z = m * m;
  float y = fused_multiply_add(p * m, z, e * -2.12194440e-4f);
  y = fused_multiply_add(-0.5f, z, y) + m;
  y = fused_multiply_add(e, 0.693359375f, y);
  float squared = -2.0f * y;
  return squared > 0.0f ? squared : 0.0f;
}

// Cosine and sine of 2 pi (word >> 8) 2^-24.
ALUDEL_HD ALUDEL_INLINE void normal_direction(uint32_t word, float* cosine, float* sine) {
  int32_t t = static_cast<int32_t>(word >> 8);
  int32_t quadrant = (t + (1 << 21)) >> 22;
  float r = static_cast<float>(t - quadrant * (1 << 22)) * 3.7450704e-7f;  // 2 pi 2^-24
  float z = r * r;
  float p = fused_multiply_add(-1.9515295891e-4f, z, 8.3321608736e-3f);
  p = fused_multiply_add(p, z, -1.6666654611e-1f);
  float s = fused_multiply_add(p * z, r, r);
  float q = fused_multiply_add(2.443315711809948e-5f, z, -1.388731625493765e-3f);
  q = fused_multiply_add(q, z, 4.166664568298827e-2f);
  float c = fused_multiply_add(q, z * z, fused_multiply_add(-0.5f, z, 1.0f));
  float x = (quadrant & 1) ? s : c, y = (quadrant & 1) ? c : s;
  uint32_t flip_x = static_cast<uint32_t>((quadrant + 1) & 2) << 30, flip_y = static_cast<uint32_t>(quadrant & 2) << 30;
  *cosine = float_of(bits_of(x) ^ flip_x);
  *sine = float_of(bits_of(y) ^ flip_y);
}

// Two normals from two words.
ALUDEL_HD ALUDEL_INLINE void normal_pair(uint32_t word0, uint32_t word1, float* first, float* second) {
#if defined(__CUDA_ARCH__)
  float radius = __fsqrt_rn(normal_radius_squared(word0));
#else
  float radius = __builtin_sqrtf(normal_radius_squared(word0));
#endif
  float c, s;
  normal_direction(word1, &c, &s);
  *first = radius * c;
  *second = radius * s;
}

}  // namespace aludel
