// Softmax of rows one at a time: log_softmax, and the second derivative of softmax cross-entropy.
// With T = sum t, p = softmax(z): softmax_ce_grad_grad gives gz = g T p (u - <u, p>) and gg = <u, T p - t>. Row sums are float64.
#include "native/cpu/kernels/softmax.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

// ---- kernels --------------------------------------------------------------------------------------------------------------------

ALUDEL_INLINE vf load_part(const float* p, int64_t n, float fill) {
  alignas(64) float lanes[VW];
  for (int i = 0; i < VW; ++i) lanes[i] = i < n ? p[i] : fill;
  return *reinterpret_cast<vf*>(lanes);
}

// The maximum of a row. A NaN in the row may be passed over here; exp(NaN - max) then carries it into the sum.
ALUDEL_INLINE float row_max(const float* z, int64_t k) {
  float best = z[0];
  for (int64_t i = 1; i < k; ++i) best = z[i] > best ? z[i] : best;
  return best;
}

// e[i] = exp(z[i] - m); returns their sum.
ALUDEL_INLINE double row_exp(const float* z, float m, float* e, int64_t k) {
  double sum = 0;
  int64_t i = 0;
  for (; i + VW <= k; i += VW) store(e + i, exp_of(load(z + i) - m));
  if (i < k) {
    vf last = exp_of(load_part(z + i, k - i, m) - m);
    memcpy(e + i, &last, static_cast<size_t>(k - i) * sizeof(float));
  }
  for (i = 0; i < k; ++i) sum += static_cast<double>(e[i]);
  return sum;
}

// A row's target: t(i) of a soft one, or 1 at the label.
struct Target {
  const float* soft;
  int64_t label;
  ALUDEL_INLINE float operator()(int64_t i) const { return soft ? soft[i] : (i == label ? 1.0f : 0.0f); }
};

ALUDEL_INLINE double target_total(const Target& t, int64_t k) {
  if (!t.soft) return 1.0;
  double total = 0;
  for (int64_t i = 0; i < k; ++i) total += static_cast<double>(t.soft[i]);
  return total;
}

// p[i] = softmax(z)[i]; returns log sum exp(z - m), m through *maximum.
ALUDEL_INLINE double row_softmax(const float* z, float* p, int64_t k, float* maximum) {
  *maximum = row_max(z, k);
  double sum = row_exp(z, *maximum, p, k);
  float scale = static_cast<float>(1.0 / sum);
  for (int64_t i = 0; i < k; ++i) p[i] *= scale;
  return log(sum);
}

void log_softmax_row(const float* z, float* y, int64_t k) {
  float m = row_max(z, k);
  float log_sum = static_cast<float>(log(row_exp(z, m, y, k)));
  for (int64_t i = 0; i < k; ++i) y[i] = (z[i] - m) - log_sum;
}

void log_softmax_row(const double* z, double* y, int64_t k) {
  double m = z[0], sum = 0;
  for (int64_t i = 1; i < k; ++i) m = z[i] > m ? z[i] : m;
  for (int64_t i = 0; i < k; ++i) sum += exp(z[i] - m);
  double log_sum = log(sum);
  for (int64_t i = 0; i < k; ++i) y[i] = (z[i] - m) - log_sum;
}

void softmax_ce_grad_grad_row(const float* z, const Target& t, int64_t k, float g, const float* u, float* gz, float* gg) {
  float m;
  row_softmax(z, gz, k, &m);
  double total = target_total(t, k), up = 0, ut = 0;
  for (int64_t i = 0; i < k; ++i) {
    up += static_cast<double>(u[i]) * static_cast<double>(gz[i]);
    ut += static_cast<double>(u[i]) * static_cast<double>(t(i));
  }
  *gg = static_cast<float>(total * up - ut);
  float scale = g * static_cast<float>(total), mean = static_cast<float>(up);
  for (int64_t i = 0; i < k; ++i) gz[i] = scale * gz[i] * (u[i] - mean);
}

// ---- check, scratch, run ----------------------------------------------------------------------------------------------------------

Target target_of(const KernelArgs& args, int64_t row, int64_t classes) {
  if (args.in[1].dtype == DType::i32) return {nullptr, args.in[1].as<const int32_t>()[row]};
  return {args.in[1].as<const float>() + row * classes, -1};
}

Status check_log_softmax(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_arity("log_softmax", args, 1, 1, 0));
  const TensorRef &x = args.in[0], &y = args.out[0];
  if ((x.dtype != DType::f32 && x.dtype != DType::f64) || y.dtype != x.dtype || !same_shape(x, y))
    return wrong("log_softmax", "f32 or f64, the same shape and dtype out");
  return x.rank >= 1 && x.dim(-1) >= 1 ? Status{} : wrong("log_softmax", "a last axis of at least one element");
}
Status run_log_softmax(const KernelArgs& args, Exec& exec) {
  int64_t k = classes_of(args);
  parallel_ranges(exec, rows_of(args), rows_per_task(k), [&](int64_t begin, int64_t end, void*) {
    for (int64_t r = begin; r < end; ++r) {
      if (args.in[0].dtype == DType::f32)
        log_softmax_row(args.in[0].as<const float>() + r * k, args.out[0].as<float>() + r * k, k);
      else
        log_softmax_row(args.in[0].as<const double>() + r * k, args.out[0].as<double>() + r * k, k);
    }
  });
  return {};
}

Status check_softmax_ce_grad_grad(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_target("softmax_ce_grad_grad", args, 4, 2));
  const TensorRef& z = args.in[0];
  bool fits = is_per_row(args.in[2], z) && is_like(args.in[3], z) && is_like(args.out[0], z) && is_per_row(args.out[1], z);
  return fits ? Status{} : wrong("softmax_ce_grad_grad", "f32: g and gg with one element per row, u and gz of the logits' shape");
}
Status run_softmax_ce_grad_grad(const KernelArgs& args, Exec& exec) {
  ALUDEL_RETURN_IF_ERROR(check_labels("softmax_ce_grad_grad", args, exec));
  int64_t k = classes_of(args);
  parallel_ranges(exec, rows_of(args), rows_per_task(k), [&](int64_t begin, int64_t end, void*) {
    for (int64_t r = begin; r < end; ++r)
      softmax_ce_grad_grad_row(args.in[0].as<const float>() + r * k, target_of(args, r, k), k, args.in[2].as<const float>()[r],
                               args.in[3].as<const float>() + r * k, args.out[0].as<float>() + r * k, args.out[1].as<float>() + r);
  });
  return {};
}

}  // namespace

extern const Kernel kernel_log_softmax;
extern const Kernel kernel_softmax_ce_grad_grad;
const Kernel kernel_log_softmax = {check_log_softmax, nullptr, run_log_softmax};
const Kernel kernel_softmax_ce_grad_grad = {check_softmax_ce_grad_grad, nullptr, run_softmax_ce_grad_grad};

}  // namespace aludel::cpu::ALUDEL_ISA
