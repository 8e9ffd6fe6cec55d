// What the check() functions share. Programs are untrusted: every count, shape and attribute is tested before a kernel relies on it.
#pragma once
#include <string.h>

#include "native/cpu/simd.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

// Far above any memory, far below overflow: products of a checked shape and a size of element fit an int64.
constexpr int64_t kMaxElements = int64_t{1} << 48;

[[maybe_unused]] Status check_tensor(const char* op, const char* role, int i, const TensorRef& t) {
  if (t.rank < 0 || t.rank > kMaxRank)
    return fail(Code::invalid_program, "%s: %s %d has rank %d; expected 0..%d", op, role, i, t.rank, kMaxRank);
  if (static_cast<int>(t.dtype) > static_cast<int>(DType::u8))
    return fail(Code::invalid_program, "%s: %s %d has an unknown dtype", op, role, i);
  int64_t n = 1;
  for (int d = 0; d < t.rank; ++d) {
    if (t.dims[d] < 0) return fail(Code::invalid_program, "%s: %s %d has a negative dimension", op, role, i);
    // Zero-size dimensions are left out of the product, so that strides of empty tensors cannot overflow either.
    if (t.dims[d] > 0 && __builtin_mul_overflow(n, t.dims[d], &n)) n = kMaxElements + 1;
    if (n > kMaxElements) return fail(Code::invalid_program, "%s: %s %d has more than 2^48 elements", op, role, i);
  }
  return {};
}

// Number of inputs, outputs and attributes, and a sane shape for each tensor.
[[maybe_unused]] Status check_arity(const char* op, const KernelArgs& args, int nin, int nout, int nattrs) {
  if (args.nin != nin || args.nout != nout || args.nattrs != nattrs)
    return fail(Code::invalid_program, "%s: expected %d inputs, %d outputs, %d attributes; got %d, %d, %d", op, nin, nout, nattrs, args.nin,
                args.nout, args.nattrs);
  for (int i = 0; i < nin; ++i) ALUDEL_RETURN_IF_ERROR(check_tensor(op, "input", i, args.in[i]));
  for (int i = 0; i < nout; ++i) ALUDEL_RETURN_IF_ERROR(check_tensor(op, "output", i, args.out[i]));
  return {};
}

// True when attribute `value` is an integer in lo..hi (NaN and fractions are not).
ALUDEL_INLINE bool integer_attr(double value, int64_t lo, int64_t hi, int64_t* result) {
  if (!(value >= static_cast<double>(lo) && value <= static_cast<double>(hi))) return false;
  *result = static_cast<int64_t>(value);
  return static_cast<double>(*result) == value;
}

ALUDEL_INLINE bool same_shape(const TensorRef& a, const TensorRef& b) {
  if (a.rank != b.rank) return false;
  for (int d = 0; d < a.rank; ++d)
    if (a.dims[d] != b.dims[d]) return false;
  return true;
}

// The first `n` dimensions of a and b agree (both must have them).
ALUDEL_INLINE bool same_leading(const TensorRef& a, const TensorRef& b, int n) {
  if (a.rank < n || b.rank < n) return false;
  for (int d = 0; d < n; ++d)
    if (a.dims[d] != b.dims[d]) return false;
  return true;
}

[[maybe_unused]] Status wrong(const char* op, const char* expected) { return fail(Code::invalid_program, "%s: expected %s", op, expected); }

ALUDEL_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
ALUDEL_INLINE int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
ALUDEL_INLINE int64_t max_of(int64_t a, int64_t b) { return a > b ? a : b; }
ALUDEL_INLINE int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// f(begin, end, scratch) over 0..n-1 in pieces of `grain`: the pieces depend on n alone, never on the number of workers.
template <typename F>
ALUDEL_INLINE void parallel_ranges(Exec& exec, int64_t n, int64_t grain, const F& f) {
  if (n <= 0) return;
  parallel_for(exec, ceil_div(n, grain), [&](int64_t task, void* scratch) { f(task * grain, min_of(n, (task + 1) * grain), scratch); });
}

}  // namespace
}  // namespace aludel::cpu::ALUDEL_ISA
