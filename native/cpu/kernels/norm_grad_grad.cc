// norm_act_pool_grad_grad: gradients of <ux, dx> + <ugamma, dgamma> + <ubeta, dbeta> with respect to x, gamma and gy.
// With gz, t, A = mean t, B = mean(t xh), P as in norm_grad.cc, and U = mean ux, C = mean(ux xh), D = mean(ux t):
//   q = gamma P(ux) + ugamma xh + ubeta, ggy = pool([z>0] q), ggamma = sum gz P(ux)
//   h = -rstd (ux B + t C) + ugamma gz,  gx = P(h) - rstd^2 xh (D - U A - C B)
// The means of h and h xh follow from the same sums, so two passes over x, gy and ux are enough. d = x - mean = xh / rstd.
#include "native/cpu/kernels/norm.h"

namespace aludel::cpu::ALUDEL_ISA {

namespace {

constexpr NormOperand kInputs[] = {NormOperand::x,         NormOperand::channel,    NormOperand::channel, NormOperand::statistic,
                                   NormOperand::statistic, NormOperand::y,          NormOperand::x,       NormOperand::channel,
                                   NormOperand::channel,   NormOperand::row_weights};
constexpr NormOperand kOutputs[] = {NormOperand::x, NormOperand::channel, NormOperand::y};
constexpr int kSums = 5, kTotals = 1, kCoefficients = 8;

// Per-channel rows of a chunk.
struct Rows {
  double *gz, *gz_d, *ux, *ux_d, *gz_ux;  // sums over a segment
  double* ggamma;                         // total over images
  float *mean, *scale, *shift;            // z = d scale + shift; scale = gamma rstd
  float* gate;                            // rstd (ugamma - scale C): d's coefficient in q, gz's in gx
  float* q0;                              // q = ux scale + d gate + q0
  float *x_ux, *x_d, *x0;                 // gx = ux x_ux + gz gate + d x_d + x0

  Rows(void* memory, int64_t lanes) {
    double* d = static_cast<double*>(memory);
    gz = d, gz_d = d + lanes, ux = d + 2 * lanes, ux_d = d + 3 * lanes, gz_ux = d + 4 * lanes, ggamma = d + kSums * lanes;
    float* f = reinterpret_cast<float*>(d + (kSums + kTotals) * lanes);
    mean = f, scale = f + lanes, shift = f + 2 * lanes, gate = f + 3 * lanes;
    q0 = f + 4 * lanes, x_ux = f + 5 * lanes, x_d = f + 6 * lanes, x0 = f + 7 * lanes;
  }
  double* sums() const { return gz; }
  static int64_t bytes(int64_t lanes) { return lanes * (int64_t)((kSums + kTotals) * sizeof(double) + kCoefficients * sizeof(float)); }
};

// The inputs and outputs of one image.
struct Image {
  const float *x, *gy, *ux;
  float *gx, *ggy;
};

Image image_of(const KernelArgs& args, const NormShape& s, int64_t g, int64_t n) {
  const int64_t at = s.image(g, n), out = s.out_image(g, n);
  return {args.in[0].as<const float>() + at, args.in[5].as<const float>() + out, args.in[6].as<const float>() + at,
          args.out[0].as<float>() + at, args.out[2].as<float>() + out};
}

void load_coefficients(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t n) {
  const float *gamma = args.in[1].as<const float>() + g * s.C, *beta = args.in[2].as<const float>() + g * s.C;
  const float *mean = args.in[3].as<const float>(), *rstd = args.in[4].as<const float>();
  for (int64_t c = 0; c < s.C; ++c) {
    const int64_t at = s.statistic(g, n, c);
    t.mean[c] = mean[at];
    t.scale[c] = gamma[c] * rstd[at];
    t.shift[c] = beta[c];
  }
}

template <int P, bool RELU, typename S>
ALUDEL_INLINE void sum_strip(const S& strip, const Rows& t, const Image& image, const NormShape& s, const Band& band) {
  constexpr int U = S::kVectors;
  const int64_t at = strip.begin;
  const vf share = splat(1.0f / (P * P));
  vf mean[U], scale[U], shift[U], gz[U] = {}, gz_d[U] = {}, ux[U] = {}, ux_d[U] = {}, gz_ux[U] = {};
  for (int u = 0; u < U; ++u) {
    mean[u] = load(t.mean + at + u * VW), scale[u] = load(t.scale + at + u * VW), shift[u] = load(t.shift + at + u * VW);
  }
  const auto window = [&](int64_t oh, int64_t ow) {
    const int64_t first = (oh * P * s.W + ow * P) * s.C + strip.begin;
    const float* g = image.gy + (oh * s.OW + ow) * s.C + strip.begin;
    for (int u = 0; u < U; ++u) {
      const vf q = P == 1 ? load(g + u * VW, strip.lanes) : load(g + u * VW, strip.lanes) * share;
      for (int i = 0; i < P; ++i)
        for (int j = 0; j < P; ++j) {
          const int64_t pixel = first + (i * s.W + j) * s.C + u * VW;
          const vf d = load(image.x + pixel, strip.lanes) - mean[u], v = load(image.ux + pixel, strip.lanes);
          const vf part = RELU ? where_positive(d * scale[u] + shift[u], q) : q;
          gz[u] += part;
          gz_d[u] += part * d;
          ux[u] += v;
          ux_d[u] += v * d;
          gz_ux[u] += part * v;
        }
    }
  };
  for_windows<P>(band, s.OW, window, [&] {
    for (int u = 0; u < U; ++u) {
      const int64_t to = at + u * VW;
      add_to(t.gz + to, gz[u], strip.lanes), add_to(t.gz_d + to, gz_d[u], strip.lanes), add_to(t.gz_ux + to, gz_ux[u], strip.lanes);
      add_to(t.ux + to, ux[u], strip.lanes), add_to(t.ux_d + to, ux_d[u], strip.lanes);
      gz[u] = gz_d[u] = ux[u] = ux_d[u] = gz_ux[u] = vf{};
    }
  });
}

// The means over a set that all channels of it share.
struct SetMeans {
  double a, b;            // t, t xh
  double u, c, d;         // ux, ux xh, ux t
  double gated, gated_x;  // ugamma gz, ugamma gz xh
};

SetMeans set_means(const Rows& t, const float* gamma, const float* ugamma, int64_t c0, int64_t c1, double rstd, double n) {
  SetMeans m{};
  for (int64_t c = c0; c < c1; ++c) {
    m.a += gamma[c] * t.gz[c];
    m.b += gamma[c] * t.gz_d[c];
    m.u += t.ux[c];
    m.c += t.ux_d[c];
    m.d += gamma[c] * t.gz_ux[c];
    m.gated += ugamma[c] * t.gz[c];
    m.gated_x += ugamma[c] * t.gz_d[c];
  }
  m.a /= n, m.u /= n, m.d /= n, m.gated /= n;
  m.b *= rstd / n, m.c *= rstd / n, m.gated_x *= rstd / n;
  return m;
}

// From a segment's sums: its share of ggamma and the coefficients of q and gx. count: elements per channel.
void finish_sums(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t n, int64_t begin, int64_t end,
                 double count) {
  const float *gamma = args.in[1].as<const float>() + g * s.C, *ugamma = args.in[7].as<const float>() + g * s.C;
  const float* ubeta = args.in[8].as<const float>() + g * s.C;
  const double elements = (count > 0 ? count : 1) * (double)s.set_channels;
  for (int64_t c0 = begin; c0 < end; c0 += s.set_channels) {
    const int64_t c1 = c0 + s.set_channels;
    const double rstd = args.in[4].as<const float>()[s.statistic(g, n, c0)];
    const SetMeans m = set_means(t, gamma, ugamma, c0, c1, rstd, elements);
    const double mean_h = m.gated - rstd * (m.u * m.b + m.a * m.c);
    const double mean_h_xh = m.gated_x - 2 * rstd * m.b * m.c;
    const double along = m.d - m.u * m.a - m.c * m.b;
    for (int64_t c = c0; c < c1; ++c) {
      t.ggamma[c] += rstd * (t.gz_ux[c] - m.u * t.gz[c] - m.c * rstd * t.gz_d[c]);
      t.gate[c] = (float)(rstd * (ugamma[c] - gamma[c] * rstd * m.c));
      t.q0[c] = (float)(ubeta[c] - gamma[c] * rstd * m.u);
      t.x_ux[c] = (float)(-rstd * rstd * m.b);
      t.x_d[c] = (float)(-rstd * rstd * (mean_h_xh + rstd * along));
      t.x0[c] = (float)(-rstd * mean_h);
    }
  }
}

template <int P, bool RELU, typename S>
ALUDEL_INLINE void write_strip(const S& strip, const Rows& t, const Image& image, const NormShape& s, const Band& band) {
  constexpr int U = S::kVectors;
  const int64_t at = strip.begin;
  const vf share = splat(1.0f / (P * P));
  vf mean[U], scale[U], shift[U], gate[U], q0[U], x_ux[U], x_d[U], x0[U];
  for (int u = 0; u < U; ++u) {
    const int64_t k = at + u * VW;
    mean[u] = load(t.mean + k), scale[u] = load(t.scale + k), shift[u] = load(t.shift + k), gate[u] = load(t.gate + k);
    q0[u] = load(t.q0 + k), x_ux[u] = load(t.x_ux + k), x_d[u] = load(t.x_d + k), x0[u] = load(t.x0 + k);
  }
  for (int64_t oh = band.begin; oh < band.end; ++oh)
    for (int64_t ow = 0; ow < s.OW; ++ow) {
      const int64_t first = (oh * P * s.W + ow * P) * s.C + strip.begin, out = (oh * s.OW + ow) * s.C + strip.begin;
      for (int u = 0; u < U; ++u) {
        const vf g = load(image.gy + out + u * VW, strip.lanes);
        const vf g_gated = (P == 1 ? g : g * share) * gate[u];
        vf sum{};
        for (int i = 0; i < P; ++i)
          for (int j = 0; j < P; ++j) {
            const int64_t pixel = first + (i * s.W + j) * s.C + u * VW;
            const vf d = load(image.x + pixel, strip.lanes) - mean[u], v = load(image.ux + pixel, strip.lanes);
            const vf z = d * scale[u] + shift[u], q = v * scale[u] + (d * gate[u] + q0[u]);
            sum += RELU ? where_positive(z, q) : q;
            const vf part = RELU ? where_positive(z, g_gated) : g_gated;
            store(image.gx + pixel, part + (v * x_ux[u] + (d * x_d[u] + x0[u])), strip.lanes);
          }
        store(image.ggy + out + u * VW, P == 1 ? sum : sum * share, strip.lanes);
      }
    }
}

// A pixel without window: gz = 0, but ux counts.
template <typename S>
ALUDEL_INLINE void sum_rim(const S& strip, const Rows& t, const Image& image, int64_t pixel) {
  for (int u = 0; u < S::kVectors; ++u) {
    const int64_t c = strip.begin + u * VW;
    const vf d = load(image.x + pixel + c, strip.lanes) - load(t.mean + c), v = load(image.ux + pixel + c, strip.lanes);
    add_to(t.ux + c, v, strip.lanes), add_to(t.ux_d + c, v * d, strip.lanes);
  }
}

template <typename S>
ALUDEL_INLINE void write_rim(const S& strip, const Rows& t, const Image& image, int64_t pixel) {
  for (int u = 0; u < S::kVectors; ++u) {
    const int64_t c = strip.begin + u * VW;
    const vf d = load(image.x + pixel + c, strip.lanes) - load(t.mean + c), v = load(image.ux + pixel + c, strip.lanes);
    store(image.gx + pixel + c, v * load(t.x_ux + c) + (d * load(t.x_d + c) + load(t.x0 + c)), strip.lanes);
  }
}

template <int P, bool RELU>
void sum_image(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t n, int64_t begin, int64_t end) {
  const Image image = image_of(args, s, g, n);
  for_bands<P>(s,
               [&](const Band& band) { for_strips(begin, end, [&](const auto& strip) { sum_strip<P, RELU>(strip, t, image, s, band); }); });
  for_rim<P>(s.H, s.W, [&](int64_t p) { for_strips(begin, end, [&](const auto& strip) { sum_rim(strip, t, image, p * s.C); }); });
}

template <int P, bool RELU>
void write_image(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t n, int64_t begin, int64_t end) {
  const Image image = image_of(args, s, g, n);
  for_bands<P>(
      s, [&](const Band& band) { for_strips(begin, end, [&](const auto& strip) { write_strip<P, RELU>(strip, t, image, s, band); }); });
  for_rim<P>(s.H, s.W, [&](int64_t p) { for_strips(begin, end, [&](const auto& strip) { write_rim(strip, t, image, p * s.C); }); });
}

// Instance and group norm: all of the chunk, block by block.
template <int P, bool RELU>
void grad_chunk(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t chunk) {
  for (int64_t n = s.first_image(chunk); n < s.first_image(chunk + 1); ++n) {
    load_coefficients(t, args, s, g, n);
    __builtin_memset(t.sums(), 0, (size_t)(kSums * s.lanes) * sizeof(double));
    for_blocks(s, [&](int64_t begin, int64_t end) {
      sum_image<P, RELU>(t, args, s, g, n, begin, end);
      finish_sums(t, args, s, g, n, begin, end, (double)s.pixels());
      write_image<P, RELU>(t, args, s, g, n, begin, end);
    });
  }
}

// Batch norm, first phase: the chunk's sums.
template <int P, bool RELU>
void sum_chunk(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t chunk) {
  load_coefficients(t, args, s, g, 0);
  for (int64_t n = s.first_image(chunk); n < s.first_image(chunk + 1); ++n)
    if (s.takes_part(g, n)) sum_image<P, RELU>(t, args, s, g, n, 0, s.C);
}

// Joins the chunks of g, in order, in the rows of its first; then the second phase of batch norm.
void join_chunks(const ChunkMemory& memory, const KernelArgs& args, const NormShape& s, int64_t g) {
  const Rows all(memory.of(g, 0), s.lanes);
  for (int64_t chunk = 1; chunk < s.chunks; ++chunk) {
    const Rows t(memory.of(g, chunk), s.lanes);
    for (int64_t i = 0; i < (kSums + kTotals) * s.lanes; ++i) all.sums()[i] += t.sums()[i];
  }
  if (s.batch) finish_sums(all, args, s, g, 0, 0, s.C, s.count(g, 0, s.N));
  for (int64_t c = 0; c < s.C; ++c) args.out[1].as<float>()[g * s.C + c] = (float)all.ggamma[c];
}

// Batch norm, third phase.
template <int P, bool RELU>
void write_chunk(const Rows& all, const KernelArgs& args, const NormShape& s, int64_t g, int64_t chunk) {
  for (int64_t n = s.first_image(chunk); n < s.first_image(chunk + 1); ++n) {
    if (s.takes_part(g, n)) {
      write_image<P, RELU>(all, args, s, g, n, 0, s.C);
    } else {
      const Image image = image_of(args, s, g, n);
      zero(image.gx, s.pixels() * s.C);
      zero(image.ggy, s.out_pixels() * s.C);
    }
  }
}

template <int P, bool RELU>
Status grad(const KernelArgs& args, const NormShape& s, Exec& exec) {
  const ChunkMemory memory(s, Rows::bytes(s.lanes));
  if (memory.data == nullptr)
    return fail(Code::out_of_memory, "norm_act_pool_grad_grad: no memory for the sums of %lld channels", (long long)s.C);
  for_chunks(exec, s, [&](int64_t g, int64_t chunk) {
    const Rows t(memory.of(g, chunk), s.lanes);
    __builtin_memset(memory.of(g, chunk), 0, (size_t)Rows::bytes(s.lanes));
    if (s.batch)
      sum_chunk<P, RELU>(t, args, s, g, chunk);
    else
      grad_chunk<P, RELU>(t, args, s, g, chunk);
  });
  for (int64_t g = 0; g < s.G; ++g) join_chunks(memory, args, s, g);
  if (!s.batch) return {};
  for_chunks(exec, s, [&](int64_t g, int64_t chunk) { write_chunk<P, RELU>(Rows(memory.of(g, 0), s.lanes), args, s, g, chunk); });
  return {};
}

Status check(const KernelArgs& args) { return check_norm(args, "norm_act_pool_grad_grad", kInputs, 10, kOutputs, 3); }

Status run(const KernelArgs& args, Exec& exec) {
  const NormShape s = norm_shape(args, 10 - 1);
  if (s.pool == 2) return s.relu ? grad<2, true>(args, s, exec) : grad<2, false>(args, s, exec);
  return s.relu ? grad<1, true>(args, s, exec) : grad<1, false>(args, s, exec);
}

}  // namespace

extern const Kernel kernel_norm_act_pool_grad_grad;
const Kernel kernel_norm_act_pool_grad_grad = {check, nullptr, run};

}  // namespace aludel::cpu::ALUDEL_ISA
