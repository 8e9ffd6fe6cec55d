// conv2d_weight_grad: positions are cut into parts by shape, and the parts' sums added in float64 and in order.
#include "native/cuda/kernels/weight_grad_problem.cuh"

namespace aludel::cuda {
namespace {

template <int x_vector, int dy_vector>
Status launch_vectors(const ConvShape& s, const WeightGrad& p, void* workspace, const Context& context) {
  const GemmPlan plan = weight_grad_plan(s, true);
  const int64_t weights = s.groups * s.weights(), biases = s.groups * s.filters;
  if (plan.splits == 1) return launch_gemm(weight_grad_problem<x_vector, dy_vector>(s, p), plan, s.groups, context);
  float *dw = static_cast<float*>(workspace), *db = dw + plan.splits * weights;
  ALUDEL_RETURN_IF_ERROR(launch_gemm(weight_grad_problem<x_vector, dy_vector>(s, {p.x, p.dy, dw, db}), plan, s.groups, context));
  ALUDEL_RETURN_IF_ERROR(sum_splits(dw, plan.splits, weights, nullptr, 1, 1, p.dw, context));
  return sum_splits(db, plan.splits, biases, nullptr, 1, 1, p.db, context);
}

ConvShape shape_of(const KernelArgs& args) {
  ConvShape s = conv_maps(args.in[0], args.in[1], args.attrs);
  set_weights(args.out[0], 0, &s);
  return s;
}

int64_t workspace_bytes(const KernelArgs& args, const DeviceInfo&) { return weight_grad_workspace_bytes(shape_of(args)); }

Status launch_kernel(const KernelArgs& args, const Context& context) {
  ALUDEL_RETURN_IF_ERROR(check_places("conv2d_weight_grad", args));
  const WeightGrad p = {args.in[0].as<const float>(), args.in[1].as<const float>(), args.out[0].as<float>(), args.out[1].as<float>()};
  return launch_weight_grad(shape_of(args), p, context.workspace, context);
}

Status check(const KernelArgs& args) { return check_conv("conv2d_weight_grad", shape_of(args)); }

}  // namespace

int64_t weight_grad_workspace_bytes(const ConvShape& s) {
  return gemm_workspace_bytes(weight_grad_plan(s, true), s.groups * (s.weights() + s.filters));
}

Status launch_weight_grad(const ConvShape& s, const WeightGrad& p, void* workspace, const Context& context) {
  if (s.filters % 4 != 0) return launch_vectors<1, 1>(s, p, workspace, context);
  return s.channels % 4 == 0 ? launch_vectors<4, 4>(s, p, workspace, context) : launch_vectors<1, 4>(s, p, workspace, context);
}

extern const Kernel kernel_conv2d_weight_grad;
const Kernel kernel_conv2d_weight_grad = {workspace_bytes, launch_kernel, check};

}  // namespace aludel::cuda
