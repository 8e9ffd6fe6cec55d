// The two halves of a sum over slices: accumulate adds a slice into its lane's partial, lane_sum joins the lanes.
// Lanes are joined in float64 by the binary tree of the CPU kernel: its form depends on their number alone.
#include "native/cuda/kernels/launching.h"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kMaxLevels = 17;  // up to 2^16 lanes

template <typename S, typename D>
__global__ void __launch_bounds__(kThreads) accumulate(Guard guard, const S* x, D* sum, int64_t n, bool first) {
  if (guard.stopped()) return;
  const int64_t stride = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += stride)
    sum[i] = first ? static_cast<D>(x[i]) : static_cast<D>(sum[i] + static_cast<D>(x[i]));
}

// Like a binary counter: after lane l, equal halves that are complete are joined; what is left over is joined from the right.
template <typename S, typename D>
__global__ void __launch_bounds__(kThreads) lane_sum(Guard guard, const S* x, int64_t lanes, D* y, int64_t n) {
  if (guard.stopped()) return;
  const int64_t stride = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += stride) {
    double levels[kMaxLevels] = {0};
    int depth = 0;
    for (int64_t lane = 0; lane < lanes; ++lane) {
      levels[depth++] = static_cast<double>(x[lane * n + i]);
      for (int64_t carry = lane; carry & 1; carry >>= 1, --depth) levels[depth - 2] += levels[depth - 1];
    }
    for (; depth > 1; --depth) levels[depth - 2] += levels[depth - 1];
    y[i] = static_cast<D>(levels[0]);
  }
}

template <typename S, typename D>
Status launch_accumulate_of(const TensorRef& x, const TensorRef& sum, const Context& context) {
  const int64_t n = x.numel();
  return launched(context, accumulate<S, D>, grid_for(n, kThreads, *context.device), kThreads, 0, x.as<const S>(), sum.as<D>(), n,
                  context.first_slice);
}
template <typename S, typename D>
Status launch_lane_sum_of(const TensorRef& x, const TensorRef& y, const Context& context) {
  const int64_t n = y.numel();
  return launched(context, lane_sum<S, D>, grid_for(n, kThreads, *context.device), kThreads, 0, x.as<const S>(), x.dims[0], y.as<D>(), n);
}

Status launch_accumulate(const KernelArgs& args, const Context& context) {
  const TensorRef &x = args.in[0], &sum = args.out[0];
  if (x.numel() == 0) return {};
  if (x.dtype == DType::f32)
    return sum.dtype == DType::f32 ? launch_accumulate_of<float, float>(x, sum, context)
                                   : launch_accumulate_of<float, double>(x, sum, context);
  return sum.dtype == DType::f32 ? launch_accumulate_of<double, float>(x, sum, context)
                                 : launch_accumulate_of<double, double>(x, sum, context);
}
Status launch_lane_sum(const KernelArgs& args, const Context& context) {
  const TensorRef &x = args.in[0], &y = args.out[0];
  if (y.numel() == 0) return {};
  if (x.dtype == DType::f32)
    return y.dtype == DType::f32 ? launch_lane_sum_of<float, float>(x, y, context) : launch_lane_sum_of<float, double>(x, y, context);
  return y.dtype == DType::f32 ? launch_lane_sum_of<double, float>(x, y, context) : launch_lane_sum_of<double, double>(x, y, context);
}

}  // namespace

extern const Kernel kernel_accumulate;
extern const Kernel kernel_lane_sum;
const Kernel kernel_accumulate = {nullptr, launch_accumulate};
const Kernel kernel_lane_sum = {nullptr, launch_lane_sum};

}  // namespace aludel::cuda
