// norm_act_pool_grad_grad: gradients of <ux, dx> + <ugamma, dgamma> + <ubeta, dbeta> with respect to x, gamma and gy.
#include "native/cuda/kernels/norm_grad.cuh"

namespace aludel::cuda {
namespace {

Status launch_second_order(const KernelArgs& args, const Context& context) {
  NormGrad a{};
  a.ux = args.in[6].as<const float>(), a.ugamma = args.in[7].as<const float>(), a.ubeta = args.in[8].as<const float>();
  a.gx = args.out[0].as<float>(), a.ggy = args.out[2].as<float>();
  a.total_out[SecondOrder::kGgamma] = args.out[1].as<float>();
  return launch_grad<SecondOrder>(a, args, context);
}

}  // namespace

extern const Kernel kernel_norm_act_pool_grad_grad;
const Kernel kernel_norm_act_pool_grad_grad = {grad_workspace_bytes<SecondOrder>, launch_second_order, check_norm};

}  // namespace aludel::cuda
