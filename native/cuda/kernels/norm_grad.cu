// norm_act_pool_grad: gz = [z>0] pool^T(gy), t = gamma gz, dx = rstd (t - mean(t) - xh mean(t xh)), dgamma = sum gz xh, dbeta = sum gz.
#include "native/cuda/kernels/norm_grad.cuh"

namespace aludel::cuda {
namespace {

constexpr int kPlainAttributes = 5;

Status launch_first_order(const KernelArgs& args, const Context& context) {
  NormGrad a{};
  a.gx = args.out[0].as<float>();
  a.total_out[FirstOrder::kDgamma] = args.out[1].as<float>(), a.total_out[FirstOrder::kDbeta] = args.out[2].as<float>();
  if (args.nattrs <= kPlainAttributes) return launch_grad<FirstOrder>(a, args, context);
  a.positions = args.in[6].as<const float>(), a.channels = args.in[7].as<const float>();
  return launch_grad<FirstOrderOfSums>(a, args, context);
}

}  // namespace

extern const Kernel kernel_norm_act_pool_grad;
const Kernel kernel_norm_act_pool_grad = {grad_workspace_bytes<FirstOrder>, launch_first_order, check_norm};

}  // namespace aludel::cuda
