// Softmax family over the last axis: log_softmax, and softmax cross-entropy with its first and second derivative. One row at a time.
// With T = sum t: loss = T log sum exp(z - max) - <t, z - max>, where the maximum cancels exactly, so logits of 1e4 lose nothing.
// Row sums accumulate in float64. Hard labels are checked before anything is written.
#include "native/cpu/kernels/checks.h"
#include "native/cpu/kernels/elementwise_math.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kGrain = 8192;  // elements of one task

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

void softmax_ce_row(const float* z, const Target& t, int64_t k, float* p, float* loss, float* el2n) {
  float m;
  double log_sum = row_softmax(z, p, k, &m), inner = 0, squares = 0;
  for (int64_t i = 0; i < k; ++i) {
    double weight = static_cast<double>(t(i)), error = static_cast<double>(p[i]) - weight;
    if (weight != 0) inner += weight * static_cast<double>(z[i] - m);
    squares += error * error;
  }
  *loss = static_cast<float>(target_total(t, k) * log_sum - inner);
  *el2n = static_cast<float>(sqrt(squares));
}

void softmax_ce_grad_row(const float* z, const Target& t, int64_t k, float g, float* dz) {
  float m;
  row_softmax(z, dz, k, &m);
  float total = static_cast<float>(target_total(t, k));
  for (int64_t i = 0; i < k; ++i) dz[i] = g * (total * dz[i] - t(i));
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

int64_t classes_of(const KernelArgs& args) { return args.in[0].dim(-1); }
int64_t rows_of(const KernelArgs& args) { return args.in[0].numel() / classes_of(args); }
int64_t rows_per_task(int64_t classes) { return max_of(1, kGrain / classes); }

bool is_per_row(const TensorRef& v, const TensorRef& z) {
  return v.dtype == DType::f32 && v.rank == z.rank - 1 && same_leading(v, z, v.rank);
}
bool is_like(const TensorRef& v, const TensorRef& z) { return v.dtype == DType::f32 && same_shape(v, z); }

// z f32 [..., K] with K >= 1, and a target that is i32 [...] or f32 [..., K].
Status check_target(const char* op, const KernelArgs& args, int nin, int nout) {
  ALUDEL_RETURN_IF_ERROR(check_arity(op, args, nin, nout, 0));
  const TensorRef &z = args.in[0], &target = args.in[1];
  if (z.dtype != DType::f32 || z.rank < 1 || z.dim(-1) < 1 || z.dim(-1) > INT32_MAX)
    return wrong(op, "f32 logits [..., K] with K of 1 or more");
  bool hard = target.dtype == DType::i32 && target.rank == z.rank - 1 && same_leading(target, z, target.rank);
  return hard || is_like(target, z) ? Status{} : wrong(op, "an i32 target [...] or an f32 target of the logits' shape");
}

Status check_labels(const char* op, const KernelArgs& args) {
  if (args.in[1].dtype != DType::i32) return {};
  const int32_t* labels = args.in[1].as<const int32_t>();
  int64_t classes = classes_of(args), rows = rows_of(args);
  for (int64_t r = 0; r < rows; ++r)
    if (labels[r] < 0 || labels[r] >= classes)
      return fail(Code::invalid_index, "%s: label %d of row %lld is outside 0..%lld", op, labels[r], static_cast<long long>(r),
                  static_cast<long long>(classes - 1));
  return {};
}

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

Status check_softmax_ce(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_target("softmax_ce", args, 2, 2));
  bool fits = is_per_row(args.out[0], args.in[0]) && is_per_row(args.out[1], args.in[0]);
  return fits ? Status{} : wrong("softmax_ce", "f32 outputs loss and el2n with one element per row");
}
int64_t scratch_softmax_ce(const KernelArgs& args) { return classes_of(args) * 4; }
Status run_softmax_ce(const KernelArgs& args, Exec& exec) {
  ALUDEL_RETURN_IF_ERROR(check_labels("softmax_ce", args));
  int64_t k = classes_of(args);
  parallel_ranges(exec, rows_of(args), rows_per_task(k), [&](int64_t begin, int64_t end, void* scratch) {
    for (int64_t r = begin; r < end; ++r)
      softmax_ce_row(args.in[0].as<const float>() + r * k, target_of(args, r, k), k, static_cast<float*>(scratch),
                     args.out[0].as<float>() + r, args.out[1].as<float>() + r);
  });
  return {};
}

Status check_softmax_ce_grad(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_target("softmax_ce_grad", args, 3, 1));
  bool fits = is_per_row(args.in[2], args.in[0]) && is_like(args.out[0], args.in[0]);
  return fits ? Status{} : wrong("softmax_ce_grad", "f32 g with one element per row and an f32 output of the logits' shape");
}
Status run_softmax_ce_grad(const KernelArgs& args, Exec& exec) {
  ALUDEL_RETURN_IF_ERROR(check_labels("softmax_ce_grad", args));
  int64_t k = classes_of(args);
  parallel_ranges(exec, rows_of(args), rows_per_task(k), [&](int64_t begin, int64_t end, void*) {
    for (int64_t r = begin; r < end; ++r)
      softmax_ce_grad_row(args.in[0].as<const float>() + r * k, target_of(args, r, k), k, args.in[2].as<const float>()[r],
                          args.out[0].as<float>() + r * k);
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
  ALUDEL_RETURN_IF_ERROR(check_labels("softmax_ce_grad_grad", args));
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
extern const Kernel kernel_softmax_ce;
extern const Kernel kernel_softmax_ce_grad;
extern const Kernel kernel_softmax_ce_grad_grad;
const Kernel kernel_log_softmax = {check_log_softmax, nullptr, run_log_softmax};
const Kernel kernel_softmax_ce = {check_softmax_ce, scratch_softmax_ce, run_softmax_ce};
const Kernel kernel_softmax_ce_grad = {check_softmax_ce_grad, nullptr, run_softmax_ce_grad};
const Kernel kernel_softmax_ce_grad_grad = {check_softmax_ce_grad_grad, nullptr, run_softmax_ce_grad_grad};

}  // namespace aludel::cpu::ALUDEL_ISA
