// Average and maximum pooling over [...,H,W,C], any window and stride, no padding, floor; the sums and choices of the CPU kernels in their
// order. Every thread computes whole elements: neighbouring threads take neighbouring vectors of channels of a pixel, then the next pixel.
#include "native/cuda/kernels/channels.cuh"

namespace aludel::cuda {
namespace {

struct PoolShape {
  int64_t images;  // product of the leading axes
  int64_t H, W, C, OH, OW;
  int window_h, window_w;
  int64_t stride_h, stride_w;
  int lanes;  // threads side by side in a pixel
};

// The pixels [n, h, w] of a grid of images that a thread visits: every `step`-th.
struct Pixels {
  int64_t left, n, h, w;
  int64_t H, W, dn, dh, dw, step;

  __device__ __forceinline__ Pixels(int64_t images, int64_t height, int64_t width, int lanes) : H(height), W(width) {
    const int64_t rows = kThreads / lanes, first = blockIdx.x * rows + threadIdx.x / lanes;
    step = gridDim.x * rows, left = images * H * W - first;
    split(first, n, h, w);
    split(step, dn, dh, dw);
  }
  __device__ __forceinline__ void split(int64_t q, int64_t& qn, int64_t& qh, int64_t& qw) const {
    const int64_t row = q / W;
    qw = q - row * W, qn = row / H, qh = row - qn * H;
  }
  __device__ __forceinline__ void next() {
    left -= step;
    w += dw, h += dh, n += dn;
    if (w >= W) w -= W, ++h;
    if (h >= H) h -= H, ++n;
  }
};

// Calls f(pixel, channel) for every pixel and vector of channels of a thread.
template <int VW, typename F>
__device__ __forceinline__ void for_pixels(const PoolShape& s, Pixels p, const F& f) {
  for (; p.left > 0; p.next())
    for (int64_t c = int64_t{threadIdx.x % s.lanes} * VW; c < s.C; c += int64_t{s.lanes} * VW) f(p, c);
}

// ---- average --------------------------------------------------------------------------------------------------------------------

// The 2x2 windows of nearly every network; FIXED leaves no loop.
template <int VW, bool FIXED>
__global__ void __launch_bounds__(kThreads, 3) avg_pool(Guard guard, PoolShape s, const float* x, float* y, float scale) {
  if (guard.stopped()) return;
  for_pixels<VW>(s, Pixels(s.images, s.OH, s.OW, s.lanes), [&](const Pixels& p, int64_t c) {
    const float* from = x + ((p.n * s.H + p.h * s.stride_h) * s.W + p.w * s.stride_w) * s.C + c;
    Vec<VW> out;
    if constexpr (FIXED) {
      const Vec<VW> a = load<VW>(from), b = load<VW>(from + s.C), d = load<VW>(from + s.W * s.C), e = load<VW>(from + (s.W + 1) * s.C);
#pragma unroll
      for (int i = 0; i < VW; ++i) out.v[i] = (((a.v[i] + b.v[i]) + d.v[i]) + e.v[i]) * scale;
    } else {
      // Up to 64 elements in float32, longer windows row by row in pieces of 64.
      double total[VW] = {};
      float part[VW] = {};
      const bool is_short = s.window_h * s.window_w <= 64;
      for (int i = 0; i < s.window_h; ++i) {
#pragma unroll 4
        for (int j = 0; j < s.window_w; ++j) {
          const Vec<VW> v = load<VW>(from + (i * s.W + j) * s.C);
          const bool ends = !is_short && (j == s.window_w - 1 || j % 64 == 63);
#pragma unroll
          for (int k = 0; k < VW; ++k) {
            part[k] += v.v[k];
            if (ends) total[k] += static_cast<double>(part[k]), part[k] = 0;
          }
        }
      }
#pragma unroll
      for (int k = 0; k < VW; ++k) out.v[k] = (is_short ? part[k] : static_cast<float>(total[k])) * scale;
    }
    store(y + ((p.n * s.OH + p.h) * s.OW + p.w) * s.C + c, out);
  });
}

// The windows along one axis that cover position p: [first, last).
struct Cover {
  int64_t first, last;

  __device__ __forceinline__ Cover(int64_t p, int window, int64_t stride, int64_t count) {
    first = p < window ? 0 : (p - window) / stride + 1;
    last = p / stride + 1;
    if (last > count) last = count;
  }
};

// Every pixel sums over the windows that cover it, which is one or none unless windows overlap. FIXED: 2x2.
template <int VW, bool FIXED>
__global__ void __launch_bounds__(kThreads, 3) avg_pool_grad(Guard guard, PoolShape s, const float* g, float* dx, float scale) {
  if (guard.stopped()) return;
  for_pixels<VW>(s, Pixels(s.images, s.H, s.W, s.lanes), [&](const Pixels& p, int64_t c) {
    const float* from = g + p.n * s.OH * s.OW * s.C + c;
    Vec<VW> sum = zeros<VW>();
    if constexpr (FIXED) {
      if (p.h / 2 < s.OH && p.w / 2 < s.OW) sum = load<VW>(from + (p.h / 2 * s.OW + p.w / 2) * s.C);
    } else {
      const Cover rows(p.h, s.window_h, s.stride_h, s.OH), columns(p.w, s.window_w, s.stride_w, s.OW);
      for (int64_t oh = rows.first; oh < rows.last; ++oh)
        for (int64_t ow = columns.first; ow < columns.last; ++ow) {
          const Vec<VW> v = load<VW>(from + (oh * s.OW + ow) * s.C);
#pragma unroll
          for (int i = 0; i < VW; ++i) sum.v[i] += v.v[i];
        }
    }
#pragma unroll
    for (int i = 0; i < VW; ++i) sum.v[i] *= scale;
    store(dx + ((p.n * s.H + p.h) * s.W + p.w) * s.C + c, sum);
  });
}

// ---- maximum --------------------------------------------------------------------------------------------------------------------

// A later element replaces the best only if greater (the first maximum wins); the first NaN wins over everything.
__device__ __forceinline__ bool beats(float v, float best) { return v > best || (v != v && best == best); }

// The largest of a window of VW channels, and where it is: i * window_w + j.
template <int VW>
struct WindowMax {
  Vec<VW> best;
  int at[VW];

  __device__ __forceinline__ WindowMax(const PoolShape& s, const float* from) {
    best = load<VW>(from);
#pragma unroll
    for (int k = 0; k < VW; ++k) at[k] = 0;
    for (int i = 0; i < s.window_h; ++i)
#pragma unroll 2
      for (int j = 0; j < s.window_w; ++j) {
        const Vec<VW> v = load<VW>(from + (i * s.W + j) * s.C);
#pragma unroll
        for (int k = 0; k < VW; ++k)
          if (beats(v.v[k], best.v[k])) best.v[k] = v.v[k], at[k] = i * s.window_w + j;
      }
  }
};

// y = h at the argmax of x in every window; without h the maximum itself.
template <int VW>
__global__ void __launch_bounds__(kThreads, 3) max_pool(Guard guard, PoolShape s, const float* x, const float* h, float* y) {
  if (guard.stopped()) return;
  for_pixels<VW>(s, Pixels(s.images, s.OH, s.OW, s.lanes), [&](const Pixels& p, int64_t c) {
    const int64_t first = ((p.n * s.H + p.h * s.stride_h) * s.W + p.w * s.stride_w) * s.C + c;
    const WindowMax<VW> window(s, x + first);
    Vec<VW> out = window.best;
    if (h != nullptr)
#pragma unroll
      for (int k = 0; k < VW; ++k) out.v[k] = h[first + (window.at[k] / s.window_w * s.W + window.at[k] % s.window_w) * s.C + k];
    store(y + ((p.n * s.OH + p.h) * s.OW + p.w) * s.C + c, out);
  });
}

// Windows that do not overlap: the image is walked in cells of one stride, of which the window is the first part, and the last cells may
// hold none.
template <int VW>
__global__ void __launch_bounds__(kThreads, 2) max_pool_grad_cells(Guard guard, PoolShape s, const float* x, const float* g, float* dx) {
  if (guard.stopped()) return;
  const int64_t CH = (s.H - 1) / s.stride_h + 1, CW = (s.W - 1) / s.stride_w + 1;
  for_pixels<VW>(s, Pixels(s.images, CH, CW, s.lanes), [&](const Pixels& p, int64_t c) {
    const int64_t h = p.h * s.stride_h, w = p.w * s.stride_w, first = ((p.n * s.H + h) * s.W + w) * s.C + c;
    const bool has_window = p.h < s.OH && p.w < s.OW;
    Vec<VW> share = zeros<VW>();
    int at[VW];
#pragma unroll
    for (int k = 0; k < VW; ++k) at[k] = -1;
    if (has_window) {
      const WindowMax<VW> window(s, x + first);
      share = load<VW>(g + ((p.n * s.OH + p.h) * s.OW + p.w) * s.C + c);
#pragma unroll
      for (int k = 0; k < VW; ++k) at[k] = window.at[k];
    }
    const int64_t rows = s.stride_h < s.H - h ? s.stride_h : s.H - h, columns = s.stride_w < s.W - w ? s.stride_w : s.W - w;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        const bool inside = i < s.window_h && j < s.window_w;
        const int here = inside ? static_cast<int>(i * s.window_w + j) : -2;
        Vec<VW> out;
#pragma unroll
        for (int k = 0; k < VW; ++k) out.v[k] = at[k] == here ? share.v[k] : 0.0f;
        store(dx + first + (i * s.W + j) * s.C, out);
      }
  });
}

// Windows that overlap: every pixel looks through the windows that cover it, in order, and takes g where it is the maximum.
template <int VW>
__global__ void __launch_bounds__(kThreads, 2)
    max_pool_grad_overlapping(Guard guard, PoolShape s, const float* x, const float* g, float* dx) {
  if (guard.stopped()) return;
  for_pixels<VW>(s, Pixels(s.images, s.H, s.W, s.lanes), [&](const Pixels& p, int64_t c) {
    const Cover rows(p.h, s.window_h, s.stride_h, s.OH), columns(p.w, s.window_w, s.stride_w, s.OW);
    Vec<VW> sum = zeros<VW>();
    for (int64_t oh = rows.first; oh < rows.last; ++oh)
      for (int64_t ow = columns.first; ow < columns.last; ++ow) {
        const int64_t h = oh * s.stride_h, w = ow * s.stride_w;
        const WindowMax<VW> window(s, x + ((p.n * s.H + h) * s.W + w) * s.C + c);
        const Vec<VW> share = load<VW>(g + ((p.n * s.OH + oh) * s.OW + ow) * s.C + c);
        const int here = static_cast<int>((p.h - h) * s.window_w + (p.w - w));
#pragma unroll
        for (int k = 0; k < VW; ++k) sum.v[k] += window.at[k] == here ? share.v[k] : 0.0f;
      }
    store(dx + ((p.n * s.H + p.h) * s.W + p.w) * s.C + c, sum);
  });
}

// ---- launches -------------------------------------------------------------------------------------------------------------------

struct PoolLaunch {
  PoolShape s;
  bool vectors;
  float scale;  // of an average
  bool fixed;   // 2x2 windows side by side
};

// image: the [...,H,W,C] side; pointers: all operands.
PoolLaunch pool_launch(const TensorRef& image, const double* attrs, std::initializer_list<const void*> pointers) {
  PoolLaunch l{};
  PoolShape& s = l.s;
  s.images = 1;
  for (int i = 0; i < image.rank - 3; ++i) s.images *= image.dims[i];
  s.H = image.dim(-3), s.W = image.dim(-2), s.C = image.dim(-1);
  s.window_h = static_cast<int>(attrs[0]), s.window_w = static_cast<int>(attrs[1]);
  s.stride_h = static_cast<int64_t>(attrs[2]), s.stride_w = static_cast<int64_t>(attrs[3]);
  s.OH = (s.H - s.window_h) / s.stride_h + 1, s.OW = (s.W - s.window_w) / s.stride_w + 1;
  l.vectors = takes_vectors(s.C, 4, pointers);
  s.lanes = power_of_two_above(ceil_div(s.C, l.vectors ? 4 : 1), 32);
  l.scale = static_cast<float>(1.0 / (static_cast<double>(s.window_h) * s.window_w));
  l.fixed = s.window_h == 2 && s.window_w == 2 && s.stride_h == 2 && s.stride_w == 2;
  return l;
}

dim3 pixel_grid(const PoolShape& s, int64_t pixels, const Context& context) {
  return grid_for(s.images * pixels, kThreads / s.lanes, *context.device);
}

Status launch_avg(const KernelArgs& args, const Context& context) {
  const float* x = args.in[0].as<const float>();
  float* y = args.out[0].as<float>();
  const PoolLaunch l = pool_launch(args.in[0], args.attrs, {x, y});
  const dim3 grid = pixel_grid(l.s, l.s.OH * l.s.OW, context);
  const auto kernel = l.vectors ? l.fixed ? avg_pool<4, true> : avg_pool<4, false> : l.fixed ? avg_pool<1, true> : avg_pool<1, false>;
  return launched(context, kernel, grid, kThreads, 0, l.s, x, y, l.scale);
}

Status launch_avg_grad(const KernelArgs& args, const Context& context) {
  const float* g = args.in[0].as<const float>();
  float* dx = args.out[0].as<float>();
  const PoolLaunch l = pool_launch(args.out[0], args.attrs, {g, dx});
  const dim3 grid = pixel_grid(l.s, l.s.H * l.s.W, context);
  const auto kernel = l.vectors ? l.fixed ? avg_pool_grad<4, true> : avg_pool_grad<4, false>
                      : l.fixed ? avg_pool_grad<1, true>
                                : avg_pool_grad<1, false>;
  return launched(context, kernel, grid, kThreads, 0, l.s, g, dx, l.scale);
}

Status launch_max(const KernelArgs& args, const Context& context) {
  const float *x = args.in[0].as<const float>(), *h = args.nin > 1 ? args.in[1].as<const float>() : nullptr;
  float* y = args.out[0].as<float>();
  const PoolLaunch l = pool_launch(args.in[0], args.attrs, {x, h, y});
  const dim3 grid = pixel_grid(l.s, l.s.OH * l.s.OW, context);
  return launched(context, l.vectors ? max_pool<4> : max_pool<1>, grid, kThreads, 0, l.s, x, h, y);
}

Status launch_max_grad(const KernelArgs& args, const Context& context) {
  const float *x = args.in[0].as<const float>(), *g = args.in[1].as<const float>();
  float* dx = args.out[0].as<float>();
  const PoolLaunch l = pool_launch(args.in[0], args.attrs, {x, g, dx});
  const PoolShape& s = l.s;
  if (s.window_h <= s.stride_h && s.window_w <= s.stride_w) {
    const int64_t cells = ceil_div(s.H, s.stride_h) * ceil_div(s.W, s.stride_w);
    return launched(context, l.vectors ? max_pool_grad_cells<4> : max_pool_grad_cells<1>, pixel_grid(s, cells, context), kThreads, 0, s, x,
                    g, dx);
  }
  return launched(context, l.vectors ? max_pool_grad_overlapping<4> : max_pool_grad_overlapping<1>, pixel_grid(s, s.H * s.W, context),
                  kThreads, 0, s, x, g, dx);
}

}  // namespace

extern const Kernel kernel_avg_pool2d, kernel_avg_pool2d_grad, kernel_max_pool2d, kernel_max_pool2d_grad, kernel_max_pool2d_gather;
const Kernel kernel_avg_pool2d = {nullptr, launch_avg};
const Kernel kernel_avg_pool2d_grad = {nullptr, launch_avg_grad};
const Kernel kernel_max_pool2d = {nullptr, launch_max};
const Kernel kernel_max_pool2d_grad = {nullptr, launch_max_grad};
const Kernel kernel_max_pool2d_gather = {nullptr, launch_max};

}  // namespace aludel::cuda
