// norm_act_pool: xh = (x - mean) rstd, y = pool(relu(gamma xh + beta)).
// Statistics: per channel and image in two passes, merged in float64 by Chan's formula over a segment's images in order, then over a
// set's channels; so batch norm reads x from memory twice, not three times.
#include "native/cpu/kernels/norm.h"

namespace aludel::cpu::ALUDEL_ISA {

namespace {

constexpr NormOperand kInputs[] = {NormOperand::x, NormOperand::channel, NormOperand::channel, NormOperand::row_weights};
constexpr NormOperand kOutputs[] = {NormOperand::y, NormOperand::statistic, NormOperand::statistic};

// Per-channel rows of a chunk.
struct Rows {
  double *image_mean, *image_m2;  // of one image
  double *mean, *m2;              // of the images so far
  float* centre;                  // what x is centred on: the float32 mean
  float *scale, *shift;           // z = (x - centre) scale + shift

  Rows(void* memory, int64_t lanes) {
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
    for (int u = 0; u < U; ++u) add_to(acc + u * VW, (part[0][u] + part[1][u]) + (part[2][u] + part[3][u]), strip.lanes);
  }
}

// Mean and centred sum of squares of channels [begin, end) of one image: image_mean, image_m2.
void image_moments(const Rows& t, const float* x, const NormShape& s, int64_t begin, int64_t end) {
  const int64_t pixels = s.pixels();
  for_strips(begin, end, [&](const auto& strip) {
    const int64_t at = strip.begin, last = at + strip.kVectors * VW;
    for (int64_t c = at; c < last; ++c) t.image_mean[c] = t.image_m2[c] = 0;
    sum_pixels(strip, x, pixels, s.C, t.image_mean + at, [](vf v, int, vf part) { return part + v; });
    for (int64_t c = at; c < last; ++c) {
      t.image_mean[c] /= (double)pixels;
      t.centre[c] = (float)t.image_mean[c];
    }
    vf centre[strip.kVectors];
    for (int u = 0; u < strip.kVectors; ++u) centre[u] = load(t.centre + at + u * VW);
    sum_pixels(strip, x, pixels, s.C, t.image_m2 + at, [&](vf v, int u, vf part) {
      const vf d = v - centre[u];
      return part + d * d;
    });
    for (int64_t c = at; c < last; ++c) {
      const double off = t.image_mean[c] - (double)t.centre[c];  // the squares were taken about the rounded mean
      const double m2 = t.image_m2[c] - off * off * (double)pixels;
      t.image_m2[c] = m2 < 0 ? 0 : m2;
    }
  });
}

// Merges moments of `added` elements per channel into t's, which hold `count`.
void merge_moments(const Rows& t, const double* mean, const double* m2, int64_t begin, int64_t end, double count, double added) {
  if (added == 0) return;
  const double total = count + added;
  for (int64_t c = begin; c < end; ++c) {
    const double delta = mean[c] - t.mean[c];
    t.mean[c] += delta * (added / total);
    t.m2[c] += m2[c] + delta * delta * (count * added / total);
  }
}

// Joins the channels of every set; writes the statistics and the coefficients of z. count: elements per channel.
void finish_statistics(const Rows& t, const double* means, const double* squares, const KernelArgs& args, const NormShape& s, int64_t g,
                       int64_t n, int64_t begin, int64_t end, double count) {
  const float *gamma = args.in[1].as<const float>() + g * s.C, *beta = args.in[2].as<const float>() + g * s.C;
  const double channels = (double)s.set_channels;
  for (int64_t c0 = begin; c0 < end; c0 += s.set_channels) {
    const int64_t c1 = c0 + s.set_channels;
    double mean = 0, m2 = 0;
    for (int64_t c = c0; c < c1; ++c) mean += means[c];
    mean /= channels;
    for (int64_t c = c0; c < c1; ++c) m2 += squares[c] + count * (means[c] - mean) * (means[c] - mean);
    const double variance = count > 0 ? m2 / (count * channels) : 0;
    const double rstd = 1 / __builtin_sqrt(variance + s.eps);
    const int64_t at = s.statistic(g, n, c0);
    args.out[1].as<float>()[at] = (float)mean;
    args.out[2].as<float>()[at] = (float)rstd;
    for (int64_t c = c0; c < c1; ++c) {
      t.centre[c] = (float)mean;
      t.scale[c] = gamma[c] * (float)rstd;  // rounded as in the gradient kernels: the sign of z must agree
      t.shift[c] = beta[c];
    }
  }
}

template <int P, bool RELU, typename S>
ALUDEL_INLINE void write_strip(const S& strip, const Rows& t, const float* x, float* y, const NormShape& s) {
  constexpr int U = S::kVectors;
  const int64_t at = strip.begin;
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
void write_image(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t n, int64_t begin, int64_t end) {
  const float* x = args.in[0].as<const float>() + s.image(g, n);
  float* y = args.out[0].as<float>() + s.out_image(g, n);
  for_strips(begin, end, [&](const auto& strip) { write_strip<P, RELU>(strip, t, x, y, s); });
}

// Instance and group norm: all of the chunk, block by block.
template <int P, bool RELU>
void forward_chunk(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t chunk) {
  for (int64_t n = s.first_image(chunk); n < s.first_image(chunk + 1); ++n)
    for_blocks(s, [&](int64_t begin, int64_t end) {
      image_moments(t, args.in[0].as<const float>() + s.image(g, n), s, begin, end);
      finish_statistics(t, t.image_mean, t.image_m2, args, s, g, n, begin, end, (double)s.pixels());
      write_image<P, RELU>(t, args, s, g, n, begin, end);
    });
}

// Batch norm, first phase: the chunk's moments.
void sum_chunk(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t chunk) {
  double count = 0;
  for (int64_t n = s.first_image(chunk); n < s.first_image(chunk + 1); ++n) {
    if (!s.takes_part(g, n)) continue;
    image_moments(t, args.in[0].as<const float>() + s.image(g, n), s, 0, s.C);
    merge_moments(t, t.image_mean, t.image_m2, 0, s.C, count, (double)s.pixels());
    count += (double)s.pixels();
  }
}

// Batch norm, second phase: joins the chunks of g in the rows of its first.
void join_chunks(const ChunkMemory& memory, const KernelArgs& args, const NormShape& s, int64_t g) {
  const Rows all(memory.of(g, 0), s.lanes);
  double count = s.count(g, 0, s.first_image(1));
  for (int64_t chunk = 1; chunk < s.chunks; ++chunk) {
    const Rows t(memory.of(g, chunk), s.lanes);
    const double added = s.count(g, s.first_image(chunk), s.first_image(chunk + 1));
    merge_moments(all, t.mean, t.m2, 0, s.C, count, added);
    count += added;
  }
  finish_statistics(all, all.mean, all.m2, args, s, g, 0, 0, s.C, count);
}

// Batch norm, third phase.
template <int P, bool RELU>
void write_chunk(const Rows& all, const KernelArgs& args, const NormShape& s, int64_t g, int64_t chunk) {
  for (int64_t n = s.first_image(chunk); n < s.first_image(chunk + 1); ++n) {
    if (s.takes_part(g, n)) {
      write_image<P, RELU>(all, args, s, g, n, 0, s.C);
    } else {
      zero(args.out[0].as<float>() + s.out_image(g, n), s.out_pixels() * s.C);
    }
  }
}

template <int P, bool RELU>
Status forward(const KernelArgs& args, const NormShape& s, Exec& exec) {
  const ChunkMemory memory(s, Rows::bytes(s.lanes));
  if (memory.data == nullptr) return fail(Code::out_of_memory, "norm_act_pool: no memory for the sums of %lld channels", (long long)s.C);
  for_chunks(exec, s, [&](int64_t g, int64_t chunk) {
    const Rows t(memory.of(g, chunk), s.lanes);
    __builtin_memset(memory.of(g, chunk), 0, (size_t)Rows::bytes(s.lanes));
    if (s.batch)
      sum_chunk(t, args, s, g, chunk);
    else
      forward_chunk<P, RELU>(t, args, s, g, chunk);
  });
  if (!s.batch) return {};
  for (int64_t g = 0; g < s.G; ++g) join_chunks(memory, args, s, g);
  for_chunks(exec, s, [&](int64_t g, int64_t chunk) { write_chunk<P, RELU>(Rows(memory.of(g, 0), s.lanes), args, s, g, chunk); });
  return {};
}

Status check(const KernelArgs& args) { return check_norm(args, "norm_act_pool", kInputs, 4, kOutputs, 3); }

Status run(const KernelArgs& args, Exec& exec) {
  const NormShape s = norm_shape(args, 3);
  if (s.pool == 2) return s.relu ? forward<2, true>(args, s, exec) : forward<2, false>(args, s, exec);
  return s.relu ? forward<1, true>(args, s, exec) : forward<1, false>(args, s, exec);
}

}  // namespace

extern const Kernel kernel_norm_act_pool;
const Kernel kernel_norm_act_pool = {check, nullptr, run};

}  // namespace aludel::cpu::ALUDEL_ISA
