// The two halves of a sum over slices: accumulate adds a slice into its lane's partial, lane_sum joins the lanes.
// Lanes are joined in float64 by a binary tree whose form depends on their number alone.
#include "native/cpu/kernels/checks.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kGrain = 32768;
constexpr int64_t kBlock = 256;     // lane_sum: elements joined at a time
constexpr int64_t kMaxLevels = 17;  // up to 2^16 lanes

// ---- accumulate -----------------------------------------------------------------------------------------------------------------

template <typename S, typename D>
void accumulate_range(const S* __restrict__ x, D* __restrict__ acc, int64_t n, bool first) {
  if (first)
    for (int64_t i = 0; i < n; ++i) acc[i] = static_cast<D>(x[i]);
  else
    for (int64_t i = 0; i < n; ++i) acc[i] += static_cast<D>(x[i]);
}

bool is_float(DType dtype) { return dtype == DType::f32 || dtype == DType::f64; }

Status check_accumulate(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_arity("accumulate", args, 1, 1, 0));
  const TensorRef &x = args.in[0], &acc = args.out[0];
  if (!is_float(x.dtype) || !is_float(acc.dtype)) return wrong("accumulate", "f32 or f64");
  return same_shape(x, acc) ? Status{} : wrong("accumulate", "a partial of the input's shape");
}
Status run_accumulate(const KernelArgs& args, Exec& exec) {
  const TensorRef &x = args.in[0], &acc = args.out[0];
  bool first = exec.first_slice;
  parallel_ranges(exec, x.numel(), kGrain, [&](int64_t begin, int64_t end, void*) {
    int64_t n = end - begin;
    if (x.dtype == DType::f32 && acc.dtype == DType::f32) accumulate_range(x.as<const float>() + begin, acc.as<float>() + begin, n, first);
    if (x.dtype == DType::f32 && acc.dtype == DType::f64) accumulate_range(x.as<const float>() + begin, acc.as<double>() + begin, n, first);
    if (x.dtype == DType::f64 && acc.dtype == DType::f32) accumulate_range(x.as<const double>() + begin, acc.as<float>() + begin, n, first);
    if (x.dtype == DType::f64 && acc.dtype == DType::f64)
      accumulate_range(x.as<const double>() + begin, acc.as<double>() + begin, n, first);
  });
  return {};
}

// ---- lane_sum -------------------------------------------------------------------------------------------------------------------

// Like a binary counter: after lane l, equal halves that are complete are joined; what is left over is joined from the right.
template <typename S, typename D>
void join_lanes(const S* x, int64_t lanes, int64_t stride, D* y, int64_t n, double* levels) {
  int depth = 0;
  for (int64_t lane = 0; lane < lanes; ++lane) {
    double* top = levels + depth * kBlock;
    for (int64_t i = 0; i < n; ++i) top[i] = static_cast<double>(x[lane * stride + i]);
    ++depth;
    for (int64_t carry = lane; carry & 1; carry >>= 1) {
      --depth;
      double *left = levels + (depth - 1) * kBlock, *right = levels + depth * kBlock;
      for (int64_t i = 0; i < n; ++i) left[i] += right[i];
    }
  }
  for (; depth > 1; --depth) {
    double *left = levels + (depth - 2) * kBlock, *right = levels + (depth - 1) * kBlock;
    for (int64_t i = 0; i < n; ++i) left[i] += right[i];
  }
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<D>(levels[i]);
}

Status check_lane_sum(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_arity("lane_sum", args, 1, 1, 0));
  const TensorRef &x = args.in[0], &y = args.out[0];
  if (!is_float(x.dtype) || !is_float(y.dtype)) return wrong("lane_sum", "f32 or f64 partials and sum");
  if (x.rank < 1 || x.dims[0] < 1 || x.dims[0] > 65536 || y.rank != x.rank - 1)
    return wrong("lane_sum", "partials [L,...] of 1..65536 lanes");
  for (int d = 0; d < y.rank; ++d)
    if (y.dims[d] != x.dims[d + 1]) return wrong("lane_sum", "a sum of one lane's shape");
  return {};
}
int64_t scratch_lane_sum(const KernelArgs&) { return kMaxLevels * kBlock * 8; }

template <typename S, typename D>
void lane_sum(const TensorRef& x, const TensorRef& y, Exec& exec) {
  int64_t n = y.numel(), lanes = x.dims[0];
  int64_t per_task = round_up(max_of(1, kGrain / lanes), kBlock);
  parallel_ranges(exec, n, per_task, [&](int64_t begin, int64_t end, void* scratch) {
    for (int64_t i = begin; i < end; i += kBlock)
      join_lanes(x.as<const S>() + i, lanes, n, y.as<D>() + i, min_of(kBlock, end - i), static_cast<double*>(scratch));
  });
}
Status run_lane_sum(const KernelArgs& args, Exec& exec) {
  const TensorRef &x = args.in[0], &y = args.out[0];
  if (x.dtype == DType::f32 && y.dtype == DType::f32) lane_sum<float, float>(x, y, exec);
  if (x.dtype == DType::f32 && y.dtype == DType::f64) lane_sum<float, double>(x, y, exec);
  if (x.dtype == DType::f64 && y.dtype == DType::f32) lane_sum<double, float>(x, y, exec);
  if (x.dtype == DType::f64 && y.dtype == DType::f64) lane_sum<double, double>(x, y, exec);
  return {};
}

}  // namespace

extern const Kernel kernel_accumulate;
extern const Kernel kernel_lane_sum;
const Kernel kernel_accumulate = {check_accumulate, nullptr, run_accumulate};
const Kernel kernel_lane_sum = {check_lane_sum, scratch_lane_sum, run_lane_sum};

}  // namespace aludel::cpu::ALUDEL_ISA
