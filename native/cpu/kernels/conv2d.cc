// conv2d and conv2d_input_grad: the same two engines with the roles of the maps exchanged, and a third for gradients into few channels.
#include "native/cpu/kernels/conv_direct.h"
#include "native/cpu/kernels/conv_input_grad_narrow.h"
#include "native/cpu/kernels/conv_winograd_forward.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

Status check_conv2d(const KernelArgs& args) {
  ConvGeometry g;
  return read_conv2d(args, &g);
}

Status check_conv2d_input_grad(const KernelArgs& args) {
  ConvGeometry g;
  return read_conv2d_input_grad(args, &g);
}

bool uses_narrow(const ConvGeometry& g) { return !g.winograd && narrow_input_grad(g.channels); }

int64_t engine_scratch(const ConvGeometry& g, ConvRole role) {
  return g.winograd ? winograd_scratch_bytes(g, role) : direct_scratch_bytes(g, role);
}

int64_t conv2d_scratch(const KernelArgs& args) {
  ConvGeometry g;
  return read_conv2d(args, &g).ok() ? engine_scratch(g, ConvRole::forward) : 0;
}

int64_t conv2d_input_grad_scratch(const KernelArgs& args) {
  ConvGeometry g;
  if (!read_conv2d_input_grad(args, &g).ok()) return 0;
  return uses_narrow(g) ? narrow_input_grad_scratch_bytes(g) : engine_scratch(g, ConvRole::input_grad);
}

void run_engine(const ConvGeometry& g, ConvRole role, const KernelArgs& args, const float* bias, Exec& exec) {
  const auto engine = g.winograd ? run_winograd : run_direct;
  engine(g, role, args.in[0].as<const float>(), args.in[1].as<const float>(), bias, args.out[0].as<float>(), exec);
}

Status run_conv2d(const KernelArgs& args, Exec& exec) {
  ConvGeometry g;
  ALUDEL_RETURN_IF_ERROR(read_conv2d(args, &g));
  run_engine(g, ConvRole::forward, args, args.nin == 3 ? args.in[2].as<const float>() : nullptr, exec);
  return {};
}

Status run_conv2d_input_grad(const KernelArgs& args, Exec& exec) {
  ConvGeometry g;
  ALUDEL_RETURN_IF_ERROR(read_conv2d_input_grad(args, &g));
  if (uses_narrow(g)) {
    run_narrow_input_grad(g, args.in[0].as<const float>(), args.in[1].as<const float>(), args.out[0].as<float>(), exec);
  } else {
    run_engine(g, ConvRole::input_grad, args, nullptr, exec);
  }
  return {};
}

}  // namespace

extern const Kernel kernel_conv2d;
extern const Kernel kernel_conv2d_input_grad;
const Kernel kernel_conv2d = {check_conv2d, conv2d_scratch, run_conv2d};
const Kernel kernel_conv2d_input_grad = {check_conv2d_input_grad, conv2d_input_grad_scratch, run_conv2d_input_grad};

}  // namespace aludel::cpu::ALUDEL_ISA
