// conv2d_weight_grad_squared_norm: ||dw||^2 and ||db||^2 of each group, for gradients that are never written as a whole. By shape alone:
//   linear    one pixel and one tap: the square of x times that of dy;
//   Gram      one image a group: dw is the sum over positions s of x_s d_s^T, x_s the patch of x under s and d_s the pixel of dy, so
//             ||dw||^2 = sum over s, t of <x_s, x_t> <d_s, d_t>, where <x_s, x_t> is the sum over taps of <pixel of s, pixel of t>: two
//             small products for each image instead of one that grows with taps times channels times filters;
//   tiles     tiles of dw in registers, of which only the squares leave the block;
//   groups    where so many positions are added that they must be cut into parts: dw of a few groups in the workspace.
// The op's `algorithm` is a choice for the CPU and is not looked at. Sums of squares are float64.
#include "native/cuda/kernels/matmul.h"
#include "native/cuda/kernels/weight_grad_problem.cuh"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostPositions = 4096;           // summed in registers
constexpr int64_t kGramPixels = 1 << 12;           // of x and of dy
constexpr int64_t kHeldBytes = int64_t{64} << 20;  // of Gram matrices or gradients at a time
constexpr int64_t kPart = 1 << 14;                 // values, or pairs of positions, that a block sums
constexpr int64_t kDouble = sizeof(double), kFloat = sizeof(float);

enum class Way { linear, gram, tiles, groups };

ConvShape shape_of(const KernelArgs& args) {
  ConvShape s = conv_maps(args.in[0], args.in[1], args.attrs);
  set_kernel(int(args.attrs[5]), int(args.attrs[6]), &s);
  return s;
}

Way way_of(const ConvShape& s) {
  if (s.images == 1 && s.pixels() * s.taps() == 1 && s.positions() == 1) return Way::linear;
  const double pixels = double(s.pixels()), positions = double(s.positions()), taps = double(s.taps());
  // The pairs' taps are single loads and additions, an eighth as fast as the multiplications of a product.
  const double gram = pixels * pixels * s.channels + positions * positions * (s.filters + 8 * taps);
  const double direct = positions * taps * s.channels * s.filters;
  if (s.images == 1 && s.pixels() <= kGramPixels && s.positions() <= kGramPixels && gram < direct) return Way::gram;
  return s.positions() <= kMostPositions ? Way::tiles : Way::groups;
}

// ---- sums of parts
// ------------------------------------------------------------------------------------------------------------------------

// squares[group] = sum of partial[group][0..parts), in order.
__global__ void __launch_bounds__(kThreads) add_parts(Guard guard, const double* partial, int64_t parts, int64_t groups, float* squares) {
  if (guard.stopped()) return;
  const int64_t stride = int64_t{gridDim.x} * kThreads;
  for (int64_t g = int64_t{blockIdx.x} * kThreads + threadIdx.x; g < groups; g += stride) {
    double sum = 0;
    for (int64_t part = 0; part < parts; ++part) sum += partial[g * parts + part];
    squares[g] = static_cast<float>(sum > 0 ? sum : sum == sum ? 0. : sum);  // rounding of a norm that is almost 0; NaN stays
  }
}

Status launch_add_parts(const double* partial, int64_t parts, int64_t groups, float* squares, const Context& context) {
  return launched(context, add_parts, grid_for(groups, kThreads, *context.device), kThreads, 0, partial, parts, groups, squares);
}

// partial[group][part] = the sum of f(i) over the part's share of 0..count-1. One block for each; blockIdx.x counts them.
template <class F>
__device__ __forceinline__ void sum_part(int64_t count, int64_t parts, double* partial, const F& f) {
  __shared__ double shared[kThreads / 32];
  const int64_t group = blockIdx.x / parts, part = blockIdx.x % parts;
  const int64_t begin = part * kPart, end = count < begin + kPart ? count : begin + kPart;
  double sum = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) sum += f(group, i);
  sum = block_sum<kThreads>(sum, shared);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

int64_t parts_of(int64_t count) { return ceil_div(count, kPart); }

// values [groups][count]
__global__ void __launch_bounds__(kThreads) square_parts(Guard guard, const float* values, int64_t count, int64_t parts, double* partial) {
  if (guard.stopped()) return;
  sum_part(count, parts, partial, [&](int64_t group, int64_t i) {
    const double v = values[group * count + i];
    return v * v;
  });
}

// ---- linear
// -------------------------------------------------------------------------------------------------------------------------------

// A block for each group.
__global__ void __launch_bounds__(kThreads)
    linear_squares(Guard guard, const float* x, int channels, const float* dy, int filters, float* dw, float* db) {
  if (guard.stopped()) return;
  __shared__ double shared[kThreads / 32];
  const int64_t group = blockIdx.x;
  double x_square = 0, dy_square = 0;
  for (int i = static_cast<int>(threadIdx.x); i < channels; i += kThreads) {
    const double v = x[group * channels + i];
    x_square += v * v;
  }
  for (int i = static_cast<int>(threadIdx.x); i < filters; i += kThreads) {
    const double v = dy[group * filters + i];
    dy_square += v * v;
  }
  x_square = block_sum<kThreads>(x_square, shared);
  dy_square = block_sum<kThreads>(dy_square, shared);
  if (threadIdx.x != 0) return;
  dw[group] = static_cast<float>(x_square * dy_square);
  db[group] = static_cast<float>(dy_square);
}

// ---- Gram
// ---------------------------------------------------------------------------------------------------------------------------------

struct GramPairs {
  int height, width, out_width, kernel_height, kernel_width, stride_height, stride_width, pad_height, pad_width;
  int64_t pixels, positions;
};

// x_products [group][pixels][pixels], dy_products [group][positions][positions].
__global__ void __launch_bounds__(kThreads) pair_parts(Guard guard, const float* x_products, const float* dy_products, int64_t parts,
                                                       double* partial, const __grid_constant__ GramPairs p) {
  if (guard.stopped()) return;
  sum_part(p.positions * p.positions, parts, partial, [&](int64_t group, int64_t pair) {
    const int s = static_cast<int>(pair / p.positions), t = static_cast<int>(pair - s * p.positions);
    const int s_row = s / p.out_width * p.stride_height - p.pad_height, s_column = s % p.out_width * p.stride_width - p.pad_width;
    const int t_row = t / p.out_width * p.stride_height - p.pad_height, t_column = t % p.out_width * p.stride_width - p.pad_width;
    const float* products = x_products + group * p.pixels * p.pixels;
    // Only taps under which both patches lie on the map.
    const int r_first = max(0, -min(s_row, t_row)), r_end = min(p.kernel_height, p.height - max(s_row, t_row));
    const int c_first = max(0, -min(s_column, t_column)), c_end = min(p.kernel_width, p.width - max(s_column, t_column));
    double patches = 0;
    for (int r = r_first; r < r_end; ++r) {
      const int64_t own = int64_t{s_row + r} * p.width + s_column, other = int64_t{t_row + r} * p.width + t_column;
      for (int c = c_first; c < c_end; ++c) patches += static_cast<double>(products[(own + c) * p.pixels + other + c]);
    }
    return patches * static_cast<double>(dy_products[group * p.positions * p.positions + pair]);
  });
}

// Column sums of dy [group][positions][filters], squared and added: the bias.
__global__ void __launch_bounds__(kThreads) bias_squares(Guard guard, const float* dy, int64_t positions, int filters, float* db) {
  if (guard.stopped()) return;
  __shared__ double shared[kThreads / 32];
  const float* map = dy + blockIdx.x * positions * filters;
  double square = 0;
  for (int k = static_cast<int>(threadIdx.x); k < filters; k += kThreads) {
    double sum = 0;
    for (int64_t s = 0; s < positions; ++s) sum += static_cast<double>(map[s * filters + k]);
    square += sum * sum;
  }
  square = block_sum<kThreads>(square, shared);
  if (threadIdx.x == 0) db[blockIdx.x] = static_cast<float>(square);
}

struct GramPlan {
  int64_t groups;  // at a time
  int64_t parts;
  int64_t x_bytes, dy_bytes, partial_bytes, matmul_bytes;
};

Matmul<float> gram_product(const float* data, int64_t groups, int64_t lines, int64_t channels, float* out) {
  return {groups, lines, lines, channels, false, true, data, data, lines * channels, lines * channels, out};
}

GramPlan gram_plan(const ConvShape& s) {
  const int64_t pixels = s.pixels(), positions = s.positions();
  const int64_t image = (pixels * pixels + positions * positions) * kFloat;
  GramPlan plan;
  plan.groups = kHeldBytes / image < 1 ? 1 : kHeldBytes / image < s.groups ? kHeldBytes / image : s.groups;
  plan.parts = parts_of(positions * positions);
  plan.x_bytes = round_up(plan.groups * pixels * pixels * kFloat, 256);
  plan.dy_bytes = round_up(plan.groups * positions * positions * kFloat, 256);
  plan.partial_bytes = round_up(plan.groups * plan.parts * kDouble, 256);
  plan.matmul_bytes = 0;
  for (const int64_t groups : {plan.groups, s.groups % plan.groups}) {
    if (groups == 0) continue;
    for (const int64_t bytes : {matmul_workspace_bytes(gram_product(nullptr, groups, pixels, s.channels, nullptr)),
                                matmul_workspace_bytes(gram_product(nullptr, groups, positions, s.filters, nullptr))})
      plan.matmul_bytes = bytes > plan.matmul_bytes ? bytes : plan.matmul_bytes;
  }
  return plan;
}

Status launch_gram(const ConvShape& s, const WeightGrad& p, const Context& context) {
  const GramPlan plan = gram_plan(s);
  const int64_t pixels = s.pixels(), positions = s.positions();
  char* memory = static_cast<char*>(context.workspace);
  float *x_products = reinterpret_cast<float*>(memory), *dy_products = reinterpret_cast<float*>(memory + plan.x_bytes);
  double* partial = reinterpret_cast<double*>(memory + plan.x_bytes + plan.dy_bytes);
  void* rest = memory + plan.x_bytes + plan.dy_bytes + plan.partial_bytes;
  const GramPairs pairs = {s.height,       s.width,      s.out_width, s.kernel_height, s.kernel_width, s.stride_height,
                           s.stride_width, s.pad_height, s.pad_width, pixels,          positions};
  DeviceInfo exact = *context.device;  // the terms of this sum cancel: rounded products would not do
  exact.precision = Precision::f32;
  Context products = context;
  products.device = &exact;
  for (int64_t g = 0; g < s.groups; g += plan.groups) {
    const int64_t groups = plan.groups < s.groups - g ? plan.groups : s.groups - g;
    const float *x = p.x + g * s.x_stride(), *dy = p.dy + g * s.y_stride();
    ALUDEL_RETURN_IF_ERROR(launch_matmul(gram_product(x, groups, pixels, s.channels, x_products), rest, products));
    ALUDEL_RETURN_IF_ERROR(launch_matmul(gram_product(dy, groups, positions, s.filters, dy_products), rest, products));
    ALUDEL_RETURN_IF_ERROR(launched(context, pair_parts, static_cast<unsigned>(groups * plan.parts), kThreads, 0, x_products, dy_products,
                                    plan.parts, partial, pairs));
    ALUDEL_RETURN_IF_ERROR(launch_add_parts(partial, plan.parts, groups, p.dw + g, context));
  }
  return launched(context, bias_squares, static_cast<unsigned>(s.groups), kThreads, 0, p.dy, positions, s.filters, p.db);
}

// ---- tiles
// --------------------------------------------------------------------------------------------------------------------------------

template <int x_vector, int dy_vector>
struct SquaresProblem : WeightGradProblem<x_vector, dy_vector> {
  static constexpr bool squares = true;
  double *dw_parts, *db_parts;
  int dw_tiles, db_tiles;

  __device__ __forceinline__ double* square(int64_t batch, int tile) const { return dw_parts + batch * dw_tiles + tile; }
  __device__ __forceinline__ double* sum_square(int64_t batch, int tile) const { return db_parts + batch * db_tiles + tile; }
};

template <int x_vector, int dy_vector>
Status launch_tiles(const ConvShape& s, const WeightGrad& p, const Context& context) {
  const GemmPlan plan = weight_grad_plan(s, false);
  const int64_t tiles = plan.tiles_m * plan.tiles_n;
  double *dw_parts = static_cast<double*>(context.workspace), *db_parts = dw_parts + s.groups * tiles;
  const SquaresProblem<x_vector, dy_vector> problem = {weight_grad_problem<x_vector, dy_vector>(s, p), dw_parts, db_parts, int(tiles),
                                                       int(plan.tiles_n)};
  ALUDEL_RETURN_IF_ERROR(launch_gemm(problem, plan, s.groups, context));
  ALUDEL_RETURN_IF_ERROR(launch_add_parts(dw_parts, tiles, s.groups, p.dw, context));
  return launch_add_parts(db_parts, plan.tiles_n, s.groups, p.db, context);
}

int64_t tiles_bytes(const ConvShape& s) {
  const GemmPlan plan = weight_grad_plan(s, false);
  return s.groups * (plan.tiles_m * plan.tiles_n + plan.tiles_n) * kDouble;
}

// ---- groups
// -------------------------------------------------------------------------------------------------------------------------------

struct GroupsPlan {
  int64_t groups;  // at a time
  int64_t dw_bytes, db_bytes, partial_bytes, gradient_bytes;
};

ConvShape some_groups(ConvShape s, int64_t groups) {
  s.groups = groups;
  return s;
}

GroupsPlan groups_plan(const ConvShape& s) {
  GroupsPlan plan;
  const int64_t fit = kHeldBytes / (s.weights() * kFloat);
  plan.groups = fit < 1 ? 1 : fit < s.groups ? fit : s.groups;
  plan.dw_bytes = round_up(plan.groups * s.weights() * kFloat, 256);
  plan.db_bytes = round_up(plan.groups * s.filters * kFloat, 256);
  plan.partial_bytes = round_up(plan.groups * parts_of(s.weights()) * kDouble, 256);
  plan.gradient_bytes = 0;
  for (const int64_t groups : {plan.groups, s.groups % plan.groups}) {
    const int64_t bytes = groups == 0 ? 0 : weight_grad_workspace_bytes(some_groups(s, groups));
    plan.gradient_bytes = bytes > plan.gradient_bytes ? bytes : plan.gradient_bytes;
  }
  return plan;
}

Status launch_groups(const ConvShape& s, const WeightGrad& p, const Context& context) {
  const GroupsPlan plan = groups_plan(s);
  char* memory = static_cast<char*>(context.workspace);
  float *dw = reinterpret_cast<float*>(memory), *db = reinterpret_cast<float*>(memory + plan.dw_bytes);
  double* partial = reinterpret_cast<double*>(memory + plan.dw_bytes + plan.db_bytes);
  void* rest = memory + plan.dw_bytes + plan.db_bytes + plan.partial_bytes;
  const auto squares = [&](const float* values, int64_t groups, int64_t count, float* out) -> Status {
    const int64_t parts = parts_of(count);
    ALUDEL_RETURN_IF_ERROR(
        launched(context, square_parts, static_cast<unsigned>(groups * parts), kThreads, 0, values, count, parts, partial));
    return launch_add_parts(partial, parts, groups, out, context);
  };
  for (int64_t g = 0; g < s.groups; g += plan.groups) {
    const int64_t groups = plan.groups < s.groups - g ? plan.groups : s.groups - g;
    const WeightGrad gradient = {p.x + g * s.x_stride(), p.dy + g * s.y_stride(), dw, db};
    ALUDEL_RETURN_IF_ERROR(launch_weight_grad(some_groups(s, groups), gradient, rest, context));
    ALUDEL_RETURN_IF_ERROR(squares(dw, groups, s.weights(), p.dw + g));
    ALUDEL_RETURN_IF_ERROR(squares(db, groups, s.filters, p.db + g));
  }
  return {};
}

// ---- entry points
// -------------------------------------------------------------------------------------------------------------------------

int64_t workspace_bytes(const KernelArgs& args, const DeviceInfo&) {
  const ConvShape s = shape_of(args);
  switch (way_of(s)) {
    case Way::linear:
      return 0;
    case Way::gram: {
      const GramPlan plan = gram_plan(s);
      return plan.x_bytes + plan.dy_bytes + plan.partial_bytes + plan.matmul_bytes;
    }
    case Way::tiles:
      return tiles_bytes(s);
    case Way::groups:
      break;
  }
  const GroupsPlan plan = groups_plan(s);
  return plan.dw_bytes + plan.db_bytes + plan.partial_bytes + plan.gradient_bytes;
}

Status launch_kernel(const KernelArgs& args, const Context& context) {
  ALUDEL_RETURN_IF_ERROR(check_places("conv2d_weight_grad_squared_norm", args));
  const ConvShape s = shape_of(args);
  const WeightGrad p = {args.in[0].as<const float>(), args.in[1].as<const float>(), args.out[0].as<float>(), args.out[1].as<float>()};
  switch (way_of(s)) {
    case Way::linear:
      return launched(context, linear_squares, static_cast<unsigned>(s.groups), kThreads, 0, p.x, s.channels, p.dy, s.filters, p.dw, p.db);
    case Way::gram:
      return launch_gram(s, p, context);
    case Way::tiles:
      if (s.filters % 4 != 0) return launch_tiles<1, 1>(s, p, context);
      return s.channels % 4 == 0 ? launch_tiles<4, 4>(s, p, context) : launch_tiles<1, 4>(s, p, context);
    case Way::groups:
      break;
  }
  return launch_groups(s, p, context);
}

Status check(const KernelArgs& args) { return check_conv("conv2d_weight_grad_squared_norm", shape_of(args)); }

}  // namespace

extern const Kernel kernel_conv2d_weight_grad_squared_norm;
const Kernel kernel_conv2d_weight_grad_squared_norm = {workspace_bytes, launch_kernel, check};

}  // namespace aludel::cuda
