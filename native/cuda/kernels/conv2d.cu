// conv2d as one product per group: positions by (tap, channel) times (tap, channel) by filters.
#include "native/cuda/kernels/conv_shape.h"
#include "native/cuda/kernels/conv_source.cuh"
#include "native/cuda/kernels/gemm.cuh"
#include "native/cuda/kernels/matrix_source.cuh"

namespace aludel::cuda {
namespace {

template <int x_vector, int w_vector>
struct ForwardProblem {
  using A = PatchSource<x_vector>;
  using B = MatrixSource<false, w_vector>;
  static constexpr bool column_sums = false, squares = false;
  static constexpr GemmTiles tiles = {w_vector == 4, x_vector == 4, false};

  int m, n, k;
  PatchParams patches;
  PixelOrder order;
  FastDivision taps_across;
  const float *x, *w, *bias_data;
  int64_t x_stride, w_stride;
  float* out;
  int64_t split_stride;

  struct Part {
    int m, n, k;
    const ForwardProblem& problem;
    int64_t batch;

    __device__ __forceinline__ A a() const {
      const PatchParams& p = problem.patches;
      return {problem.x + batch * problem.x_stride, {p, problem.order, problem.taps_across, m, k, p.row0, p.column0}};
    }
    __device__ __forceinline__ B b() const { return {problem.w + batch * problem.w_stride, n, k, 1, static_cast<uint32_t>(n)}; }
    __device__ __forceinline__ int64_t row(int i) const { return (batch * m + i) * n; }
  };
  __device__ __forceinline__ Part part(int64_t batch) const { return {m, n, k, *this, batch}; }
  __device__ __forceinline__ const float* bias(int64_t batch) const { return bias_data == nullptr ? nullptr : bias_data + batch * n; }
};

ConvShape shape_of(const KernelArgs& args) {
  ConvShape s = conv_maps(args.in[0], args.out[0], args.attrs);
  set_weights(args.in[1], int(args.attrs[4]), &s);
  return s;
}

// With few channels x is gathered element by element; where the filters do not fill vectors either, only the exact core is there.
GemmPlan plan_of(const ConvShape& s) {
  const bool wide_x = s.channels % 4 == 0, wide_w = s.filters % 4 == 0;
  return gemm_plan({s.groups, s.positions(), s.filters, s.taps() * s.channels}, {wide_w, wide_x && wide_w, false});
}

template <int x_vector, int w_vector>
Status launch_vectors(const ConvShape& s, const KernelArgs& args, const Context& context) {
  const GemmPlan plan = plan_of(s);
  const int64_t count = s.groups * s.y_stride();
  const bool split = plan.splits > 1;
  const float* bias = args.nin == 3 ? args.in[2].as<const float>() : nullptr;
  float* out = split ? static_cast<float*>(context.workspace) : args.out[0].as<float>();
  const ForwardProblem<x_vector, w_vector> problem = {
      int(s.positions()),
      s.filters,
      int(s.taps() * s.channels),
      {{s.height, s.width, s.channels},
       -s.pad_height,
       s.stride_height,
       1,
       -s.pad_width,
       s.stride_width,
       1,
       FastDivision(uint32_t(s.channels))},
      {FastDivision(uint32_t(s.out_height)), FastDivision(uint32_t(s.out_width))},
      FastDivision(uint32_t(s.kernel_width)),
      args.in[0].as<const float>(),
      args.in[1].as<const float>(),
      split ? nullptr : bias,
      s.x_stride(),
      s.weight_stride,
      out,
      count,
  };
  ALUDEL_RETURN_IF_ERROR(launch_gemm(problem, plan, s.groups, context));
  if (!split) return {};
  return sum_splits(out, plan.splits, count, bias, s.positions(), s.filters, args.out[0].as<float>(), context);
}

int64_t workspace_bytes(const KernelArgs& args, const DeviceInfo&) {
  const ConvShape s = shape_of(args);
  return gemm_workspace_bytes(plan_of(s), s.groups * s.y_stride());
}

Status launch_kernel(const KernelArgs& args, const Context& context) {
  ALUDEL_RETURN_IF_ERROR(check_places("conv2d", args));
  const ConvShape s = shape_of(args);
  if (s.filters % 4 != 0) return launch_vectors<1, 1>(s, args, context);
  return s.channels % 4 == 0 ? launch_vectors<4, 4>(s, args, context) : launch_vectors<1, 4>(s, args, context);
}

Status check(const KernelArgs& args) { return check_conv("conv2d", shape_of(args)); }

}  // namespace

extern const Kernel kernel_conv2d;
const Kernel kernel_conv2d = {workspace_bytes, launch_kernel, check};

}  // namespace aludel::cuda
