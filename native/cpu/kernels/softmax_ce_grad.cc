// softmax_ce_grad: dz = g (T softmax(z) - t). With a hard label y the sum leaves y out, R = sum_{k != y} e_k: dz_y = -g R / S is then no
// difference of two numbers near 1.
#include "native/cpu/kernels/softmax_narrow.h"
#include "native/cpu/kernels/softmax_wide.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

// ---- few classes: columns become those of dz ------------------------------------------------------------------------------------------

ALUDEL_INLINE void narrow_hard(float* columns, const int32_t* labels, int64_t K, vf g) {
  const vf m = column_max(columns, K);
  const vi y = *reinterpret_cast<const viu*>(labels);
  vf own{};
  ColumnSum others;
  for_classes(K, [&]<int U>(const Bundle<U>&, int64_t k) {
    const auto x = each<U>([&](int i) { return column(columns, k + i) - m; });
    const auto exponential = exp_at_most_0(x);
    const auto e = each<U>([&](int i) {
      const vi is_own = y == static_cast<int32_t>(k + i);
      own = is_own ? x.v[i] : own;
      return as_float(as_int(exponential.v[i]) & ~is_own);
    });
    others.add(e);
    put_columns(columns, k, e);
  });
  const vf R = others.total(), scale = g / (R + exp_at_most_0(own)), at_label = -R * scale;
  for (int64_t k = 0; k < K; ++k) put_column(columns, k, y == static_cast<int32_t>(k) ? at_label : column(columns, k) * scale);
}

ALUDEL_INLINE void narrow_soft(float* columns, const float* targets, int64_t K, vf g) {
  const vf m = column_max(columns, K);
  ColumnSum sum, total;
  for_classes(K, [&]<int U>(const Bundle<U>&, int64_t k) {
    const auto e = exp_at_most_0(each<U>([&](int i) { return column(columns, k + i) - m; }));
    put_columns(columns, k, e);
    sum.add(e), total.add(each<U>([&](int i) { return column(targets, k + i); }));
  });
  const vf scale = total.total() / sum.total();
  for (int64_t k = 0; k < K; ++k) put_column(columns, k, g * (column(columns, k) * scale - column(targets, k)));
}

void narrow_rows(const KernelArgs& args, int64_t begin, int64_t end, void* memory) {
  const int64_t K = classes_of(args);
  const NarrowScratch scratch(memory, K);
  const bool hard = has_labels(args);
  const auto group = [&](const float* z, const void* target, const float* g, float* dz) {
    load_columns(z, K, scratch.z);
    if (hard) {
      narrow_hard(scratch.z, static_cast<const int32_t*>(target), K, load(g));
    } else {
      load_columns(static_cast<const float*>(target), K, scratch.t);
      narrow_soft(scratch.z, scratch.t, K, load(g));
    }
    store_columns(scratch.z, K, dz);
  };
  const float *z = args.in[0].as<const float>(), *g = args.in[2].as<const float>();
  const char* target = args.in[1].as<const char>();
  const int64_t target_bytes = hard ? 4 : K * 4;
  float* dz = args.out[0].as<float>();
  int64_t r = begin;
  for (; r + VW <= end; r += VW) group(z + r * K, target + r * target_bytes, g + r, dz + r * K);
  if (r == end) return;
  const size_t rest = static_cast<size_t>(end - r);
  float g_rest[VW];
  fill_group(scratch.z_rows, z + r * K, rest * static_cast<size_t>(K), K);
  fill_group(scratch.t_rows, target + r * target_bytes, rest * static_cast<size_t>(target_bytes / 4), target_bytes / 4);
  fill_group(g_rest, g + r, rest, 1);
  group(scratch.z_rows, scratch.t_rows, g_rest, scratch.z_rows);
  memcpy(dz + r * K, scratch.z_rows, rest * static_cast<size_t>(K) * sizeof(float));
}

// ---- many classes -----------------------------------------------------------------------------------------------------------------

ALUDEL_INLINE void wide_hard(const float* z, int64_t label, int64_t K, float g, float* dz) {
  const float m = row_max(z, K);
  RunningSum others;
  for_exponentials(
      z, m, K, label, [&](int64_t k, vf e, const auto& lanes) { others.add(e), store(dz + k, e, lanes); }, [&] { others.flush(); });
  const double R = others.total(), S = R + exp(static_cast<double>(z[label] - m));
  const float scale = static_cast<float>(g / S);
  for_parts(
      K, [&](int64_t k, const auto& lanes) { store(dz + k, load(dz + k, lanes) * scale, lanes); }, [] {});
  dz[label] = static_cast<float>(-g * (R / S));
}

ALUDEL_INLINE void wide_soft(const float* z, const float* t, int64_t K, float g, float* dz) {
  const float m = row_max(z, K);
  RunningSum sum, total;
  for_exponentials(
      z, m, K, -1,
      [&](int64_t k, vf e, const auto& lanes) {
        sum.add(e), total.add(load(t + k, lanes));
        store(dz + k, e, lanes);
      },
      [&] { sum.flush(), total.flush(); });
  const float scale = static_cast<float>(total.total() / sum.total());
  for_parts(
      K, [&](int64_t k, const auto& lanes) { store(dz + k, (load(dz + k, lanes) * scale - load(t + k, lanes)) * g, lanes); }, [] {});
}

void wide_rows(const KernelArgs& args, int64_t begin, int64_t end) {
  const int64_t K = classes_of(args);
  const float* g = args.in[2].as<const float>();
  for (int64_t r = begin; r < end; ++r) {
    const float* z = args.in[0].as<const float>() + r * K;
    float* dz = args.out[0].as<float>() + r * K;
    if (has_labels(args))
      wide_hard(z, args.in[1].as<const int32_t>()[r], K, g[r], dz);
    else
      wide_soft(z, args.in[1].as<const float>() + r * K, K, g[r], dz);
  }
}

Status check_softmax_ce_grad(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_target("softmax_ce_grad", args, 3, 1));
  bool fits = is_per_row(args.in[2], args.in[0]) && is_like(args.out[0], args.in[0]);
  return fits ? Status{} : wrong("softmax_ce_grad", "f32 g with one element per row and an f32 output of the logits' shape");
}

int64_t scratch_softmax_ce_grad(const KernelArgs& args) {
  const int64_t K = classes_of(args);
  return K <= kNarrow ? NarrowScratch::bytes(K) : 0;
}

Status run_softmax_ce_grad(const KernelArgs& args, Exec& exec) {
  ALUDEL_RETURN_IF_ERROR(check_labels("softmax_ce_grad", args, exec));
  const bool narrow = classes_of(args) <= kNarrow;
  parallel_ranges(exec, rows_of(args), rows_per_task(classes_of(args)), [&](int64_t begin, int64_t end, void* scratch) {
    narrow ? narrow_rows(args, begin, end, scratch) : wide_rows(args, begin, end);
  });
  return {};
}

}  // namespace

extern const Kernel kernel_softmax_ce_grad;
const Kernel kernel_softmax_ce_grad = {check_softmax_ce_grad, scratch_softmax_ce_grad, run_softmax_ce_grad};

}  // namespace aludel::cpu::ALUDEL_ISA
