// What the three norm_act_pool kernels share: the reading and checking of their arguments, and the order in which pixels are visited.
//
// All three kinds are one scheme. A *segment* is the run of images that share statistics (one image, or the whole batch), a *set* is the
// run of neighbouring channels that do (one channel, or a group's). A *block* is a run of whole sets that one task handles.
#pragma once
#include "native/cpu/kernels/channels.h"

namespace aludel::cpu::ALUDEL_ISA {

constexpr int kGroupNorm = 1, kBatchNorm = 2;  // attribute kind; 0 is instance norm

struct NormShape {
  int64_t G, N, H, W, C;  // x
  int64_t OH, OW;         // y
  int pool;               // window and stride of the average pool: 1 (none) or 2
  bool relu;
  double eps;
  const float* row_weights;  // [G,N] or null: rows of weight 0 take no part
  int64_t segments;          // per g: N, or 1 for batch norm
  int64_t segment_images;    // 1, or N for batch norm
  int64_t set_channels;      // 1, or C / groups
  int64_t block_channels;    // a multiple of set_channels
  int64_t blocks;            // per image
  int64_t block_lanes;       // block_channels rounded up to whole vectors: the length of per-channel scratch rows
  int64_t pixels() const __attribute__((always_inline)) { return H * W; }
  int64_t out_pixels() const __attribute__((always_inline)) { return OH * OW; }
  int64_t image(int64_t g, int64_t n) const __attribute__((always_inline)) { return (g * N + n) * H * W * C; }
  int64_t out_image(int64_t g, int64_t n) const __attribute__((always_inline)) { return (g * N + n) * OH * OW * C; }
  // Index of the statistics of the set that holds channel c.
  int64_t statistic(int64_t g, int64_t segment, int64_t c) const __attribute__((always_inline)) {
    return (g * segments + segment) * (C / set_channels) + c / set_channels;
  }
  bool takes_part(int64_t g, int64_t n) const __attribute__((always_inline)) {
    return row_weights == nullptr || row_weights[g * N + n] != 0.0f;
  }
};

// Attributes and x have been checked. weights_at: the position of the optional rowWeights among the inputs.
static inline NormShape norm_shape(const KernelArgs& args, int weights_at) {
  NormShape s{};
  const TensorRef& x = args.in[0];
  s.G = x.dims[0], s.N = x.dims[1], s.H = x.dims[2], s.W = x.dims[3], s.C = x.dims[4];
  const int kind = (int)args.attrs[0];
  s.eps = args.attrs[2];
  s.relu = args.attrs[3] != 0;
  s.pool = args.attrs[4] != 0 ? 2 : 1;
  s.OH = s.H / s.pool, s.OW = s.W / s.pool;
  s.row_weights = args.nin > weights_at ? args.in[weights_at].as<const float>() : nullptr;
  s.segments = kind == kBatchNorm ? 1 : s.N;
  s.segment_images = kind == kBatchNorm ? s.N : 1;
  s.set_channels = kind == kGroupNorm ? s.C / (int64_t)args.attrs[1] : 1;
  // One strip of a 32x32 image is 64 KB at 8 lanes: it stays in L2 between passes.
  s.block_channels = smaller(s.C, round_up(2 * VW, s.set_channels));
  s.blocks = (s.C + s.block_channels - 1) / s.block_channels;
  s.block_lanes = round_up(s.block_channels, VW);
  return s;
}

enum class NormOperand { x, y, channel, statistic, row_weights };

// Checks attributes, the number of operands and the shape and dtype of every one. inputs and outputs list what each must look like;
// the last input is the optional rowWeights.
Status check_norm(const KernelArgs& args, const char* op, const NormOperand* inputs, int nin, const NormOperand* outputs, int nout);

// Calls window(oh, ow) for every pooling window, and flush() after at most 64 elements of x: sums of so few may be kept in float32,
// their totals are float64.
template <int P, typename Window, typename Flush>
ALUDEL_INLINE void for_windows(int64_t OH, int64_t OW, const Window& window, const Flush& flush) {
  constexpr int64_t kLimit = 64 / (P * P);
  if (OW == 0) return;
  const int64_t rows = OW >= kLimit ? 1 : kLimit / OW;
  for (int64_t oh0 = 0; oh0 < OH; oh0 += rows) {
    const int64_t oh1 = smaller(oh0 + rows, OH);
    for (int64_t ow0 = 0; ow0 < OW; ow0 += kLimit) {
      const int64_t ow1 = smaller(ow0 + kLimit, OW);
      for (int64_t oh = oh0; oh < oh1; ++oh)
        for (int64_t ow = ow0; ow < ow1; ++ow) window(oh, ow);
      flush();
    }
  }
}

// Calls f(pixel) for the pixels that no window covers: the last row or column of an odd size.
template <int P, typename F>
ALUDEL_INLINE void for_rim(int64_t H, int64_t W, const F& f) {
  if (P == 1) return;
  for (int64_t h = 0; h < H; ++h)
    for (int64_t w = h < H / P * P ? W / P * P : 0; w < W; ++w) f(h * W + w);
}

// Zeroes channels [begin, end) of every pixel.
static inline void zero_channels(float* image, int64_t pixels, int64_t C, int64_t begin, int64_t end) {
  for (int64_t p = 0; p < pixels; ++p) __builtin_memset(image + p * C + begin, 0, (size_t)(end - begin) * sizeof(float));
}

// z > 0 ? v : 0
ALUDEL_INLINE vf where_positive(vf z, vf v) { return (vf)((vi)v & (vi)(z > vf{})); }

}  // namespace aludel::cpu::ALUDEL_ISA
