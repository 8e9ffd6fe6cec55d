// Vector elementary functions in float32, by own polynomials: error about 2 ulp, right at infinities, NaN, zeros and denormals.
// Float64 goes through libm. Bits may differ between instruction sets (fused multiply-add), never between threads.
#pragma once
#include <math.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "native/cpu/simd.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

typedef uint32_t vu __attribute__((vector_size(ALUDEL_VW * 4)));  // integer arithmetic that may wrap

ALUDEL_INLINE vf as_float(vi x) { return reinterpret_cast<vf>(x); }
ALUDEL_INLINE vi as_int(vf x) { return reinterpret_cast<vi>(x); }
ALUDEL_INLINE vf abs_of(vf x) { return as_float(as_int(x) & 0x7fffffff); }
ALUDEL_INLINE vf copy_sign(vf magnitude, vf sign) {
  return as_float(as_int(magnitude) | (as_int(sign) & static_cast<int32_t>(0x80000000u)));
}

// Round to nearest even for |x| < 2^22: the addend pushes the fraction out of the significand. (These units are never compiled with
// -fassociative-math, which would cancel the pair.)
ALUDEL_INLINE vf round_small(vf x) { return (x + 12582912.0f) - 12582912.0f; }

ALUDEL_INLINE vf floor_of(vf x) {
  vf truncated = __builtin_convertvector(__builtin_convertvector(abs_of(x) < 8388608.0f ? x : vf{}, vi), vf);
  vf lower = truncated > x ? truncated - 1.0f : truncated;
  return abs_of(x) < 8388608.0f ? copy_sign(abs_of(lower), x) : x;  // floor(-0) = -0; larger values, infinities and NaN are themselves
}

ALUDEL_INLINE vf sqrt_of(vf x) {
#if defined(__AVX512F__) && ALUDEL_VW == 16
  return reinterpret_cast<vf>(_mm512_maskz_sqrt_ps(0xFFFF, reinterpret_cast<__m512>(x)));  // GCC warns of the plain one
#else
  alignas(64) float lanes[VW];
  *reinterpret_cast<vf*>(lanes) = x;
#if defined(__AVX__) && ALUDEL_VW >= 8
  for (int i = 0; i < VW; i += 8) _mm256_store_ps(lanes + i, _mm256_sqrt_ps(_mm256_load_ps(lanes + i)));
#elif defined(__SSE2__)
  for (int i = 0; i < VW; i += 4) _mm_store_ps(lanes + i, _mm_sqrt_ps(_mm_load_ps(lanes + i)));
#else
  for (int i = 0; i < VW; ++i) lanes[i] = sqrtf(lanes[i]);
#endif
  return *reinterpret_cast<vf*>(lanes);
#endif
}

// exp(x) = 2^n exp(r), |r| <= ln2/2, Taylor-like minimax of degree 7. 2^n is applied in two halves, so that results in the
// denormal range round once and overflow ends in infinity.
ALUDEL_INLINE vf exp_of(vf x) {
  vf c = x > 89.0f ? splat(89.0f) : x;
  c = c < -105.0f ? splat(-105.0f) : c;
  c = x == x ? c : vf{};  // a NaN must not reach the integer conversion
  vf n = round_small(c * 1.44269504f);
  vf r = c - n * 0.693359375f;  // n * hi is exact: hi has 9 significant bits
  r = r + n * 2.12194440e-4f;
  vf p = 1.9875691500e-4f * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  vf y = p * (r * r) + r + 1.0f;
  vi k = __builtin_convertvector(n, vi);
  vi half = k >> 1;
  y = y * as_float((half + 127) << 23) * as_float((k - half + 127) << 23);
  return x == x ? y : x;
}

// log(m 2^e), m in [sqrt(1/2), sqrt(2)), minimax polynomial in m - 1; e ln2 is added in two parts.
ALUDEL_INLINE vf log_of(vf x) {
  vi tiny = x < 1.17549435e-38f;
  vf scaled = tiny ? x * 8388608.0f : x;
  vi shifted =
      reinterpret_cast<vi>(reinterpret_cast<vu>(scaled) - 0x3f3504f3u);  // bits of sqrt(1/2): the exponent field then counts from there
  vi exponent = shifted >> 23;
  vf m = as_float((shifted & 0x007fffff) + 0x3f3504f3) - 1.0f;
  vf e = __builtin_convertvector(exponent, vf) - (tiny ? splat(23.0f) : vf{});
  vf p = 7.0376836292e-2f * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  vf z = m * m;
  vf y = p * m * z - e * 2.12194440e-4f - 0.5f * z;
  y = (m + y) + e * 0.693359375f;
  y = x == 0.0f ? splat(-INFINITY) : y;
  y = x < 0.0f ? splat(NAN) : y;
  return (x != x) | (x == INFINITY) ? x : y;
}

// Small arguments by an odd polynomial (no cancellation), the rest by 1 - 2/(exp(2|x|) + 1).
ALUDEL_INLINE vf tanh_of(vf x) {
  vf a = abs_of(x);
  vf z = x * x;
  vf p = -5.70498872745e-3f * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  vf small = p * z * x + x;
  vf large = copy_sign(1.0f - 2.0f / (exp_of(a + a) + 1.0f), x);
  return a < 0.625f ? small : large;
}

// With e = exp(-|x|): 1/(1+e), or e/(1+e) on the negative side, so that small results keep their relative precision.
ALUDEL_INLINE vf sigmoid_of(vf x) {
  vf e = exp_of(-abs_of(x));
  return (x < 0.0f ? e : splat(1.0f)) / (1.0f + e);
}

// Up to 0.9 x P(x^2), the rest by 1 - exp(log erfc) with log erfc(t) = -t Q(t); beyond 4 the complement is below half a unit of 1.
// Both polynomials are minimax fits of our own.
ALUDEL_INLINE vf erf_of(vf x) {
  vf a = abs_of(x);
  vf z = x * x;
  vf p = 8.5131012713e-5f * z - 8.1756386141e-4f;
  p = p * z + 5.2038590982e-3f;
  p = p * z - 2.6860508437e-2f;
  p = p * z + 1.1283715032e-1f;
  p = p * z - 3.7612634980e-1f;
  p = p * z + 1.1283791668f;
  vf t = a < 4.0f ? a : splat(4.0f);
  vf q = 5.2969937994e-6f * t - 4.9940373093e-5f;
  q = q * t - 2.7435717800e-5f;
  q = q * t + 2.8691225134e-3f;
  q = q * t - 2.2575618223e-2f;
  q = q * t + 1.0516949733e-1f;
  q = q * t + 6.3567314864e-1f;
  q = q * t + 1.1285414391f;
  vf large = copy_sign(1.0f - exp_of(-(t * q)), x);
  vf y = a < 0.9f ? p * x : large;
  return x == x ? y : x;
}

// Both kernels on |r| <= pi/4.
ALUDEL_INLINE vf sin_kernel(vf r) {
  vf z = r * r;
  vf p = -1.9515295891e-4f * z + 8.3321608736e-3f;
  p = p * z - 1.6666654611e-1f;
  return p * z * r + r;
}
ALUDEL_INLINE vf cos_kernel(vf r) {
  vf z = r * r;
  vf p = 2.443315711809948e-5f * z - 1.388731625493765e-3f;
  p = p * z + 4.166664568298827e-2f;
  return p * (z * z) - 0.5f * z + 1.0f;
}

// quadrant_shift 0: sine, 1: cosine. Reduction by pi/2 in three parts (the first two products are exact), good to |x| = 8192.
ALUDEL_INLINE vf sin_cos_reduced(vf x, int quadrant_shift) {
  vf n = round_small(x * 0.636619772f);
  vf r = x - n * 1.5703125f;
  r = r - n * 4.837512969970703125e-4f;
  r = r - n * 7.54978995489188216e-8f;
  vi quadrant = __builtin_convertvector(n, vi) + quadrant_shift;
  vf y = (quadrant & 1) == 0 ? sin_kernel(r) : cos_kernel(r);
  return as_float(as_int(y) ^ ((quadrant & 2) << 30));
}

// Larger arguments, infinities and NaN take libm, lane by lane.
ALUDEL_INLINE vf sin_cos(vf x, int quadrant_shift) {
  vi near = abs_of(x) < 8192.0f;
  vf y = sin_cos_reduced(near ? x : vf{}, quadrant_shift);
  if (quadrant_shift == 0) y = x == 0.0f ? x : y;  // sin(-0) = -0
  for (int i = 0; i < VW; ++i)
    if (!near[i]) y[i] = quadrant_shift ? cosf(x[i]) : sinf(x[i]);
  return y;
}

}  // namespace
}  // namespace aludel::cpu::ALUDEL_ISA
