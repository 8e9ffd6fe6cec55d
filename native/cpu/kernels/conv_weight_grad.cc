// conv2d_weight_grad: reads the instruction and hands it to the direct or the Winograd engine.
#include "native/cpu/kernels/conv_weight_grad.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

Status check(const KernelArgs& args) {
  ConvGeometry g;
  return read_conv2d_weight_grad(args, &g);
}

int64_t scratch_bytes(const KernelArgs& args) {
  ConvGeometry g;
  if (!read_conv2d_weight_grad(args, &g).ok()) return 0;
  return g.winograd ? winograd_weight_grad_scratch_bytes(g) : direct_weight_grad_scratch_bytes(g);
}

Status run(const KernelArgs& args, Exec& exec) {
  ConvGeometry g;
  ALUDEL_RETURN_IF_ERROR(read_conv2d_weight_grad(args, &g));
  const WeightGradOperands operands{args.in[0].as<const float>(), args.in[1].as<const float>(), args.out[0].as<float>(),
                                    args.out[1].as<float>()};
  if (g.winograd) {
    run_winograd_weight_grad(g, operands, exec);
  } else {
    run_direct_weight_grad(g, operands, exec);
  }
  return {};
}

}  // namespace

extern const Kernel kernel_conv2d_weight_grad;
const Kernel kernel_conv2d_weight_grad = {check, scratch_bytes, run};

}  // namespace aludel::cpu::ALUDEL_ISA
