// What the softmax kernels share: the exponential of numbers that are at most 0, targets, and the checks of arguments.
#pragma once
#include "native/cpu/kernels/checks.h"
#include "native/cpu/kernels/elementwise_math.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kTaskElements = 32768;  // of z, in one task

// U vectors at once, every step for all of them: one chain of dependent steps after the other would leave a processor waiting.
template <int U>
struct Bundle {
  vf v[U];
};
template <int U, typename F>
ALUDEL_INLINE Bundle<U> each(const F& f) {
  Bundle<U> out;
#pragma GCC unroll 8
  for (int i = 0; i < U; ++i) out.v[i] = f(i);
  return out;
}

// exp(x) = 2^n 2^f for x <= 0 or NaN, exactly 1 at 0, to about 2 ulp and |x| 2^-24, which is how well a difference of logits is known; 0
// below -87, where float32 has no normal numbers left. 2^f, |f| <= 1/2, by the polynomial of degree 6 of least relative error (2e-09).
// The rounding addend leaves n + 127 in the low bits of `shifted`, which moved into the exponent are 2^n. What that makes of an x below -87
// is masked; a NaN is carried by 2^f.
template <int U>
ALUDEL_INLINE Bundle<U> exp_at_most_0(const Bundle<U>& x) {
  constexpr float kLowest = -87.0f, kLog2E = 1.44269504f, kRounding = 12582912.0f + 127.0f;
  const auto shifted = each<U>([&](int i) { return x.v[i] * kLog2E + kRounding; });
  const auto n = each<U>([&](int i) { return shifted.v[i] - kRounding; });
  const auto f = each<U>([&](int i) { return x.v[i] * kLog2E - n.v[i]; });
  auto p = each<U>([&](int i) { return 0.000153532586f * f.v[i] + 0.00133990031f; });
  p = each<U>([&](int i) { return p.v[i] * f.v[i] + 0.00961843878f; });
  p = each<U>([&](int i) { return p.v[i] * f.v[i] + 0.0555033199f; });
  p = each<U>([&](int i) { return p.v[i] * f.v[i] + 0.240226477f; });
  p = each<U>([&](int i) { return p.v[i] * f.v[i] + 0.693147182f; });
  p = each<U>([&](int i) { return p.v[i] * f.v[i] + 1.0f; });
  return each<U>([&](int i) {
    const vf power = as_float(reinterpret_cast<vi>(reinterpret_cast<vu>(shifted.v[i]) << 23));
    return as_float(as_int(p.v[i] * power) & ~(x.v[i] < kLowest));  // not a comparison the other way round: NaN stays NaN
  });
}
ALUDEL_INLINE vf exp_at_most_0(vf x) { return exp_at_most_0(Bundle<1>{{x}}).v[0]; }

// log(total) with total = 1 + rest <= 2^31 and rest >= 0 or NaN, to the relative precision of rest. As log_of (elementwise_math.h), of
// which it leaves out what such numbers never need.
template <int U>
ALUDEL_INLINE Bundle<U> log_of_one_and(const Bundle<U>& rest, const Bundle<U>& total) {
  const auto shifted = each<U>([&](int i) { return reinterpret_cast<vf>(reinterpret_cast<vu>(total.v[i]) - 0x3f3504f3u); });
  const auto m = each<U>([&](int i) { return as_float((as_int(shifted.v[i]) & 0x007fffff) + 0x3f3504f3) - 1.0f; });
  const auto e = each<U>([&](int i) { return __builtin_convertvector(as_int(shifted.v[i]) >> 23, vf); });
  auto p = each<U>([&](int i) { return 7.0376836292e-2f * m.v[i] - 1.1514610310e-1f; });
  p = each<U>([&](int i) { return p.v[i] * m.v[i] + 1.1676998740e-1f; });
  p = each<U>([&](int i) { return p.v[i] * m.v[i] - 1.2420140846e-1f; });
  p = each<U>([&](int i) { return p.v[i] * m.v[i] + 1.4249322787e-1f; });
  p = each<U>([&](int i) { return p.v[i] * m.v[i] - 1.6668057665e-1f; });
  p = each<U>([&](int i) { return p.v[i] * m.v[i] + 2.0000714765e-1f; });
  p = each<U>([&](int i) { return p.v[i] * m.v[i] - 2.4999993993e-1f; });
  p = each<U>([&](int i) { return p.v[i] * m.v[i] + 3.3333331174e-1f; });
  return each<U>([&](int i) {
    const vf z = m.v[i] * m.v[i], low = p.v[i] * m.v[i] * z - e.v[i] * 2.12194440e-4f - 0.5f * z;
    const vf log = (m.v[i] + low) + e.v[i] * 0.693359375f, past_one = total.v[i] - 1.0f;
    // 1 + rest is rounded: its logarithm is scaled by what the rounding changed. A NaN has been lost in the bits above.
    return past_one == 0.0f ? rest.v[i] : log * (rest.v[i] / past_one);
  });
}

ALUDEL_INLINE int64_t classes_of(const KernelArgs& args) { return args.in[0].dim(-1); }
ALUDEL_INLINE int64_t rows_of(const KernelArgs& args) { return args.in[0].numel() / classes_of(args); }
ALUDEL_INLINE bool has_labels(const KernelArgs& args) { return args.in[1].dtype == DType::i32; }

ALUDEL_INLINE bool is_per_row(const TensorRef& v, const TensorRef& z) {
  return v.dtype == DType::f32 && v.rank == z.rank - 1 && same_leading(v, z, v.rank);
}
ALUDEL_INLINE bool is_like(const TensorRef& v, const TensorRef& z) { return v.dtype == DType::f32 && same_shape(v, z); }

// z f32 [..., K] with K >= 1, and a target that is i32 [...] or f32 [..., K].
[[maybe_unused]] Status check_target(const char* op, const KernelArgs& args, int nin, int nout) {
  ALUDEL_RETURN_IF_ERROR(check_arity(op, args, nin, nout, 0));
  const TensorRef &z = args.in[0], &target = args.in[1];
  if (z.dtype != DType::f32 || z.rank < 1 || z.dim(-1) < 1 || z.dim(-1) > INT32_MAX)
    return wrong(op, "f32 logits [..., K] with K of 1 or more");
  bool hard = target.dtype == DType::i32 && target.rank == z.rank - 1 && same_leading(target, z, target.rank);
  return hard || is_like(target, z) ? Status{} : wrong(op, "an i32 target [...] or an f32 target of the logits' shape");
}

// Whole groups of VW rows, so that only the last rows of all are a group that is not full.
ALUDEL_INLINE int64_t rows_per_task(int64_t classes) { return round_up(max_of(1, kTaskElements / classes), VW); }

// Whether any of the labels is no class. A vector of comparisons at a time: this reads all labels before any work is done.
ALUDEL_INLINE bool any_outside(const int32_t* labels, int64_t n, int32_t classes) {
  vi outside{};
  int64_t i = 0;
  for (; i + VW <= n; i += VW) {
    vi y = *reinterpret_cast<const viu*>(labels + i);
    outside |= (y < 0) | (y >= classes);
  }
  bool any = false;
  for (int lane = 0; lane < VW; ++lane) any |= outside[lane] != 0;
  for (; i < n; ++i) any |= labels[i] < 0 || labels[i] >= classes;
  return any;
}

constexpr int64_t kLabelsPerTask = 1 << 16;

// Hard labels are checked before anything is written: a run that fails changes nothing.
[[maybe_unused]] Status check_labels(const char* op, const KernelArgs& args, Exec& exec) {
  if (!has_labels(args)) return {};
  const int32_t* labels = args.in[1].as<const int32_t>();
  int64_t classes = classes_of(args), rows = rows_of(args);
  int found = 0;
  parallel_ranges(exec, rows, kLabelsPerTask, [&](int64_t begin, int64_t end, void*) {
    if (any_outside(labels + begin, end - begin, static_cast<int32_t>(classes))) __atomic_store_n(&found, 1, __ATOMIC_RELAXED);
  });
  if (__atomic_load_n(&found, __ATOMIC_RELAXED) == 0) return {};
  int64_t r = 0;
  while (labels[r] >= 0 && labels[r] < classes) ++r;
  return fail(Code::invalid_index, "%s: label %d of row %lld is outside 0..%lld", op, labels[r], static_cast<long long>(r),
              static_cast<long long>(classes - 1));
}

}  // namespace
}  // namespace aludel::cpu::ALUDEL_ISA
