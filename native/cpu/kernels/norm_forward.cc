// norm_act_pool: xh = (x - mean) rstd, y = pool(relu(gamma xh + beta)). Per block: sum, centred sum of squares, output.
// Statistics: per channel and image in two passes, merged in float64 by Chan's formula, first over a segment's images in order,
// then over a set's channels; so batch norm reads x from memory twice, not three times.
#include "native/cpu/kernels/norm.h"

namespace aludel::cpu::ALUDEL_ISA {

namespace {

constexpr NormOperand kInputs[] = {NormOperand::x, NormOperand::channel, NormOperand::channel, NormOperand::row_weights};
constexpr NormOperand kOutputs[] = {NormOperand::y, NormOperand::statistic, NormOperand::statistic};

// Per-channel rows of a block.
struct Scratch {
  double *image_mean, *image_m2;  // of one image
  double *mean, *m2;              // of the segment
  float* centre;                  // what x is centred on: the float32 mean
  float *scale, *shift;           // z = (x - centre) scale + shift

  Scratch(void* memory, int64_t lanes) {
    double* d = static_cast<double*>(memory);
    image_mean = d, image_m2 = d + lanes, mean = d + 2 * lanes, m2 = d + 3 * lanes;
    float* f = reinterpret_cast<float*>(d + 4 * lanes);
    centre = f, scale = f + lanes, shift = f + 2 * lanes;
  }
  static int64_t bytes(int64_t lanes) { return lanes * (int64_t)(4 * sizeof(double) + 3 * sizeof(float)); }
};

// acc[c] += sum over pixels of f(x[c]). Four pixels at once hide the latency of the additions.
template <typename S, typename F>
ALUDEL_INLINE void sum_pixels(const S& strip, const float* x, int64_t pixels, int64_t C, double* acc, const F& f) {
  constexpr int U = S::kVectors;
  const float* from = x + strip.begin;
  for (int64_t p0 = 0; p0 < pixels; p0 += 64) {
    const int64_t p1 = smaller(p0 + 64, pixels);
    vf part[4][U] = {};
    int64_t p = p0;
    for (; p + 4 <= p1; p += 4)
      for (int k = 0; k < 4; ++k)
        for (int u = 0; u < U; ++u) part[k][u] = f(load(from + (p + k) * C + u * VW, strip.lanes), u, part[k][u]);
    for (; p < p1; ++p)
      for (int u = 0; u < U; ++u) part[0][u] = f(load(from + p * C + u * VW, strip.lanes), u, part[0][u]);
    for (int u = 0; u < U; ++u) add_to(acc + u * VW, (part[0][u] + part[1][u]) + (part[2][u] + part[3][u]));
  }
}

// Mean and centred sum of squares of every channel of one image: image_mean, image_m2.
void image_moments(const Scratch& t, const float* x, const NormShape& s, int64_t begin, int64_t end) {
  const int64_t pixels = s.pixels(), lanes = round_up(end - begin, VW);
  for (int64_t c = 0; c < lanes; ++c) t.image_mean[c] = t.image_m2[c] = 0;
  for_strips(begin, end, [&](const auto& strip) {
    const int64_t at = strip.begin - begin;
    sum_pixels(strip, x, pixels, s.C, t.image_mean + at, [](vf v, int, vf part) { return part + v; });
    vf centre[2];
    for (int u = 0; u < strip.kVectors; ++u) {
      float* row = t.centre + at + u * VW;
      for (int i = 0; i < VW; ++i) row[i] = (float)(t.image_mean[at + u * VW + i] / (double)pixels);
      centre[u] = load(row);
    }
    sum_pixels(strip, x, pixels, s.C, t.image_m2 + at, [&](vf v, int u, vf part) {
      const vf d = v - centre[u];
      return part + d * d;
    });
  });
  for (int64_t c = 0; c < lanes; ++c) {
    t.image_mean[c] /= (double)pixels;
    const double off = t.image_mean[c] - (double)t.centre[c];  // the squares were taken about the rounded mean
    const double m2 = t.image_m2[c] - off * off * (double)pixels;
    t.image_m2[c] = m2 < 0 ? 0 : m2;
  }
}

// Merges one image's moments into the segment's, which hold count elements so far.
void merge_image(const Scratch& t, int64_t channels, double count, double pixels) {
  const double total = count + pixels;
  for (int64_t c = 0; c < channels; ++c) {
    const double delta = t.image_mean[c] - t.mean[c];
    t.mean[c] += delta * (pixels / total);
    t.m2[c] += t.image_m2[c] + delta * delta * (count * pixels / total);
  }
}

// Merges the channels of every set; writes the statistics and the coefficients of z. count: elements per channel.
void finish_statistics(const Scratch& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t segment, int64_t begin, int64_t end,
                       double count) {
  const float *gamma = args.in[1].as<const float>() + g * s.C, *beta = args.in[2].as<const float>() + g * s.C;
  for (int64_t c0 = begin; c0 < end; c0 += s.set_channels) {
    const double channels = (double)s.set_channels;
    double mean = 0, m2 = 0;
    for (int64_t c = c0 - begin; c < c0 - begin + s.set_channels; ++c) mean += t.mean[c];
    mean /= channels;
    for (int64_t c = c0 - begin; c < c0 - begin + s.set_channels; ++c) m2 += t.m2[c] + count * (t.mean[c] - mean) * (t.mean[c] - mean);
    const double variance = count > 0 ? m2 / (count * channels) : 0;
    const double rstd = 1 / __builtin_sqrt(variance + s.eps);
    const int64_t at = s.statistic(g, segment, c0);
    args.out[1].as<float>()[at] = (float)mean;
    args.out[2].as<float>()[at] = (float)rstd;
    for (int64_t c = c0; c < c0 + s.set_channels; ++c) {
      t.centre[c - begin] = (float)mean;
      t.scale[c - begin] = gamma[c] * (float)rstd;  // rounded as in the gradient kernels: the sign of z must agree
      t.shift[c - begin] = beta[c];
    }
  }
}

template <int P, bool RELU, typename S>
ALUDEL_INLINE void write_strip(const S& strip, const Scratch& t, const float* x, float* y, const NormShape& s, int64_t at) {
  constexpr int U = S::kVectors;
  vf centre[U], scale[U], shift[U];
  for (int u = 0; u < U; ++u) {
    centre[u] = load(t.centre + at + u * VW);
    scale[u] = load(t.scale + at + u * VW);
    shift[u] = load(t.shift + at + u * VW);
  }
  for (int64_t oh = 0; oh < s.OH; ++oh) {
    const float* row = x + oh * P * s.W * s.C + strip.begin;
    float* to = y + oh * s.OW * s.C + strip.begin;
    for (int64_t ow = 0; ow < s.OW; ++ow, row += P * s.C, to += s.C) {
      for (int u = 0; u < U; ++u) {
        vf sum{};
        for (int i = 0; i < P; ++i)
          for (int j = 0; j < P; ++j) {
            const vf z = (load(row + (i * s.W + j) * s.C + u * VW, strip.lanes) - centre[u]) * scale[u] + shift[u];
            sum += RELU ? (vf{} > z ? vf{} : z) : z;  // lets NaN through
          }
        store(to + u * VW, P == 1 ? sum : sum * splat(1.0f / (P * P)), strip.lanes);
      }
    }
  }
}

template <int P, bool RELU>
void forward_block(const KernelArgs& args, const NormShape& s, int64_t g, int64_t segment, int64_t block, void* scratch) {
  const Scratch t(scratch, s.block_lanes);
  const int64_t begin = block * s.block_channels, end = smaller(begin + s.block_channels, s.C);
  const int64_t n0 = segment * s.segment_images, n1 = n0 + s.segment_images;
  const float* x = args.in[0].as<const float>();
  float* y = args.out[0].as<float>();
  for (int64_t c = 0; c < s.block_lanes; ++c) t.mean[c] = t.m2[c] = 0, t.centre[c] = t.scale[c] = t.shift[c] = 0;
  double count = 0;
  for (int64_t n = n0; n < n1; ++n) {
    if (!s.takes_part(g, n)) continue;
    image_moments(t, x + s.image(g, n), s, begin, end);
    merge_image(t, end - begin, count, (double)s.pixels());
    count += (double)s.pixels();
  }
  finish_statistics(t, args, s, g, segment, begin, end, count);
  for (int64_t n = n0; n < n1; ++n) {
    if (!s.takes_part(g, n)) {
      zero_channels(y + s.out_image(g, n), s.out_pixels(), s.C, begin, end);
      continue;
    }
    for_strips(begin, end, [&](const auto& strip) {
      write_strip<P, RELU>(strip, t, x + s.image(g, n), y + s.out_image(g, n), s, strip.begin - begin);
    });
  }
}

Status check(const KernelArgs& args) { return check_norm(args, "norm_act_pool", kInputs, 4, kOutputs, 3); }

int64_t scratch_bytes(const KernelArgs& args) { return Scratch::bytes(norm_shape(args, 3).block_lanes); }

Status run(const KernelArgs& args, Exec& exec) {
  const NormShape s = norm_shape(args, 3);
  const auto body = s.pool == 2 ? (s.relu ? forward_block<2, true> : forward_block<2, false>)
                                : (s.relu ? forward_block<1, true> : forward_block<1, false>);
  // Blocks of one image are neighbouring tasks: they share its cache lines' neighbourhood.
  parallel_for(exec, s.G * s.segments * s.blocks, [&](int64_t task, void* scratch) {
    const int64_t image = task / s.blocks;
    body(args, s, image / s.segments, image % s.segments, task % s.blocks, scratch);
  });
  return {};
}

}  // namespace

extern const Kernel kernel_norm_act_pool;
const Kernel kernel_norm_act_pool = {check, scratch_bytes, run};

}  // namespace aludel::cpu::ALUDEL_ISA
