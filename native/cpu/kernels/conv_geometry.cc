// Checks of the convolution ops. Programs are untrusted: every number that a kernel multiplies is bounded here first.
#include "native/cpu/kernels/conv_geometry.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kMaxDim = int64_t{1} << 24;
constexpr int64_t kMaxElements = int64_t{1} << 40;
// Bounds kernel_height * kernel_width * channels, which sizes scratch.
constexpr int64_t kMaxReduction = int64_t{1} << 20;
constexpr double kMaxAttribute = 65536;

Status check_tensor(const char* op, const char* name, const TensorRef& tensor, int rank) {
  if (tensor.dtype != DType::f32) return fail(Code::invalid_program, "%s: %s must be f32, got dtype %d", op, name, int(tensor.dtype));
  if (tensor.rank != rank) return fail(Code::invalid_program, "%s: %s must have rank %d, got %d", op, name, rank, tensor.rank);
  int64_t elements = 1;
  for (int i = 0; i < rank; ++i) {
    const int64_t dim = tensor.dims[i];
    if (dim < 1 || dim > kMaxDim) {
      return fail(Code::invalid_program, "%s: dimension %d of %s must be 1..%lld, got %lld", op, i, name, (long long)kMaxDim,
                  (long long)dim);
    }
    // Both factors are bounded, so this product cannot overflow before it is refused.
    elements *= dim;
    if (elements > kMaxElements) return fail(Code::invalid_program, "%s: %s has more than 2^40 elements", op, name);
  }
  return {};
}

Status check_counts(const char* op, const KernelArgs& args, int nin_min, int nin_max, int nout, int nattrs) {
  if (args.nin < nin_min || args.nin > nin_max || args.nout != nout) {
    return fail(Code::invalid_program, "%s: expected %d..%d inputs and %d outputs, got %d and %d", op, nin_min, nin_max, nout, args.nin,
                args.nout);
  }
  if (args.nattrs != nattrs) return fail(Code::invalid_program, "%s: expected %d attributes, got %d", op, nattrs, args.nattrs);
  return {};
}

Status read_integer(const char* op, const char* name, double value, double low, double high, int64_t* out) {
  // Written so that NaN is refused as well.
  if (!(value >= low && value <= high) || double(int64_t(value)) != value) {
    return fail(Code::invalid_program, "%s: %s must be an integer %.0f..%.0f, got %g", op, name, low, high, value);
  }
  *out = int64_t(value);
  return {};
}

Status read_attributes(const char* op, const KernelArgs& args, bool has_weights, ConvGeometry* g) {
  ALUDEL_RETURN_IF_ERROR(read_integer(op, "strideH", args.attrs[0], 1, kMaxAttribute, &g->stride_height));
  ALUDEL_RETURN_IF_ERROR(read_integer(op, "strideW", args.attrs[1], 1, kMaxAttribute, &g->stride_width));
  ALUDEL_RETURN_IF_ERROR(read_integer(op, "padH", args.attrs[2], 0, kMaxAttribute, &g->pad_height));
  ALUDEL_RETURN_IF_ERROR(read_integer(op, "padW", args.attrs[3], 0, kMaxAttribute, &g->pad_width));
  int64_t algorithm = 0;
  ALUDEL_RETURN_IF_ERROR(read_integer(op, "algorithm", args.attrs[4], 0, has_weights ? 17 : 1, &algorithm));
  if ((algorithm & ~int64_t{17}) != 0) {
    return fail(Code::invalid_program, "%s: algorithm must be 0 or 1, plus 16 for prepared weights, got %lld", op, (long long)algorithm);
  }
  g->winograd = (algorithm & 1) != 0;
  g->prepared = (algorithm & 16) != 0;
  return {};
}

Status read_weights(const char* op, const TensorRef& w, ConvRole role, ConvGeometry* g) {
  if (!g->prepared) {
    ALUDEL_RETURN_IF_ERROR(check_tensor(op, "w", w, 5));
    g->kernel_height = w.dims[1];
    g->kernel_width = w.dims[2];
    if (w.dims[0] != g->groups || w.dims[3] != g->channels || w.dims[4] != g->filters) {
      return fail(Code::invalid_program, "%s: w must be [%lld,KH,KW,%lld,%lld], got [%lld,KH,KW,%lld,%lld]", op, (long long)g->groups,
                  (long long)g->channels, (long long)g->filters, (long long)w.dims[0], (long long)w.dims[3], (long long)w.dims[4]);
    }
    return {};
  }
  ALUDEL_RETURN_IF_ERROR(check_tensor(op, "prepared w", w, 4));
  const int64_t reduced = role == ConvRole::forward ? g->channels : g->filters;
  const int64_t produced = round_up(role == ConvRole::forward ? g->filters : g->channels, kPreparedMultiple);
  int64_t side = 3;
  if (!g->winograd) {
    for (side = 1; side * side < w.dims[1];) ++side;
  }
  const int64_t points = g->winograd ? kWinogradPoints : side * side;
  if (w.dims[0] != g->groups || w.dims[1] != points || w.dims[2] != reduced || w.dims[3] != produced) {
    return fail(Code::invalid_program, "%s: prepared w must be [%lld,%lld,%lld,%lld], got [%lld,%lld,%lld,%lld]", op, (long long)g->groups,
                (long long)points, (long long)reduced, (long long)produced, (long long)w.dims[0], (long long)w.dims[1],
                (long long)w.dims[2], (long long)w.dims[3]);
  }
  g->kernel_height = g->kernel_width = side;
  return {};
}

Status check_output_size(const char* op, const char* axis, int64_t in, int64_t kernel, int64_t stride, int64_t pad, int64_t out) {
  const int64_t expected = in + 2 * pad < kernel ? 0 : (in + 2 * pad - kernel) / stride + 1;
  if (expected == out) return {};
  return fail(Code::invalid_program, "%s: %s of y must be %lld (input %lld, kernel %lld, stride %lld, pad %lld), got %lld", op, axis,
              (long long)expected, (long long)in, (long long)kernel, (long long)stride, (long long)pad, (long long)out);
}

Status check_kernel(const char* op, const ConvGeometry& g) {
  if (g.winograd && (g.kernel_height != 3 || g.kernel_width != 3 || g.stride_height != 1 || g.stride_width != 1 || g.pad_height != 1 ||
                     g.pad_width != 1)) {
    return fail(Code::invalid_program, "%s: Winograd needs a 3x3 kernel, stride 1, pad 1; use algorithm 0 for any other", op);
  }
  if (g.kernel_height > kMaxReduction || g.kernel_width > kMaxReduction / g.kernel_height ||
      larger(g.channels, g.filters) > kMaxReduction / g.taps()) {
    return fail(Code::invalid_program, "%s: kernel height * width * channels must not exceed %lld", op, (long long)kMaxReduction);
  }
  ALUDEL_RETURN_IF_ERROR(check_output_size(op, "height", g.height, g.kernel_height, g.stride_height, g.pad_height, g.out_height));
  return check_output_size(op, "width", g.width, g.kernel_width, g.stride_width, g.pad_width, g.out_width);
}

Status read_maps(const char* op, const TensorRef& x, const TensorRef& y, ConvGeometry* g) {
  ALUDEL_RETURN_IF_ERROR(check_tensor(op, "x", x, 5));
  ALUDEL_RETURN_IF_ERROR(check_tensor(op, "y", y, 5));
  if (x.dims[0] != y.dims[0] || x.dims[1] != y.dims[1]) {
    return fail(Code::invalid_program, "%s: x and y must agree in groups and images, got [%lld,%lld] and [%lld,%lld]", op,
                (long long)x.dims[0], (long long)x.dims[1], (long long)y.dims[0], (long long)y.dims[1]);
  }
  g->groups = x.dims[0];
  g->images = x.dims[1];
  g->height = x.dims[2];
  g->width = x.dims[3];
  g->channels = x.dims[4];
  g->out_height = y.dims[2];
  g->out_width = y.dims[3];
  g->filters = y.dims[4];
  return {};
}

Status check_per_filter(const char* op, const char* name, const TensorRef& tensor, const ConvGeometry& g) {
  ALUDEL_RETURN_IF_ERROR(check_tensor(op, name, tensor, 2));
  if (tensor.dims[0] == g.groups && tensor.dims[1] == g.filters) return {};
  return fail(Code::invalid_program, "%s: %s must be [%lld,%lld], got [%lld,%lld]", op, name, (long long)g.groups, (long long)g.filters,
              (long long)tensor.dims[0], (long long)tensor.dims[1]);
}

}  // namespace

Status read_conv2d(const KernelArgs& args, ConvGeometry* g) {
  const char* op = "conv2d";
  ALUDEL_RETURN_IF_ERROR(check_counts(op, args, 2, 3, 1, 5));
  ALUDEL_RETURN_IF_ERROR(read_attributes(op, args, true, g));
  ALUDEL_RETURN_IF_ERROR(read_maps(op, args.in[0], args.out[0], g));
  ALUDEL_RETURN_IF_ERROR(read_weights(op, args.in[1], ConvRole::forward, g));
  if (args.nin == 3) ALUDEL_RETURN_IF_ERROR(check_per_filter(op, "bias", args.in[2], *g));
  return check_kernel(op, *g);
}

Status read_conv2d_input_grad(const KernelArgs& args, ConvGeometry* g) {
  const char* op = "conv2d_input_grad";
  ALUDEL_RETURN_IF_ERROR(check_counts(op, args, 2, 2, 1, 5));
  ALUDEL_RETURN_IF_ERROR(read_attributes(op, args, true, g));
  ALUDEL_RETURN_IF_ERROR(read_maps(op, args.out[0], args.in[0], g));
  ALUDEL_RETURN_IF_ERROR(read_weights(op, args.in[1], ConvRole::input_grad, g));
  return check_kernel(op, *g);
}

Status read_conv2d_weight_grad(const KernelArgs& args, ConvGeometry* g) {
  const char* op = "conv2d_weight_grad";
  ALUDEL_RETURN_IF_ERROR(check_counts(op, args, 2, 2, 2, 5));
  ALUDEL_RETURN_IF_ERROR(read_attributes(op, args, false, g));
  ALUDEL_RETURN_IF_ERROR(read_maps(op, args.in[0], args.in[1], g));
  ALUDEL_RETURN_IF_ERROR(read_weights(op, args.out[0], ConvRole::forward, g));
  ALUDEL_RETURN_IF_ERROR(check_per_filter(op, "db", args.out[1], *g));
  return check_kernel(op, *g);
}

Status read_conv2d_weight_grad_squared_norm(const KernelArgs& args, ConvGeometry* g, bool* gram) {
  const char* op = "conv2d_weight_grad_squared_norm";
  ALUDEL_RETURN_IF_ERROR(check_counts(op, args, 2, 2, 2, 7));
  ALUDEL_RETURN_IF_ERROR(read_attributes(op, args, false, g));
  *gram = g->winograd;  // bit 0 of the algorithm means another thing here
  g->winograd = false;
  ALUDEL_RETURN_IF_ERROR(read_integer(op, "kernelH", args.attrs[5], 1, kMaxAttribute, &g->kernel_height));
  ALUDEL_RETURN_IF_ERROR(read_integer(op, "kernelW", args.attrs[6], 1, kMaxAttribute, &g->kernel_width));
  ALUDEL_RETURN_IF_ERROR(read_maps(op, args.in[0], args.in[1], g));
  for (int o = 0; o < 2; ++o) {
    ALUDEL_RETURN_IF_ERROR(check_tensor(op, "squares", args.out[o], 1));
    if (args.out[o].dims[0] != g->groups)
      return fail(Code::invalid_program, "%s: squares must be [%lld], got [%lld]", op, (long long)g->groups,
                  (long long)args.out[o].dims[0]);
  }
  return check_kernel(op, *g);
}

Status read_conv2d_prepare(const KernelArgs& args, PrepareGeometry* g) {
  const char* op = "conv2d_prepare";
  ALUDEL_RETURN_IF_ERROR(check_counts(op, args, 1, 1, 1, 2));
  int64_t role = 0, algorithm = 0;
  ALUDEL_RETURN_IF_ERROR(read_integer(op, "role", args.attrs[0], 0, 1, &role));
  ALUDEL_RETURN_IF_ERROR(read_integer(op, "algorithm", args.attrs[1], 0, 1, &algorithm));
  g->role = role == 0 ? ConvRole::forward : ConvRole::input_grad;
  g->winograd = algorithm == 1;
  const TensorRef& w = args.in[0];
  const TensorRef& out = args.out[0];
  ALUDEL_RETURN_IF_ERROR(check_tensor(op, "w", w, 5));
  ALUDEL_RETURN_IF_ERROR(check_tensor(op, "prepared w", out, 4));
  g->groups = w.dims[0];
  g->kernel_height = w.dims[1];
  g->kernel_width = w.dims[2];
  g->channels = w.dims[3];
  g->filters = w.dims[4];
  if (g->kernel_height != g->kernel_width || (g->winograd && g->kernel_height != 3)) {
    return fail(Code::invalid_program, "%s: the kernel must be %s, got %lldx%lld", op, g->winograd ? "3x3 for Winograd" : "square",
                (long long)g->kernel_height, (long long)g->kernel_width);
  }
  const int64_t points = g->winograd ? kWinogradPoints : g->kernel_height * g->kernel_width;
  const int64_t reduced = role == 0 ? g->channels : g->filters;
  const int64_t produced = round_up(role == 0 ? g->filters : g->channels, kPreparedMultiple);
  if (out.dims[0] != g->groups || out.dims[1] != points || out.dims[2] != reduced || out.dims[3] != produced) {
    return fail(Code::invalid_program, "%s: the output must be [%lld,%lld,%lld,%lld], got [%lld,%lld,%lld,%lld]", op, (long long)g->groups,
                (long long)points, (long long)reduced, (long long)produced, (long long)out.dims[0], (long long)out.dims[1],
                (long long)out.dims[2], (long long)out.dims[3]);
  }
  return {};
}

}  // namespace aludel::cpu::ALUDEL_ISA
