// Average and maximum pooling over [...,H,W,C], any window and stride, no padding, floor. Vectors run over channels.
// Every output element is computed by one task in a fixed order, so bits do not depend on threads.
#include "native/cpu/kernels/pool.h"

namespace aludel::cpu::ALUDEL_ISA {

namespace {

constexpr PoolSide kX[] = {PoolSide::image}, kPooled[] = {PoolSide::pooled}, kXPooled[] = {PoolSide::image, PoolSide::pooled},
                   kXX[] = {PoolSide::image, PoolSide::image};

Status check_operands(const KernelArgs& args, const char* op, int nin) {
  if (args.nin == nin && args.nout == 1) return {};
  return fail(Code::invalid_program, "%s: expected %d inputs and 1 output, got %d and %d", op, nin, args.nin, args.nout);
}

// ---- average ----------------------------------------------------------------

// Sum over one window. Up to 64 elements in float32; longer windows row piece by row piece into float64.
template <typename S>
ALUDEL_INLINE vf window_sum(const S& strip, int u, const float* from, const PoolShape& s) {
  const auto at = [&](int64_t i, int64_t j) { return load(from + (i * s.W + j) * s.C + u * VW, strip.lanes); };
  vf sum{};
  if (s.window_h * s.window_w <= 64) {
    for (int64_t i = 0; i < s.window_h; ++i)
      for (int64_t j = 0; j < s.window_w; ++j) sum += at(i, j);
    return sum;
  }
  double total[VW] = {};
  for (int64_t i = 0; i < s.window_h; ++i)
    for (int64_t j0 = 0; j0 < s.window_w; j0 += 64) {
      vf part{};
      for (int64_t j = j0; j < smaller(j0 + 64, s.window_w); ++j) part += at(i, j);
      add_to(total, part);
    }
  for (int i = 0; i < VW; ++i) sum[i] = (float)total[i];
  return sum;
}

Status check_avg(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_operands(args, "avg_pool2d", 1));
  return check_pool(args, "avg_pool2d", args.in[0], kX, 1, PoolSide::pooled);
}

// The pooling of nearly every network, pixel by pixel with channels innermost: memory is read in order. Sums in the order of window_sum.
void avg_row_2x2(const float* x, float* y, const PoolShape& s) {
  const vf quarter = splat(0.25f);
  const int64_t below = s.W * s.C;
  for (int64_t ow = 0; ow < s.OW; ++ow, x += 2 * s.C, y += s.C)
    for_strips(0, s.C, [&](const auto& strip) {
      for (int u = 0; u < strip.kVectors; ++u) {
        const float* from = x + strip.begin + u * VW;
        const vf top = load(from, strip.lanes) + load(from + s.C, strip.lanes);
        const vf sum = top + load(from + below, strip.lanes) + load(from + below + s.C, strip.lanes);
        store(y + strip.begin + u * VW, sum * quarter, strip.lanes);
      }
    });
}

Status run_avg(const KernelArgs& args, Exec& exec) {
  const PoolShape s = pool_shape(args.in[0], args.attrs);
  const float* x = args.in[0].as<const float>();
  float* y = args.out[0].as<float>();
  if (s.window_h == 2 && s.window_w == 2 && s.stride_h == 2 && s.stride_w == 2) {
    parallel_for(exec, s.images * s.OH, [&](int64_t task, void*) {
      avg_row_2x2(x + (task / s.OH * s.H + task % s.OH * 2) * s.W * s.C, y + task * s.OW * s.C, s);
    });
    return {};
  }
  const vf scale = splat((float)(1.0 / (double)(s.window_h * s.window_w)));
  parallel_for(exec, s.images * s.OH, [&](int64_t task, void*) {
    const float* rows = x + (task / s.OH * s.H + task % s.OH * s.stride_h) * s.W * s.C;
    float* to = y + task * s.OW * s.C;
    for_strips(0, s.C, [&](const auto& strip) {
      for (int64_t ow = 0; ow < s.OW; ++ow)
        for (int u = 0; u < strip.kVectors; ++u) {
          const vf sum = window_sum(strip, u, rows + ow * s.stride_w * s.C + strip.begin, s);
          store(to + ow * s.C + strip.begin + u * VW, sum * scale, strip.lanes);
        }
    });
  });
  return {};
}

// The windows along one axis that cover position p: [first, last).
struct Cover {
  int64_t first, last;
};

ALUDEL_INLINE Cover cover(int64_t p, int64_t window, int64_t stride, int64_t count) {
  const int64_t first = p < window ? 0 : (p - window) / stride + 1;
  return {first, smaller(p / stride + 1, count)};
}

Status check_avg_grad(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_operands(args, "avg_pool2d_grad", 1));
  return check_pool(args, "avg_pool2d_grad", args.out[0], kPooled, 1, PoolSide::image);
}

// Gathers: every pixel sums over the windows that cover it, which is one or none unless windows overlap.
Status run_avg_grad(const KernelArgs& args, Exec& exec) {
  const PoolShape s = pool_shape(args.out[0], args.attrs);
  const float* g = args.in[0].as<const float>();
  float* dx = args.out[0].as<float>();
  const vf scale = splat((float)(1.0 / (double)(s.window_h * s.window_w)));
  parallel_for(exec, s.images * s.H, [&](int64_t task, void*) {
    const Cover rows = cover(task % s.H, s.window_h, s.stride_h, s.OH);
    const float* from = g + task / s.H * s.OH * s.OW * s.C;
    float* to = dx + task * s.W * s.C;
    for_strips(0, s.C, [&](const auto& strip) {
      for (int64_t w = 0; w < s.W; ++w) {
        const Cover columns = cover(w, s.window_w, s.stride_w, s.OW);
        for (int u = 0; u < strip.kVectors; ++u) {
          const int64_t c = strip.begin + u * VW;
          vf sum{};
          for (int64_t oh = rows.first; oh < rows.last; ++oh)
            for (int64_t ow = columns.first; ow < columns.last; ++ow) sum += load(from + (oh * s.OW + ow) * s.C + c, strip.lanes);
          store(to + w * s.C + c, sum * scale, strip.lanes);
        }
      }
    });
  });
  return {};
}

// ---- maximum ----------------------------------------------------------------

// A later element replaces the best only if greater (the first maximum wins); the first NaN wins over everything.
ALUDEL_INLINE vi beats(vf v, vf best) { return (vi)(v > best) | ((vi)(v != v) & (vi)(best == best)); }
ALUDEL_INLINE vf choose(vi c, vf a, vf b) { return (vf)((c & (vi)a) | (~c & (vi)b)); }

Status check_max(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_operands(args, "max_pool2d", 1));
  return check_pool(args, "max_pool2d", args.in[0], kX, 1, PoolSide::pooled);
}

Status check_max_gather(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_operands(args, "max_pool2d_gather", 2));
  return check_pool(args, "max_pool2d_gather", args.in[0], kXX, 2, PoolSide::pooled);
}

// y = h at the argmax of x in every window; max_pool2d is the case h = x.
Status run_gather(const KernelArgs& args, Exec& exec) {
  const PoolShape s = pool_shape(args.in[0], args.attrs);
  const float *x = args.in[0].as<const float>(), *h = args.in[args.nin - 1].as<const float>();
  float* y = args.out[0].as<float>();
  parallel_for(exec, s.images * s.OH, [&](int64_t task, void*) {
    const int64_t rows = (task / s.OH * s.H + task % s.OH * s.stride_h) * s.W * s.C;
    for_strips(0, s.C, [&](const auto& strip) {
      for (int64_t ow = 0; ow < s.OW; ++ow)
        for (int u = 0; u < strip.kVectors; ++u) {
          const int64_t c = strip.begin + u * VW, first = rows + ow * s.stride_w * s.C + c;
          vf best = load(x + first, strip.lanes), at_best = load(h + first, strip.lanes);
          for (int64_t i = 0; i < s.window_h; ++i)
            for (int64_t j = 0; j < s.window_w; ++j) {
              const int64_t pixel = first + (i * s.W + j) * s.C;
              const vf v = load(x + pixel, strip.lanes);
              const vi take = beats(v, best);
              best = choose(take, v, best);
              at_best = choose(take, load(h + pixel, strip.lanes), at_best);
            }
          store(y + (task * s.OW + ow) * s.C + c, at_best, strip.lanes);
        }
    });
  });
  return {};
}

Status check_max_grad(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_operands(args, "max_pool2d_grad", 2));
  return check_pool(args, "max_pool2d_grad", args.in[0], kXPooled, 2, PoolSide::image);
}

// Adds each window's g to dx at the window's argmax, windows in order; overlapping windows may meet in one pixel.
template <typename S>
ALUDEL_INLINE void scatter_strip(const S& strip, const float* x, const float* g, float* dx, const PoolShape& s) {
  for (int64_t p = 0; p < s.H * s.W; ++p)
    for (int u = 0; u < S::kVectors; ++u) store(dx + p * s.C + strip.begin + u * VW, vf{}, strip.lanes);
  for (int64_t oh = 0; oh < s.OH; ++oh)
    for (int64_t ow = 0; ow < s.OW; ++ow)
      for (int u = 0; u < S::kVectors; ++u) {
        const int64_t c = strip.begin + u * VW, first = (oh * s.stride_h * s.W + ow * s.stride_w) * s.C + c;
        vf best = load(x + first, strip.lanes);
        vi at{};  // position in the window
        for (int64_t i = 0, k = 0; i < s.window_h; ++i)
          for (int64_t j = 0; j < s.window_w; ++j, ++k) {
            const vf v = load(x + first + (i * s.W + j) * s.C, strip.lanes);
            const vi take = beats(v, best), here = (int32_t)k - vi{};
            best = choose(take, v, best);
            at = (take & here) | (~take & at);
          }
        const vf share = load(g + (oh * s.OW + ow) * s.C + c, strip.lanes);
        for (int64_t i = 0, k = 0; i < s.window_h; ++i)
          for (int64_t j = 0; j < s.window_w; ++j, ++k) {
            float* to = dx + first + (i * s.W + j) * s.C;
            const vi hit = at == ((int32_t)k - vi{});
            store(to, load(to, strip.lanes) + (vf)((vi)share & hit), strip.lanes);
          }
      }
}

Status run_max_grad(const KernelArgs& args, Exec& exec) {
  const PoolShape s = pool_shape(args.in[0], args.attrs);
  const float *x = args.in[0].as<const float>(), *g = args.in[1].as<const float>();
  float* dx = args.out[0].as<float>();
  const int64_t block = 4 * VW, blocks = (s.C + block - 1) / block;
  parallel_for(exec, s.images * blocks, [&](int64_t task, void*) {
    const int64_t n = task / blocks, begin = task % blocks * block;
    for_strips(begin, smaller(begin + block, s.C), [&](const auto& strip) {
      scatter_strip(strip, x + n * s.H * s.W * s.C, g + n * s.OH * s.OW * s.C, dx + n * s.H * s.W * s.C, s);
    });
  });
  return {};
}

}  // namespace

extern const Kernel kernel_avg_pool2d, kernel_avg_pool2d_grad, kernel_max_pool2d, kernel_max_pool2d_grad, kernel_max_pool2d_gather;
const Kernel kernel_avg_pool2d = {check_avg, nullptr, run_avg};
const Kernel kernel_avg_pool2d_grad = {check_avg_grad, nullptr, run_avg_grad};
const Kernel kernel_max_pool2d = {check_max, nullptr, run_gather};
const Kernel kernel_max_pool2d_grad = {check_max_grad, nullptr, run_max_grad};
const Kernel kernel_max_pool2d_gather = {check_max_gather, nullptr, run_gather};

}  // namespace aludel::cpu::ALUDEL_ISA
