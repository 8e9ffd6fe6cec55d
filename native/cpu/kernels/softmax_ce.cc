// softmax_ce: loss = T log sum exp(z - max) - <t, z - max> with T = sum t, where the maximum cancels exactly, so logits of 1e4 lose
// nothing; and el2n = ||softmax(z) - t||. With a hard label y the sums leave y out: R = sum_{k != y} e_k, Q = sum_{k != y} e_k^2, and
// 1 - p_y = R / S, so that neither a small loss nor a small el2n = sqrt(Q + R^2) / S is a difference of large numbers.
// With features h also el2n sqrt(||h||^2 + 1), the norm of a last linear layer's gradient, while a task's el2n is in the cache.
// Rows of few classes go VW at a time (softmax_narrow.h); wide ones are read once from memory and a second time from the cache.
#include "native/cpu/kernels/softmax_narrow.h"
#include "native/cpu/kernels/softmax_wide.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

struct Outputs {
  float *loss, *el2n;
};

// ---- few classes ------------------------------------------------------------------------------------------------------------------

// Of a group of rows: z_y - max, and the sums over all classes but the label.
struct HardSums {
  vf own, others, squares;
};

// Class k + i of U: where it is the label, x goes to `own`; e without the labels.
template <int U>
ALUDEL_INLINE Bundle<U> all_but_own(const Bundle<U>& x, vi labels, int64_t k, vf& own) {
  const auto exponential = exp_at_most_0(x);
  return each<U>([&](int i) {
    const vi is_own = labels == static_cast<int32_t>(k + i);
    own = is_own ? x.v[i] : own;
    return as_float(as_int(exponential.v[i]) & ~is_own);
  });
}

ALUDEL_INLINE HardSums narrow_hard(const float* columns, const int32_t* labels, int64_t K) {
  const vf m = column_max(columns, K);
  const vi y = *reinterpret_cast<const viu*>(labels);
  vf own{};
  ColumnSum others, squares;
  for_classes(K, [&]<int U>(const Bundle<U>&, int64_t k) {
    const auto e = all_but_own(each<U>([&](int i) { return column(columns, k + i) - m; }), y, k, own);
    others.add(e), squares.add_squares(e);
  });
  return {own, others.total(), squares.total()};
}

// Ten classes, as the common small sets have: the columns stay in registers.
constexpr int kFixed = 10;

ALUDEL_INLINE HardSums fixed_hard(const float* z, const int32_t* labels) {
  constexpr int kBundle = kFixed / 2;
  vf columns[kFixed];
  fixed_columns<kFixed>(z, columns);
  const vf m = fixed_max<kFixed>(columns);
  const vi y = *reinterpret_cast<const viu*>(labels);
  vf own{}, others[2] = {}, squares[2] = {};
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
    const auto x = each<kBundle>([&](int i) { return columns[half * kBundle + i] - m; });
    const auto e = all_but_own(x, y, half * kBundle, own);
#pragma GCC unroll 8
    for (int i = 0; i < kBundle; ++i) others[i % 2] += e.v[i], squares[i % 2] += e.v[i] * e.v[i];
  }
  return {own, others[0] + others[1], squares[0] + squares[1]};
}

// The outputs of U groups one after the other.
template <int U>
ALUDEL_INLINE void finish_hard(const HardSums* sums, const Outputs& out) {
  const auto own = each<U>([&](int i) { return exp_at_most_0(sums[i].own); });
  const auto S = each<U>([&](int i) { return sums[i].others + own.v[i]; });
  // Where the label is the maximum, own = 1. Elsewhere some other class has 1, and the rest is what is not it.
  const auto rest = each<U>([&](int i) { return sums[i].own == 0.0f ? sums[i].others : S.v[i] - 1.0f; });
  const auto log_S = log_of_one_and(rest, S);
#pragma GCC unroll 8
  for (int i = 0; i < U; ++i) {
    const vf R = sums[i].others;
    store(out.loss + i * VW, log_S.v[i] - sums[i].own);
    store(out.el2n + i * VW, sqrt_of(sums[i].squares + R * R) / S.v[i]);
  }
}

ALUDEL_INLINE void narrow_soft(float* columns, const float* targets, int64_t K, const Outputs& out) {
  const vf m = column_max(columns, K);
  ColumnSum below, total, inner;  // below: of the classes that are not the maximum
  vi maxima{};                    // minus their number
  for_classes(K, [&]<int U>(const Bundle<U>&, int64_t k) {
    const auto x = each<U>([&](int i) { return column(columns, k + i) - m; });
    const auto t = each<U>([&](int i) { return column(targets, k + i); });
    const auto e = exp_at_most_0(x);
    put_columns(columns, k, e);
    below.add(each<U>([&](int i) {
      const vi is_maximum = x.v[i] == 0.0f;
      maxima += is_maximum;
      return as_float(as_int(e.v[i]) & ~is_maximum);
    }));
    total.add(t);
    // a class of -infinity counts for nothing where the target is 0
    inner.add(each<U>([&](int i) { return t.v[i] == 0.0f ? vf{} : t.v[i] * x.v[i]; }));
  });
  const vf others = below.total() - __builtin_convertvector(maxima + 1, vf), S = 1.0f + others, inverse = 1.0f / S;
  ColumnSum squares;
  for_classes(K, [&]<int U>(const Bundle<U>&, int64_t k) {
    squares.add_squares(each<U>([&](int i) { return column(columns, k + i) * inverse - column(targets, k + i); }));
  });
  const vf log_S = log_of_one_and(Bundle<1>{{others}}, Bundle<1>{{S}}).v[0];
  store(out.loss, total.total() * log_S - inner.total());
  store(out.el2n, sqrt_of(squares.total()));
}

// Rows [begin, end); the last ones that fill no group are computed beside rows of zeros, so that a row's bits do not depend on where it is.
void narrow_rows(const KernelArgs& args, int64_t begin, int64_t end, void* memory) {
  const int64_t K = classes_of(args);
  const NarrowScratch scratch(memory, K);
  const bool hard = has_labels(args);
  const auto group_sums = [&](const float* z, const void* target) {
    if (K == kFixed) return fixed_hard(z, static_cast<const int32_t*>(target));
    load_columns(z, K, scratch.z);
    return narrow_hard(scratch.z, static_cast<const int32_t*>(target), K);
  };
  const auto group = [&](const float* z, const void* target, const Outputs& out) {
    if (hard) {
      const HardSums sums = group_sums(z, target);
      return finish_hard<1>(&sums, out);
    }
    load_columns(z, K, scratch.z);
    load_columns(static_cast<const float*>(target), K, scratch.t);
    narrow_soft(scratch.z, scratch.t, K, out);
  };
  const float* z = args.in[0].as<const float>();
  const char* target = args.in[1].as<const char>();
  const int64_t target_bytes = hard ? 4 : K * 4;
  const Outputs out{args.out[0].as<float>(), args.out[1].as<float>()};
  int64_t r = begin;
  for (; hard && r + 4 * VW <= end; r += 4 * VW) {
    HardSums sums[4];
    for (int i = 0; i < 4; ++i) sums[i] = group_sums(z + (r + i * VW) * K, target + (r + i * VW) * 4);
    finish_hard<4>(sums, {out.loss + r, out.el2n + r});
  }
  for (; r + VW <= end; r += VW) group(z + r * K, target + r * target_bytes, {out.loss + r, out.el2n + r});
  if (r == end) return;
  const size_t rest = static_cast<size_t>(end - r);
  float loss[VW], el2n[VW];
  fill_group(scratch.z_rows, z + r * K, rest * static_cast<size_t>(K), K);
  fill_group(scratch.t_rows, target + r * target_bytes, rest * static_cast<size_t>(target_bytes / 4), target_bytes / 4);
  group(scratch.z_rows, scratch.t_rows, {loss, el2n});
  memcpy(out.loss + r, loss, rest * sizeof(float));
  memcpy(out.el2n + r, el2n, rest * sizeof(float));
}

// ---- many classes -----------------------------------------------------------------------------------------------------------------

ALUDEL_INLINE void wide_hard(const float* z, int64_t label, int64_t K, float* loss, float* el2n) {
  const float m = row_max(z, K);
  RunningSum others, squares;
  for_exponentials(
      z, m, K, label, [&](int64_t, vf e, const auto&) { others.add(e), squares.add(e * e); }, [&] { others.flush(), squares.flush(); });
  const double own = static_cast<double>(z[label] - m), R = others.total(), S = R + exp(own);
  *loss = static_cast<float>(own == 0 ? log1p(R) : log(S) - own);
  *el2n = static_cast<float>(sqrt(squares.total() + R * R) / S);
}

ALUDEL_INLINE void wide_soft(const float* z, const float* t, int64_t K, float* e, float* loss, float* el2n) {
  const float m = row_max(z, K);
  ExactSum sum;
  RunningSum total, inner, squares;
  for_exponentials(
      z, m, K, -1,
      [&](int64_t k, vf v, const auto& lanes) {
        store(e + k, v, lanes);
        sum.add(v);
        const vf target = load(t + k, lanes), x = load(z + k, lanes) - m;
        total.add(target);
        inner.add(target == 0.0f ? vf{} : target * x);
      },
      [&] { total.flush(), inner.flush(); });
  const vf inverse = splat(static_cast<float>(1 / sum.total()));
  for_parts(
      K,
      [&](int64_t k, const auto& lanes) {
        const vf error = load(e + k, lanes) * inverse - load(t + k, lanes);
        squares.add(error * error);
      },
      [&] { squares.flush(); });
  *loss = static_cast<float>(total.total() * log1p(sum.total() - 1) - inner.total());
  *el2n = static_cast<float>(sqrt(squares.total()));
}

void wide_rows(const KernelArgs& args, int64_t begin, int64_t end, void* scratch) {
  const int64_t K = classes_of(args);
  for (int64_t r = begin; r < end; ++r) {
    const float* z = args.in[0].as<const float>() + r * K;
    float *loss = args.out[0].as<float>() + r, *el2n = args.out[1].as<float>() + r;
    if (has_labels(args))
      wide_hard(z, args.in[1].as<const int32_t>()[r], K, loss, el2n);
    else
      wide_soft(z, args.in[1].as<const float>() + r * K, K, static_cast<float*>(scratch), loss, el2n);
  }
}

// ---- the last layer's gradient ----------------------------------------------------------------------------------------------------

ALUDEL_INLINE bool has_features(const KernelArgs& args) { return args.nin == 3; }

void last_layer_rows(const KernelArgs& args, int64_t begin, int64_t end) {
  const int64_t width = args.in[2].dim(-1);
  const float *h = args.in[2].as<const float>(), *el2n = args.out[1].as<const float>();
  float* norm = args.out[2].as<float>();
  for (int64_t r = begin; r < end; ++r) {
    RunningSum squares;
    for_parts(
        width,
        [&](int64_t i, const auto& lanes) {
          const vf x = load(h + r * width + i, lanes);
          squares.add(x * x);
        },
        [&] { squares.flush(); });
    norm[r] = static_cast<float>(static_cast<double>(el2n[r]) * sqrt(squares.total() + 1));
  }
}

Status check_softmax_ce(const KernelArgs& args) {
  const int operands = args.nin == 3 ? 3 : 2;
  ALUDEL_RETURN_IF_ERROR(check_target("softmax_ce", args, operands, operands));
  const TensorRef& z = args.in[0];
  for (int o = 0; o < operands; ++o)
    if (!is_per_row(args.out[o], z)) return wrong("softmax_ce", "f32 outputs with one element per row");
  if (!has_features(args)) return {};
  const TensorRef& h = args.in[2];
  const bool fits = h.dtype == DType::f32 && h.rank == z.rank && same_leading(h, z, z.rank - 1) && h.dim(-1) >= 1;
  return fits ? Status{} : wrong("softmax_ce", "f32 features [..., D] with the rows of the logits");
}

int64_t scratch_softmax_ce(const KernelArgs& args) {
  const int64_t K = classes_of(args);
  return K <= kNarrow ? NarrowScratch::bytes(K) : K * 4;
}

Status run_softmax_ce(const KernelArgs& args, Exec& exec) {
  ALUDEL_RETURN_IF_ERROR(check_labels("softmax_ce", args, exec));
  const bool narrow = classes_of(args) <= kNarrow;
  parallel_ranges(exec, rows_of(args), rows_per_task(classes_of(args)), [&](int64_t begin, int64_t end, void* scratch) {
    narrow ? narrow_rows(args, begin, end, scratch) : wide_rows(args, begin, end, scratch);
    if (has_features(args)) last_layer_rows(args, begin, end);
  });
  return {};
}

}  // namespace

extern const Kernel kernel_softmax_ce;
const Kernel kernel_softmax_ce = {check_softmax_ce, scratch_softmax_ce, run_softmax_ce};

}  // namespace aludel::cpu::ALUDEL_ISA
