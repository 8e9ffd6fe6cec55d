// norm_act_pool_grad: gz = [z>0] pool^T(gy), t = gamma gz, dx = rstd (t - mean(t) - xh mean(t xh)), dgamma = sum gz xh, dbeta = sum gz.
// Two passes over x and gy. One task owns a channel block of one g and walks the images in order, so the sums over images that make
// dgamma and dbeta have a fixed order.
#include "native/cpu/kernels/norm.h"

namespace aludel::cpu::ALUDEL_ISA {

namespace {

constexpr NormOperand kInputs[] = {NormOperand::x,         NormOperand::channel, NormOperand::channel,    NormOperand::statistic,
                                   NormOperand::statistic, NormOperand::y,       NormOperand::row_weights};
constexpr NormOperand kOutputs[] = {NormOperand::x, NormOperand::channel, NormOperand::channel};

// Per-channel rows of a block. d = x - mean = xh / rstd.
struct Scratch {
  double *gz, *gz_d;            // sums over a segment of gz and gz d
  double *dgamma, *dbeta;       // running over segments
  float *mean, *scale, *shift;  // z = d scale + shift
  float *by_d, *constant;       // dx = gz scale + d by_d + constant

  Scratch(void* memory, int64_t lanes) {
    double* d = static_cast<double*>(memory);
    gz = d, gz_d = d + lanes, dgamma = d + 2 * lanes, dbeta = d + 3 * lanes;
    float* f = reinterpret_cast<float*>(d + 4 * lanes);
    mean = f, scale = f + lanes, shift = f + 2 * lanes, by_d = f + 3 * lanes, constant = f + 4 * lanes;
  }
  static int64_t bytes(int64_t lanes) { return lanes * (int64_t)(4 * sizeof(double) + 5 * sizeof(float)); }
};

void load_coefficients(const Scratch& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t segment, int64_t begin,
                       int64_t end) {
  const float *gamma = args.in[1].as<const float>() + g * s.C, *beta = args.in[2].as<const float>() + g * s.C;
  const float *mean = args.in[3].as<const float>(), *rstd = args.in[4].as<const float>();
  for (int64_t c = begin; c < end; ++c) {
    const int64_t at = s.statistic(g, segment, c);
    t.mean[c - begin] = mean[at];
    t.scale[c - begin] = gamma[c] * rstd[at];
    t.shift[c - begin] = beta[c];
  }
}

template <int P, bool RELU, typename S>
ALUDEL_INLINE void sum_strip(const S& strip, const Scratch& t, const float* x, const float* gy, const NormShape& s, int64_t at) {
  constexpr int U = S::kVectors;
  const vf share = splat(1.0f / (P * P));
  vf mean[U], scale[U], shift[U], gz[U] = {}, gz_d[U] = {};
  for (int u = 0; u < U; ++u) {
    mean[u] = load(t.mean + at + u * VW), scale[u] = load(t.scale + at + u * VW), shift[u] = load(t.shift + at + u * VW);
  }
  const auto window = [&](int64_t oh, int64_t ow) {
    const float* from = x + (oh * P * s.W + ow * P) * s.C + strip.begin;
    const float* g = gy + (oh * s.OW + ow) * s.C + strip.begin;
    for (int u = 0; u < U; ++u) {
      const vf q = P == 1 ? load(g + u * VW, strip.lanes) : load(g + u * VW, strip.lanes) * share;
      vf in_window{}, in_window_d{};
      for (int i = 0; i < P; ++i)
        for (int j = 0; j < P; ++j) {
          const vf d = load(from + (i * s.W + j) * s.C + u * VW, strip.lanes) - mean[u];
          const vf part = RELU ? where_positive(d * scale[u] + shift[u], q) : q;
          in_window += part;
          in_window_d += part * d;
        }
      gz[u] += in_window;
      gz_d[u] += in_window_d;
    }
  };
  for_windows<P>(s.OH, s.OW, window, [&] {
    for (int u = 0; u < U; ++u) {
      add_to(t.gz + at + u * VW, gz[u]), add_to(t.gz_d + at + u * VW, gz_d[u]);
      gz[u] = gz_d[u] = vf{};
    }
  });
}

// From the segment's sums: this segment's share of dgamma and dbeta, and the coefficients of dx. count: elements per channel.
void finish_sums(const Scratch& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t segment, int64_t begin, int64_t end,
                 double count) {
  const float* gamma = args.in[1].as<const float>() + g * s.C;
  const double n = (count > 0 ? count : 1) * (double)s.set_channels;
  for (int64_t c0 = begin; c0 < end; c0 += s.set_channels) {
    const double rstd = args.in[4].as<const float>()[s.statistic(g, segment, c0)];
    double a = 0, b = 0;  // means of t and t xh over the set
    for (int64_t c = c0; c < c0 + s.set_channels; ++c) {
      const int64_t k = c - begin;
      a += gamma[c] * t.gz[k];
      b += gamma[c] * t.gz_d[k];
      t.dgamma[k] += rstd * t.gz_d[k];
      t.dbeta[k] += t.gz[k];
    }
    a /= n;
    b *= rstd / n;
    for (int64_t k = c0 - begin; k < c0 - begin + s.set_channels; ++k) {
      t.by_d[k] = (float)(-rstd * rstd * b);
      t.constant[k] = (float)(-rstd * a);
    }
  }
}

template <int P, bool RELU, typename S>
ALUDEL_INLINE void write_strip(const S& strip, const Scratch& t, const float* x, const float* gy, float* dx, const NormShape& s,
                               int64_t at) {
  constexpr int U = S::kVectors;
  const vf share = splat(1.0f / (P * P));
  vf mean[U], scale[U], shift[U], by_d[U], constant[U];
  for (int u = 0; u < U; ++u) {
    mean[u] = load(t.mean + at + u * VW), scale[u] = load(t.scale + at + u * VW), shift[u] = load(t.shift + at + u * VW);
    by_d[u] = load(t.by_d + at + u * VW), constant[u] = load(t.constant + at + u * VW);
  }
  for (int64_t oh = 0; oh < s.OH; ++oh)
    for (int64_t ow = 0; ow < s.OW; ++ow) {
      const float* g = gy + (oh * s.OW + ow) * s.C + strip.begin;
      const int64_t first = (oh * P * s.W + ow * P) * s.C + strip.begin;
      for (int u = 0; u < U; ++u) {
        const vf q = P == 1 ? load(g + u * VW, strip.lanes) : load(g + u * VW, strip.lanes) * share;
        const vf q_scaled = q * scale[u];
        for (int i = 0; i < P; ++i)
          for (int j = 0; j < P; ++j) {
            const int64_t pixel = first + (i * s.W + j) * s.C + u * VW;
            const vf d = load(x + pixel, strip.lanes) - mean[u];
            const vf part = RELU ? where_positive(d * scale[u] + shift[u], q_scaled) : q_scaled;
            store(dx + pixel, part + (d * by_d[u] + constant[u]), strip.lanes);
          }
      }
    }
  for_rim<P>(s.H, s.W, [&](int64_t p) {
    for (int u = 0; u < U; ++u) {
      const int64_t pixel = p * s.C + strip.begin + u * VW;
      store(dx + pixel, (load(x + pixel, strip.lanes) - mean[u]) * by_d[u] + constant[u], strip.lanes);
    }
  });
}

template <int P, bool RELU>
void grad_segment(const Scratch& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t segment, int64_t begin, int64_t end) {
  const float *x = args.in[0].as<const float>(), *gy = args.in[5].as<const float>();
  float* dx = args.out[0].as<float>();
  const int64_t n0 = segment * s.segment_images, n1 = n0 + s.segment_images;
  load_coefficients(t, args, s, g, segment, begin, end);
  for (int64_t c = 0; c < s.block_lanes; ++c) t.gz[c] = t.gz_d[c] = 0;
  double count = 0;
  for (int64_t n = n0; n < n1; ++n) {
    if (!s.takes_part(g, n)) continue;
    count += (double)s.pixels();
    for_strips(begin, end,
               [&](const auto& strip) { sum_strip<P, RELU>(strip, t, x + s.image(g, n), gy + s.out_image(g, n), s, strip.begin - begin); });
  }
  finish_sums(t, args, s, g, segment, begin, end, count);
  for (int64_t n = n0; n < n1; ++n) {
    if (!s.takes_part(g, n)) {
      zero_channels(dx + s.image(g, n), s.pixels(), s.C, begin, end);
      continue;
    }
    for_strips(begin, end, [&](const auto& strip) {
      write_strip<P, RELU>(strip, t, x + s.image(g, n), gy + s.out_image(g, n), dx + s.image(g, n), s, strip.begin - begin);
    });
  }
}

template <int P, bool RELU>
void grad_block(const KernelArgs& args, const NormShape& s, int64_t g, int64_t block, void* scratch) {
  const Scratch t(scratch, s.block_lanes);
  const int64_t begin = block * s.block_channels, end = smaller(begin + s.block_channels, s.C);
  for (int64_t c = 0; c < s.block_lanes; ++c) {
    t.dgamma[c] = t.dbeta[c] = 0;
    t.mean[c] = t.scale[c] = t.shift[c] = t.by_d[c] = t.constant[c] = 0;
  }
  for (int64_t segment = 0; segment < s.segments; ++segment) grad_segment<P, RELU>(t, args, s, g, segment, begin, end);
  for (int64_t c = begin; c < end; ++c) {
    args.out[1].as<float>()[g * s.C + c] = (float)t.dgamma[c - begin];
    args.out[2].as<float>()[g * s.C + c] = (float)t.dbeta[c - begin];
  }
}

Status check(const KernelArgs& args) { return check_norm(args, "norm_act_pool_grad", kInputs, 7, kOutputs, 3); }

int64_t scratch_bytes(const KernelArgs& args) { return Scratch::bytes(norm_shape(args, 6).block_lanes); }

Status run(const KernelArgs& args, Exec& exec) {
  const NormShape s = norm_shape(args, 6);
  const auto body =
      s.pool == 2 ? (s.relu ? grad_block<2, true> : grad_block<2, false>) : (s.relu ? grad_block<1, true> : grad_block<1, false>);
  parallel_for(exec, s.G * s.blocks, [&](int64_t task, void* scratch) { body(args, s, task / s.blocks, task % s.blocks, scratch); });
  return {};
}

}  // namespace

extern const Kernel kernel_norm_act_pool_grad;
const Kernel kernel_norm_act_pool_grad = {check, scratch_bytes, run};

}  // namespace aludel::cpu::ALUDEL_ISA
