// gram: see native/cuda/linalg/gram.h.
#include "native/cuda/kernels/launching.h"
#include "native/cuda/linalg/gram.h"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 256;

GramShape shape_of(const KernelArgs& args) { return {args.in[0].dims[0], args.in[0].dims[1]}; }

int64_t workspace_bytes(const KernelArgs& args, const DeviceInfo&) {
  const GramShape shape = shape_of(args);
  return shape.rows == 0 || shape.features == 0 ? 0 : gram_workspace_bytes(shape);
}

__global__ void __launch_bounds__(kThreads) clear(Guard guard, double* to, int64_t n) {
  if (guard.stopped()) return;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += int64_t{gridDim.x} * kThreads) to[i] = 0;
}

Status launch_kernel(const KernelArgs& args, const Context& context) {
  const GramShape shape = shape_of(args);
  double* k = args.out[0].as<double>();
  const int64_t n = args.out[0].numel();
  if (n == 0) return {};
  if (shape.features == 0) return launched(context, clear, grid_for(n, kThreads, *context.device), kThreads, 0, k, n);  // sums over nothing
  if (args.in[0].dtype == DType::f32)
    return launch_gram(shape, args.in[0].as<const float>(), k, Triangle::both, context.workspace, context);
  return launch_gram(shape, args.in[0].as<const double>(), k, Triangle::both, context.workspace, context);
}

}  // namespace

extern const Kernel kernel_gram;
const Kernel kernel_gram = {workspace_bytes, launch_kernel};

}  // namespace aludel::cuda
