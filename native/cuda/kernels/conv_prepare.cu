// conv2d_prepare. Weights are read as they are on this backend, so prepared ones [G,T,R,Sp] hold, for each group, the weights unchanged and
// zeros behind them; for either role and algorithm there is room. Readers only need to know how far apart the groups are.
#include "native/cuda/kernels/launching.h"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    prepare(Guard guard, const float* w, int64_t weights, float* prepared, int64_t stride, int64_t count) {
  if (guard.stopped()) return;
  const int64_t step = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count; i += step) {
    const int64_t group = i / stride, at = i - group * stride;
    prepared[i] = at < weights ? w[group * weights + at] : 0.f;
  }
}

Status launch_kernel(const KernelArgs& args, const Context& context) {
  const TensorRef &w = args.in[0], &prepared = args.out[0];
  const int64_t groups = w.dims[0], count = prepared.numel();
  return launched(context, prepare, grid_for(count, kThreads, *context.device, 4), kThreads, 0, w.as<const float>(), w.numel() / groups,
                  prepared.as<float>(), count / groups, count);
}

}  // namespace

extern const Kernel kernel_conv2d_prepare;
const Kernel kernel_conv2d_prepare = {nullptr, launch_kernel};

}  // namespace aludel::cuda
