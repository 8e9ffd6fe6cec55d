// conv2d_input_grad. Two ways, by the number of channels of x alone:
//   many   one product per group and phase: pixels of dx that a stride's residue holds apart meet different taps, each of them at unit
//          stride, so no inserted zero is multiplied; pixels by (tap, filter) times (tap, filter) by channels;
//   few    P = dy W^T for all taps and channels at once, so that they fill tiles, then each pixel of dx sums its taps of P.
#include "native/cuda/kernels/conv_shape.h"
#include "native/cuda/kernels/conv_source.cuh"
#include "native/cuda/kernels/gemm.cuh"
#include "native/cuda/kernels/matmul.h"

namespace aludel::cuda {
namespace {

constexpr int kFewChannels = 8;
constexpr int64_t kProductBytes = int64_t{32} << 20;  // of P at a time: it stays in the L2 cache until its taps are summed
constexpr int kThreads = 256;

ConvShape shape_of(const KernelArgs& args) {
  ConvShape s = conv_maps(args.out[0], args.in[0], args.attrs);
  set_weights(args.in[1], int(args.attrs[4]), &s);
  return s;
}

// ---- many channels ----------------------------------------------------------------------------------------------------------------------

// One axis of a phase: pixels first, first + stride, ..; taps first_tap, first_tap + stride, ..; pixel i and tap t meet at position
// offset + i - t.
struct AxisPhase {
  int first, pixels, first_tap, taps, offset;

  __device__ __forceinline__ static AxisPhase of(int phase, int size, int kernel, int stride, int pad) {
    AxisPhase a;
    a.first = phase;
    a.pixels = (size - phase + stride - 1) / stride;
    a.first_tap = (phase + pad) % stride;
    a.taps = a.first_tap < kernel ? (kernel - a.first_tap + stride - 1) / stride : 0;
    a.offset = (phase + pad) / stride;
    return a;
  }
};

// The sizes that phases of one axis have: the first ones may have one pixel, and one tap, more than the last.
struct AxisDivisions {
  FastDivision more, fewer;

  __device__ __forceinline__ const FastDivision& by(int size) const { return size == static_cast<int>(more.divisor()) ? more : fewer; }
};
AxisDivisions divisions(int size, int stride) {
  const int fewer = size / stride;
  return {FastDivision(uint32_t(ceil_div(size, stride))), FastDivision(uint32_t(fewer < 1 ? 1 : fewer))};
}

// Lines are channels, k is (tap of the phase, filter).
template <int Vector>
struct TurnedWeightSource {
  static constexpr bool along_k = true;
  static constexpr int vector = Vector;

  const float* data;
  int lines, depth, channels, filters, kernel_width;
  int row0, row_step, column0, column_step;
  const FastDivision &by_filters, &taps_across;

  using Line = uint32_t;
  using Inner = uint32_t;
  __device__ __forceinline__ Line line(int i) const {
    return i < lines ? static_cast<uint32_t>(i) * static_cast<uint32_t>(filters / Vector) : kNoElement;
  }
  __device__ __forceinline__ Inner inner(int k) const {
    if (k >= depth) return kNoElement;
    const int tap = static_cast<int>(by_filters.quotient(static_cast<uint32_t>(k)));
    const int r = static_cast<int>(taps_across.quotient(static_cast<uint32_t>(tap)));
    const int s = tap - r * static_cast<int>(taps_across.divisor());
    const uint32_t index = static_cast<uint32_t>((row0 + r * row_step) * kernel_width + column0 + s * column_step);
    return index * static_cast<uint32_t>(channels) * static_cast<uint32_t>(filters / Vector) +
           static_cast<uint32_t>(k - tap * filters) / Vector;
  }
  __device__ __forceinline__ uint32_t place(Line line, Inner inner) const {
    return line == kNoElement || inner == kNoElement ? kNoElement : line + inner;
  }
};

template <int Vector>
struct InputGradProblem {
  using A = PatchSource<Vector>;
  using B = TurnedWeightSource<Vector>;
  static constexpr bool column_sums = false, squares = false;
  static constexpr GemmTiles tiles = {Vector == 4, false, false};

  int images, height, width, channels, kernel_height, kernel_width, stride_height, stride_width, pad_height, pad_width;
  int phases_down, phases_across;
  PatchParams patches;  // dy's; the first row and column are the phase's
  AxisDivisions rows, columns, taps_across;
  const float *dy, *w;
  int64_t dy_stride, w_stride;
  float* out;
  int64_t split_stride;

  struct Part {
    int m, n, k;
    const InputGradProblem& problem;
    int64_t group;
    AxisPhase down, across;
    PixelOrder order;

    __device__ __forceinline__ const FastDivision& taps_across() const { return problem.taps_across.by(across.taps); }
    __device__ __forceinline__ A a() const {
      return {problem.dy + group * problem.dy_stride, {problem.patches, order, taps_across(), m, k, down.offset, across.offset}};
    }
    __device__ __forceinline__ B b() const {
      const InputGradProblem& p = problem;
      return {p.w + group * p.w_stride,
              n,
              k,
              p.channels,
              p.patches.map.channels,
              p.kernel_width,
              down.first_tap,
              p.stride_height,
              across.first_tap,
              p.stride_width,
              p.patches.channels,
              taps_across()};
    }
    __device__ __forceinline__ int64_t row(int i) const {
      const InputGradProblem& p = problem;
      int image, row, column;
      order.split(i, &image, &row, &column);
      const int64_t map = group * p.images + image;
      return ((map * p.height + down.first + row * p.stride_height) * p.width + across.first + column * p.stride_width) * p.channels;
    }
  };
  __device__ __forceinline__ Part part(int64_t batch) const {
    const int64_t line = batch / phases_across;
    const int64_t group = line / phases_down;
    const AxisPhase down = AxisPhase::of(static_cast<int>(line % phases_down), height, kernel_height, stride_height, pad_height);
    const AxisPhase across = AxisPhase::of(static_cast<int>(batch % phases_across), width, kernel_width, stride_width, pad_width);
    return {images * down.pixels * across.pixels,
            channels,
            down.taps * across.taps * patches.map.channels,
            *this,
            group,
            down,
            across,
            {rows.by(down.pixels), columns.by(across.pixels)}};
  }
  __device__ __forceinline__ const float* bias(int64_t) const { return nullptr; }
};

int phases(int stride, int size) { return stride < size ? stride : size; }

// Of the largest phase.
GemmPlan plan_of(const ConvShape& s) {
  const int64_t batch = s.groups * phases(s.stride_height, s.height) * phases(s.stride_width, s.width);
  const int64_t pixels = s.images * ceil_div(s.height, s.stride_height) * ceil_div(s.width, s.stride_width);
  const int64_t taps = ceil_div(s.kernel_height, s.stride_height) * ceil_div(s.kernel_width, s.stride_width);
  return gemm_plan({batch, pixels, s.channels, taps * s.filters}, {s.filters % 4 == 0, false, false});
}

template <int Vector>
Status launch_many(const ConvShape& s, const KernelArgs& args, const Context& context) {
  const GemmPlan plan = plan_of(s);
  const int64_t count = s.groups * s.x_stride();
  const bool split = plan.splits > 1;
  float* out = split ? static_cast<float*>(context.workspace) : args.out[0].as<float>();
  const int phases_down = phases(s.stride_height, s.height), phases_across = phases(s.stride_width, s.width);
  const InputGradProblem<Vector> problem = {
      int(s.images),
      s.height,
      s.width,
      s.channels,
      s.kernel_height,
      s.kernel_width,
      s.stride_height,
      s.stride_width,
      s.pad_height,
      s.pad_width,
      phases_down,
      phases_across,
      {{s.out_height, s.out_width, s.filters}, 0, 1, -1, 0, 1, -1, FastDivision(uint32_t(s.filters))},
      divisions(s.height, s.stride_height),
      divisions(s.width, s.stride_width),
      divisions(s.kernel_width, s.stride_width),
      args.in[0].as<const float>(),
      args.in[1].as<const float>(),
      s.y_stride(),
      s.weight_stride,
      out,
      count,
  };
  ALUDEL_RETURN_IF_ERROR(launch_gemm(problem, plan, s.groups * phases_down * phases_across, context));
  if (!split) return {};
  return sum_splits(out, plan.splits, count, nullptr, s.pixels(), s.channels, args.out[0].as<float>(), context);
}

// ---- few channels -----------------------------------------------------------------------------------------------------------------------

// Groups or images whose products are held at a time.
struct FewChunk {
  int64_t groups, images;
};
FewChunk chunk_of(const ConvShape& s) {
  const int64_t image = int64_t{s.out_height} * s.out_width * s.taps() * s.channels * int64_t{sizeof(float)};
  const int64_t images = kProductBytes / image < 1 ? 1 : kProductBytes / image;  // of all groups together
  if (images < s.groups) return {images, 1};
  const int64_t each = images / s.groups;
  return {s.groups, each < s.images ? each : s.images};
}

Matmul<float> products_of(const ConvShape& s, const float* dy, const float* w, int64_t groups, int64_t images, float* out) {
  const int64_t columns = s.taps() * s.channels;
  return {groups, images * s.out_height * s.out_width, columns, s.filters, false, true, dy, w, s.y_stride(), s.weight_stride, out};
}

int64_t products_bytes(const ConvShape& s, const FewChunk& chunk) {
  return round_up(chunk.groups * chunk.images * s.out_height * s.out_width * s.taps() * s.channels * int64_t{sizeof(float)}, 256);
}

struct TapSum {
  int height, width, channels, out_height, out_width, kernel_height, kernel_width, stride_height, stride_width, pad_height, pad_width;
  int64_t images, dx_stride;  // images of a group that are summed, and floats from one group of dx to the next
};

__global__ void __launch_bounds__(kThreads)
    sum_taps(Guard guard, const float* products, float* dx, int64_t count, const __grid_constant__ TapSum p) {
  if (guard.stopped()) return;
  const int64_t stride = int64_t{gridDim.x} * kThreads, taps = int64_t{p.kernel_height} * p.kernel_width;
  const int64_t map = int64_t{p.height} * p.width * p.channels;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count; i += stride) {
    const int64_t image = i / map;  // counted through all groups
    const int at = static_cast<int>(i - image * map), pixel = at / p.channels, channel = at - pixel * p.channels;
    const int h = pixel / p.width + p.pad_height, w = pixel % p.width + p.pad_width;
    const float* rows = products + image * p.out_height * p.out_width * taps * p.channels + channel;
    double sum = 0;
    for (int r = h % p.stride_height; r < p.kernel_height; r += p.stride_height) {
      const int row = (h - r) / p.stride_height;
      if (h < r || row >= p.out_height) continue;
      for (int s = w % p.stride_width; s < p.kernel_width; s += p.stride_width) {
        const int column = (w - s) / p.stride_width;
        if (w < s || column >= p.out_width) continue;
        const int64_t position = int64_t{row} * p.out_width + column;
        sum += static_cast<double>(rows[(position * taps + r * p.kernel_width + s) * p.channels]);
      }
    }
    dx[image / p.images * p.dx_stride + image % p.images * map + at] = static_cast<float>(sum);
  }
}

Status launch_few(const ConvShape& s, const KernelArgs& args, const Context& context) {
  const FewChunk chunk = chunk_of(s);
  float* products = static_cast<float*>(context.workspace);
  char* rest = static_cast<char*>(context.workspace) + products_bytes(s, chunk);
  const int64_t y_image = int64_t{s.out_height} * s.out_width * s.filters, x_image = int64_t{s.height} * s.width * s.channels;
  for (int64_t g = 0; g < s.groups; g += chunk.groups)
    for (int64_t n = 0; n < s.images; n += chunk.images) {
      const int64_t groups = chunk.groups < s.groups - g ? chunk.groups : s.groups - g;
      const int64_t images = chunk.images < s.images - n ? chunk.images : s.images - n;
      const float* dy = args.in[0].as<const float>() + g * s.y_stride() + n * y_image;
      const float* w = args.in[1].as<const float>() + g * s.weight_stride;
      ALUDEL_RETURN_IF_ERROR(launch_matmul(products_of(s, dy, w, groups, images, products), rest, context));
      const TapSum sum = {s.height,        s.width,        s.channels,   s.out_height, s.out_width, s.kernel_height, s.kernel_width,
                          s.stride_height, s.stride_width, s.pad_height, s.pad_width,  images,      s.x_stride()};
      const int64_t count = groups * images * x_image;
      float* dx = args.out[0].as<float>() + g * s.x_stride() + n * x_image;
      ALUDEL_RETURN_IF_ERROR(
          launched(context, sum_taps, grid_for(count, kThreads, *context.device), kThreads, 0, products, dx, count, sum));
    }
  return {};
}

// ---- entry points -----------------------------------------------------------------------------------------------------------------------

int64_t workspace_bytes(const KernelArgs& args, const DeviceInfo&) {
  const ConvShape s = shape_of(args);
  if (s.channels > kFewChannels) return gemm_workspace_bytes(plan_of(s), s.groups * s.x_stride());
  const FewChunk chunk = chunk_of(s);
  int64_t most = 0;  // the last chunk may be small enough to be split
  for (const int64_t groups : {chunk.groups, s.groups % chunk.groups})
    for (const int64_t images : {chunk.images, s.images % chunk.images}) {
      if (groups * images == 0) continue;
      const int64_t bytes = matmul_workspace_bytes(products_of(s, nullptr, nullptr, groups, images, nullptr));
      most = bytes > most ? bytes : most;
    }
  return products_bytes(s, chunk) + most;
}

Status launch_kernel(const KernelArgs& args, const Context& context) {
  ALUDEL_RETURN_IF_ERROR(check_places("conv2d_input_grad", args));
  const ConvShape s = shape_of(args);
  if (s.channels <= kFewChannels) return launch_few(s, args, context);
  return s.filters % 4 == 0 ? launch_many<4>(s, args, context) : launch_many<1>(s, args, context);
}

Status check(const KernelArgs& args) { return check_conv("conv2d_input_grad", shape_of(args)); }

}  // namespace

extern const Kernel kernel_conv2d_input_grad;
const Kernel kernel_conv2d_input_grad = {workspace_bytes, launch_kernel, check};

}  // namespace aludel::cuda
