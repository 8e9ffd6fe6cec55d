// The elementwise ops on a few elements of one thread. NaN goes through everywhere (maximum and relu included) except sign, where it gives
// 0, and comparisons, as in the CPU kernel.
#pragma once
#include "native/core/opcodes.h"
#include "native/cuda/launch.cuh"

namespace aludel::cuda {

// Elements of one thread: all indexed by constants, so that they stay in registers.
template <typename T, int N>
struct Pack {
  T v[N];
};

template <typename T, int N, typename F>
__device__ __forceinline__ Pack<T, N> each(const Pack<T, N>& x, const F& f) {
  Pack<T, N> r;
#pragma unroll
  for (int i = 0; i < N; ++i) r.v[i] = f(x.v[i]);
  return r;
}
template <typename T, int N, typename F>
__device__ __forceinline__ Pack<T, N> each(const Pack<T, N>& x, const Pack<T, N>& y, const F& f) {
  Pack<T, N> r;
#pragma unroll
  for (int i = 0; i < N; ++i) r.v[i] = f(x.v[i], y.v[i]);
  return r;
}

template <typename T, int N>
__device__ __forceinline__ void turn(Pack<T, N>& x, T last) {
#pragma unroll
  for (int i = 0; i + 1 < N; ++i) x.v[i] = x.v[i + 1];
  x.v[N - 1] = last;
}
// For long functions: one copy of the code, the elements handed through position 0.
template <typename T, int N, typename F>
__device__ __forceinline__ Pack<T, N> in_turn(Pack<T, N> x, const F& f) {
#pragma unroll 1
  for (int i = 0; i < N; ++i) turn(x, f(x.v[0]));
  return x;
}
template <typename T, int N, typename F>
__device__ __forceinline__ Pack<T, N> in_turn(Pack<T, N> x, Pack<T, N> y, const F& f) {
#pragma unroll 1
  for (int i = 0; i < N; ++i) {
    turn(x, f(x.v[0], y.v[0]));
    turn(y, y.v[0]);
  }
  return x;
}

__device__ __forceinline__ float exp_of(float x) { return expf(x); }
__device__ __forceinline__ double exp_of(double x) { return exp(x); }
__device__ __forceinline__ float log_of(float x) { return logf(x); }
__device__ __forceinline__ double log_of(double x) { return log(x); }
__device__ __forceinline__ float sqrt_of(float x) { return sqrtf(x); }
__device__ __forceinline__ double sqrt_of(double x) { return sqrt(x); }
__device__ __forceinline__ float tanh_of(float x) { return tanhf(x); }
__device__ __forceinline__ double tanh_of(double x) { return tanh(x); }
__device__ __forceinline__ float floor_of(float x) { return floorf(x); }
__device__ __forceinline__ double floor_of(double x) { return floor(x); }
__device__ __forceinline__ float sin_of(float x) { return sinf(x); }
__device__ __forceinline__ double sin_of(double x) { return sin(x); }
__device__ __forceinline__ float cos_of(float x) { return cosf(x); }
__device__ __forceinline__ double cos_of(double x) { return cos(x); }
__device__ __forceinline__ float erf_of(float x) { return erff(x); }
__device__ __forceinline__ double erf_of(double x) { return erf(x); }
__device__ __forceinline__ float pow_of(float x, float y) { return powf(x, y); }
__device__ __forceinline__ double pow_of(double x, double y) { return pow(x, y); }

// With e = exp(-|x|): 1/(1+e), or e/(1+e) on the negative side, so that small results keep their relative precision.
template <typename T>
__device__ __forceinline__ T sigmoid_of(T x) {
  const T e = exp_of(x < T{0} ? x : -x);
  return (x < T{0} ? e : T{1}) / (T{1} + e);
}

template <typename T, int N>
__device__ __forceinline__ Pack<T, N> unary_op(int code, const Pack<T, N>& x) {
  switch (static_cast<Opcode>(code)) {
    case Opcode::neg:
      return each(x, [](T a) { return -a; });
    case Opcode::abs:
      return each(x, [](T a) { return a < T{0} ? -a : a + T{0}; });  // -0 + 0 = 0
    case Opcode::sign:
      return each(x, [](T a) { return a > T{0} ? T{1} : a < T{0} ? T{-1} : T{0}; });
    case Opcode::exp:
      return each(x, [](T a) { return exp_of(a); });
    case Opcode::log:
      return in_turn(x, [](T a) { return log_of(a); });
    case Opcode::sqrt:
      return each(x, [](T a) { return sqrt_of(a); });
    case Opcode::rsqrt:
      return each(x, [](T a) { return T{1} / sqrt_of(a); });
    case Opcode::reciprocal:
      return each(x, [](T a) { return T{1} / a; });
    case Opcode::square:
      return each(x, [](T a) { return a * a; });
    case Opcode::tanh:
      return in_turn(x, [](T a) { return tanh_of(a); });
    case Opcode::sigmoid:
      return each(x, [](T a) { return sigmoid_of(a); });
    case Opcode::relu:
      return each(x, [](T a) { return a <= T{0} ? T{0} : a; });
    case Opcode::floor:
      return each(x, [](T a) { return floor_of(a); });
    case Opcode::sin:
      return in_turn(x, [](T a) { return sin_of(a); });
    case Opcode::cos:
      return in_turn(x, [](T a) { return cos_of(a); });
    case Opcode::erf:
      return in_turn(x, [](T a) { return erf_of(a); });
    case Opcode::is_finite:
      return each(x, [](T a) { return a - a == T{0} ? T{1} : T{0}; });
    default:  // a copy
      return x;
  }
}

template <typename T, int N>
__device__ __forceinline__ Pack<T, N> binary_op(int code, const Pack<T, N>& x, const Pack<T, N>& y) {
  switch (static_cast<Opcode>(code)) {
    case Opcode::add:
      return each(x, y, [](T a, T b) { return a + b; });
    case Opcode::sub:
      return each(x, y, [](T a, T b) { return a - b; });
    case Opcode::mul:
      return each(x, y, [](T a, T b) { return a * b; });
    case Opcode::div:
      return each(x, y, [](T a, T b) { return a / b; });
    case Opcode::pow:
      return in_turn(x, y, [](T a, T b) { return pow_of(a, b); });
    case Opcode::maximum:
      return each(x, y, [](T a, T b) { return a > b || a != a ? a : b; });
    case Opcode::minimum:
      return each(x, y, [](T a, T b) { return a < b || a != a ? a : b; });
    case Opcode::greater:
      return each(x, y, [](T a, T b) { return a > b ? T{1} : T{0}; });
    case Opcode::greater_equal:
      return each(x, y, [](T a, T b) { return a >= b ? T{1} : T{0}; });
    case Opcode::equal:
      return each(x, y, [](T a, T b) { return a == b ? T{1} : T{0}; });
    default:
      return x;
  }
}

template <typename T, int N>
__device__ __forceinline__ Pack<T, N> select_op(const Pack<T, N>& c, const Pack<T, N>& x, const Pack<T, N>& y) {
  Pack<T, N> r;
#pragma unroll
  for (int i = 0; i < N; ++i) r.v[i] = c.v[i] != T{0} ? x.v[i] : y.v[i];
  return r;
}

}  // namespace aludel::cuda
