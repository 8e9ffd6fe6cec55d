// What the three norm_act_pool kernels share: the reading and checking of their arguments, and the order in which pixels are visited.
//
// All three kinds are one scheme. A *segment* is the run of images that share statistics (one image, or the whole batch), a *set* is the
// run of neighbouring channels that do (one channel, or a group's). A *chunk* is a run of images that one task walks in order; the chunks
// of one g are joined in order, so sums over images do not depend on threads. Images are walked whole and in memory order: reading
// a second pass from the third-level cache costs less than jumping from block to block of channels.
#pragma once
#include "native/cpu/kernels/channels.h"

namespace aludel::cpu::ALUDEL_ISA {

constexpr int64_t kChunkElements = 1 << 15;  // of x, at least

constexpr int kGroupNorm = 1, kBatchNorm = 2;  // attribute kind; 0 is instance norm

struct NormShape {
  int64_t G, N, H, W, C;  // x
  int64_t OH, OW;         // y
  int pool;               // window and stride of the average pool: 1 (none) or 2
  bool relu;
  int power;  // of the sums of the ReLU map; 0: none are asked for
  double eps;
  const float* row_weights;  // [G,N] or null: rows of weight 0 take no part
  bool batch;                // one segment per g; otherwise every image is one
  int64_t set_channels;      // 1, or C / groups
  int64_t lanes;             // length of per-channel rows: C in whole vectors
  int64_t chunks;            // per g

  ALUDEL_INLINE int64_t pixels() const { return H * W; }
  ALUDEL_INLINE int64_t out_pixels() const { return OH * OW; }
  ALUDEL_INLINE int64_t image(int64_t g, int64_t n) const { return (g * N + n) * H * W * C; }
  ALUDEL_INLINE int64_t out_image(int64_t g, int64_t n) const { return (g * N + n) * OH * OW * C; }
  ALUDEL_INLINE int64_t first_image(int64_t chunk) const { return chunk * N / chunks; }
  // Index of the first set's statistics of a segment.
  ALUDEL_INLINE int64_t statistics(int64_t g, int64_t n) const { return (batch ? g : g * N + n) * (C / set_channels); }
  ALUDEL_INLINE bool takes_part(int64_t g, int64_t n) const { return row_weights == nullptr || row_weights[g * N + n] != 0.0f; }
  // Elements per channel in the images [n0, n1) that take part.
  ALUDEL_INLINE double count(int64_t g, int64_t n0, int64_t n1) const {
    int64_t images = 0;
    for (int64_t n = n0; n < n1; ++n) images += takes_part(g, n);
    return (double)(images * pixels());
  }
};

// Attributes and x have been checked. weights_at: the position of the optional rowWeights, the last input where it is there.
static inline NormShape norm_shape(const KernelArgs& args, int weights_at) {
  NormShape s{};
  const TensorRef& x = args.in[0];
  s.G = x.dims[0], s.N = x.dims[1], s.H = x.dims[2], s.W = x.dims[3], s.C = x.dims[4];
  const int kind = (int)args.attrs[0];
  s.eps = args.attrs[2];
  s.relu = args.attrs[3] != 0;
  s.pool = args.attrs[4] != 0 ? 2 : 1;
  s.power = args.nattrs > 5 ? (int)args.attrs[5] : 0;
  s.OH = s.H / s.pool, s.OW = s.W / s.pool;
  s.row_weights = args.nin == weights_at + 1 ? args.in[weights_at].as<const float>() : nullptr;
  s.batch = kind == kBatchNorm;
  s.set_channels = kind == kGroupNorm ? s.C / (int64_t)args.attrs[1] : 1;
  s.lanes = round_up(s.C, VW);
  // Enough tasks for many threads, few enough rows, and each worth its start.
  const int64_t worth = s.N * s.H * s.W * s.C / kChunkElements;
  s.chunks = smaller(smaller(s.N, s.G < 32 ? 32 / s.G : 1), worth > 1 ? worth : 1);
  return s;
}

enum class NormOperand { x, y, channel, statistic, row_weights, position, image_channel };

// Checks attributes, the number of operands and the shape and dtype of every one. inputs and outputs list what each must look like;
// the last input is the optional rowWeights. sums: whether a sixth attribute, the power of sums of the ReLU map, is expected.
Status check_norm(const KernelArgs& args, const char* op, const NormOperand* inputs, int nin, const NormOperand* outputs, int nout,
                  bool sums);

// Rows of windows [begin, end).
struct Band {
  int64_t begin, end;
};

// Rows of windows in a band.
ALUDEL_INLINE int64_t band_rows(int window, int64_t OW) {
  const int64_t pixels = window * window;
  return OW * pixels >= 64 ? 1 : 64 / pixels / (OW > 0 ? OW : 1);
}

// Calls f(band) for bands of few rows. All strips visit a band before the next one: memory is read in order, and the lines that strips
// share are still in L1.
template <int P, typename F>
ALUDEL_INLINE void for_bands(const NormShape& s, const F& f) {
  const int64_t rows = band_rows(P, s.OW);
  for (int64_t oh = 0; oh < s.OH; oh += rows) f(Band{oh, smaller(oh + rows, s.OH)});
}

// Calls window(first, out) for every pooling window of a band, with the offsets of its first pixel in the image and of its output,
// and flush() after at most 64 elements of x: sums of so few may be kept in float32, their totals are float64.
template <int P, typename Window, typename Flush>
ALUDEL_INLINE void for_windows(const NormShape& s, const Band& band, const Window& window, const Flush& flush) {
  constexpr int64_t kLimit = 64 / (P * P);
  const int64_t W = s.W, C = s.C, OW = s.OW;  // stores through float pointers would make the compiler read them again
  for (int64_t ow0 = 0; ow0 < OW; ow0 += kLimit) {
    const int64_t ow1 = smaller(ow0 + kLimit, OW);
    for (int64_t oh = band.begin; oh < band.end; ++oh) {
      int64_t first = (oh * P * W + ow0 * P) * C, out = (oh * OW + ow0) * C;
      for (int64_t ow = ow0; ow < ow1; ++ow, first += P * C, out += C) window(first, out);
    }
    flush();
  }
}

// Where the pixels of a window lie, from its first.
template <int P>
struct WindowPixels {
  int64_t at[P * P];

  ALUDEL_INLINE explicit WindowPixels(const NormShape& s) {
    for (int i = 0; i < P; ++i)
      for (int j = 0; j < P; ++j) at[i * P + j] = (i * s.W + j) * s.C;
  }
};

// Calls f(pixel) for the pixels that no window covers: the last row or column of an odd size.
template <int P, typename F>
ALUDEL_INLINE void for_rim(int64_t H, int64_t W, const F& f) {
  if (P == 1) return;
  for (int64_t h = 0; h < H; ++h)
    for (int64_t w = h < H / P * P ? W / P * P : 0; w < W; ++w) f(h * W + w);
}

// An empty y (a pool of one row) may have no address at all.
ALUDEL_INLINE void zero(float* p, int64_t n) {
  if (n > 0) __builtin_memset(p, 0, (size_t)n * sizeof(float));
}

// z > 0 ? v : 0
ALUDEL_INLINE vf where_positive(vf z, vf v) { return (vf)((vi)v & (vi)(z > vf{})); }

}  // namespace aludel::cpu::ALUDEL_ISA
