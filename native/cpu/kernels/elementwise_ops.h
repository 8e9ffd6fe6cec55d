// One micro-op of the elementwise interpreter over one chunk: a dispatch on the opcode, then a vectorised loop.
// Operands are contiguous; dst may be the same memory as an operand, element for element.
#pragma once
#include <string.h>

#include "native/core/opcodes.h"
#include "native/cpu/kernels/elementwise_math.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

// What the loops need to know of an element type. Lane: float or double; V: vector of them.
template <typename T>
struct Lanes;
template <>
struct Lanes<float> {
  typedef vf V;
  typedef float Unaligned __attribute__((vector_size(ALUDEL_VW * 4), aligned(4), may_alias));
  static constexpr int width = VW;
};
template <>
struct Lanes<double> {
  typedef vd V;
  typedef double Unaligned __attribute__((vector_size(ALUDEL_VW * 4), aligned(8), may_alias));
  static constexpr int width = VD;
};

template <typename T>
ALUDEL_INLINE typename Lanes<T>::V load_lanes(const T* p) {
  return *reinterpret_cast<const typename Lanes<T>::Unaligned*>(p);
}
template <typename T>
ALUDEL_INLINE void store_lanes(T* p, typename Lanes<T>::V v) {
  *reinterpret_cast<typename Lanes<T>::Unaligned*>(p) = v;
}
template <typename T>
ALUDEL_INLINE typename Lanes<T>::V load_part(const T* p, int64_t n) {
  typename Lanes<T>::V v{};
  memcpy(&v, p, static_cast<size_t>(n) * sizeof(T));
  return v;
}
template <typename T>
ALUDEL_INLINE void store_part(T* p, typename Lanes<T>::V v, int64_t n) {
  memcpy(p, &v, static_cast<size_t>(n) * sizeof(T));
}

// Loops over whole vectors, then the rest through a partial vector: the same arithmetic for every element, wherever it falls.
template <typename T, typename F>
ALUDEL_INLINE void loop1(T* dst, const T* a, int64_t n, const F& f) {
  constexpr int W = Lanes<T>::width;
  int64_t i = 0;
  for (; i + W <= n; i += W) store_lanes<T>(dst + i, f(load_lanes<T>(a + i)));
  if (i < n) store_part<T>(dst + i, f(load_part<T>(a + i, n - i)), n - i);
}
template <typename T, typename F>
ALUDEL_INLINE void loop2(T* dst, const T* a, const T* b, int64_t n, const F& f) {
  constexpr int W = Lanes<T>::width;
  int64_t i = 0;
  for (; i + W <= n; i += W) store_lanes<T>(dst + i, f(load_lanes<T>(a + i), load_lanes<T>(b + i)));
  if (i < n) store_part<T>(dst + i, f(load_part<T>(a + i, n - i), load_part<T>(b + i, n - i)), n - i);
}
template <typename T, typename F>
ALUDEL_INLINE void loop_scalar(T* dst, const T* a, int64_t n, const F& f) {
  for (int64_t i = 0; i < n; ++i) dst[i] = f(a[i]);
}

// Float32 functions that need polynomials.
ALUDEL_INLINE bool transcendental(Opcode op, float* dst, const float* a, int64_t n) {
  switch (op) {
    case Opcode::exp:
      loop1<float>(dst, a, n, [](vf x) { return exp_of(x); });
      return true;
    case Opcode::log:
      loop1<float>(dst, a, n, [](vf x) { return log_of(x); });
      return true;
    case Opcode::sqrt:
      loop1<float>(dst, a, n, [](vf x) { return sqrt_of(x); });
      return true;
    case Opcode::rsqrt:
      loop1<float>(dst, a, n, [](vf x) { return 1.0f / sqrt_of(x); });
      return true;
    case Opcode::tanh:
      loop1<float>(dst, a, n, [](vf x) { return tanh_of(x); });
      return true;
    case Opcode::sigmoid:
      loop1<float>(dst, a, n, [](vf x) { return sigmoid_of(x); });
      return true;
    case Opcode::floor:
      loop1<float>(dst, a, n, [](vf x) { return floor_of(x); });
      return true;
    case Opcode::sin:
      loop1<float>(dst, a, n, [](vf x) { return sin_cos(x, 0); });
      return true;
    case Opcode::cos:
      loop1<float>(dst, a, n, [](vf x) { return sin_cos(x, 1); });
      return true;
    case Opcode::erf:
      loop1<float>(dst, a, n, [](vf x) { return erf_of(x); });
      return true;
    default:
      return false;
  }
}

ALUDEL_INLINE double sigmoid64(double x) {
  double e = exp(-fabs(x));
  return (x < 0 ? e : 1.0) / (1.0 + e);
}

ALUDEL_INLINE bool transcendental(Opcode op, double* dst, const double* a, int64_t n) {
  switch (op) {
    case Opcode::exp:
      loop_scalar<double>(dst, a, n, [](double x) { return exp(x); });
      return true;
    case Opcode::log:
      loop_scalar<double>(dst, a, n, [](double x) { return log(x); });
      return true;
    case Opcode::sqrt:
      loop_scalar<double>(dst, a, n, [](double x) { return sqrt(x); });
      return true;
    case Opcode::rsqrt:
      loop_scalar<double>(dst, a, n, [](double x) { return 1.0 / sqrt(x); });
      return true;
    case Opcode::tanh:
      loop_scalar<double>(dst, a, n, [](double x) { return tanh(x); });
      return true;
    case Opcode::sigmoid:
      loop_scalar<double>(dst, a, n, [](double x) { return sigmoid64(x); });
      return true;
    case Opcode::floor:
      loop_scalar<double>(dst, a, n, [](double x) { return floor(x); });
      return true;
    case Opcode::sin:
      loop_scalar<double>(dst, a, n, [](double x) { return sin(x); });
      return true;
    case Opcode::cos:
      loop_scalar<double>(dst, a, n, [](double x) { return cos(x); });
      return true;
    case Opcode::erf:
      loop_scalar<double>(dst, a, n, [](double x) { return erf(x); });
      return true;
    default:
      return false;
  }
}

// NaN goes through every function here (maximum and relu included) except sign, where it gives 0, as in PyTorch.
template <typename T>
ALUDEL_INLINE void unary_op(Opcode op, T* dst, const T* a, int64_t n) {
  typedef typename Lanes<T>::V V;
  if (transcendental(op, dst, a, n)) return;
  switch (op) {
    case Opcode::neg:
      loop1<T>(dst, a, n, [](V x) { return -x; });
      break;
    case Opcode::abs:
      loop1<T>(dst, a, n, [](V x) { return x < 0 ? -x : x + V{}; });
      break;  // -0 + 0 = 0
    case Opcode::sign:
      loop1<T>(dst, a, n, [](V x) { return x > 0 ? V{} + 1 : (x < 0 ? V{} - 1 : V{}); });
      break;
    case Opcode::reciprocal:
      loop1<T>(dst, a, n, [](V x) { return 1 / x; });
      break;
    case Opcode::square:
      loop1<T>(dst, a, n, [](V x) { return x * x; });
      break;
    case Opcode::relu:
      loop1<T>(dst, a, n, [](V x) { return x <= 0 ? V{} : x; });
      break;
    case Opcode::is_finite:
      loop1<T>(dst, a, n, [](V x) { return x - x == 0 ? V{} + 1 : V{}; });
      break;
    default:
      break;
  }
}

ALUDEL_INLINE float pow_of(float a, float b) { return powf(a, b); }
ALUDEL_INLINE double pow_of(double a, double b) { return pow(a, b); }

template <typename T>
ALUDEL_INLINE void binary_op(Opcode op, T* dst, const T* a, const T* b, int64_t n) {
  typedef typename Lanes<T>::V V;
  switch (op) {
    case Opcode::add:
      loop2<T>(dst, a, b, n, [](V x, V y) { return x + y; });
      break;
    case Opcode::sub:
      loop2<T>(dst, a, b, n, [](V x, V y) { return x - y; });
      break;
    case Opcode::mul:
      loop2<T>(dst, a, b, n, [](V x, V y) { return x * y; });
      break;
    case Opcode::div:
      loop2<T>(dst, a, b, n, [](V x, V y) { return x / y; });
      break;
    case Opcode::maximum:
      loop2<T>(dst, a, b, n, [](V x, V y) { return (x > y) | (x != x) ? x : y; });
      break;
    case Opcode::minimum:
      loop2<T>(dst, a, b, n, [](V x, V y) { return (x < y) | (x != x) ? x : y; });
      break;
    case Opcode::greater:
      loop2<T>(dst, a, b, n, [](V x, V y) { return x > y ? V{} + 1 : V{}; });
      break;
    case Opcode::greater_equal:
      loop2<T>(dst, a, b, n, [](V x, V y) { return x >= y ? V{} + 1 : V{}; });
      break;
    case Opcode::equal:
      loop2<T>(dst, a, b, n, [](V x, V y) { return x == y ? V{} + 1 : V{}; });
      break;
    case Opcode::pow:
      for (int64_t i = 0; i < n; ++i) dst[i] = pow_of(a[i], b[i]);
      break;
    default:
      break;
  }
}

template <typename T>
ALUDEL_INLINE void select_op(T* dst, const T* c, const T* a, const T* b, int64_t n) {
  constexpr int W = Lanes<T>::width;
  int64_t i = 0;
  for (; i + W <= n; i += W) store_lanes<T>(dst + i, load_lanes<T>(c + i) != 0 ? load_lanes<T>(a + i) : load_lanes<T>(b + i));
  for (; i < n; ++i) dst[i] = c[i] != 0 ? a[i] : b[i];
}

// How many operands an elementwise opcode takes; 0 for every other opcode.
ALUDEL_INLINE int operand_count(int opcode) {
  if (opcode >= static_cast<int>(Opcode::neg) && opcode <= static_cast<int>(Opcode::is_finite)) return 1;
  if (opcode >= static_cast<int>(Opcode::add) && opcode <= static_cast<int>(Opcode::equal)) return 2;
  return opcode == static_cast<int>(Opcode::select) ? 3 : 0;
}

template <typename T>
void micro_op(int opcode, T* dst, const T* a, const T* b, const T* c, int64_t n) {
  switch (operand_count(opcode)) {
    case 1:
      unary_op<T>(static_cast<Opcode>(opcode), dst, a, n);
      break;
    case 2:
      binary_op<T>(static_cast<Opcode>(opcode), dst, a, b, n);
      break;
    default:
      select_op<T>(dst, a, b, c, n);
      break;
  }
}

}  // namespace
}  // namespace aludel::cpu::ALUDEL_ISA
