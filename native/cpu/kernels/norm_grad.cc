// norm_act_pool_grad: gz = [z>0] pool^T(gy), t = gamma gz, dx = rstd (t - mean(t) - xh mean(t xh)), dgamma = sum gz xh, dbeta = sum gz.
// Two passes over x and gy. Batch norm takes three phases: sums of every chunk, their join, dx.
#include "native/cpu/kernels/norm.h"

namespace aludel::cpu::ALUDEL_ISA {

namespace {

constexpr NormOperand kInputs[] = {NormOperand::x,         NormOperand::channel, NormOperand::channel,    NormOperand::statistic,
                                   NormOperand::statistic, NormOperand::y,       NormOperand::row_weights};
constexpr NormOperand kOutputs[] = {NormOperand::x, NormOperand::channel, NormOperand::channel};
constexpr int kSums = 2, kTotals = 2;

// Per-channel rows of a chunk. d = x - mean = xh / rstd.
struct Rows {
  double *gz, *gz_d;            // sums over a segment of gz and gz d
  double *dgamma, *dbeta;       // totals over images
  float *mean, *scale, *shift;  // z = d scale + shift
  float *by_d, *constant;       // dx = gz scale + d by_d + constant

  Rows(void* memory, int64_t lanes) {
    double* d = static_cast<double*>(memory);
    gz = d, gz_d = d + lanes, dgamma = d + 2 * lanes, dbeta = d + 3 * lanes;
    float* f = reinterpret_cast<float*>(d + 4 * lanes);
    mean = f, scale = f + lanes, shift = f + 2 * lanes, by_d = f + 3 * lanes, constant = f + 4 * lanes;
  }
  double* sums() const { return gz; }
  static int64_t bytes(int64_t lanes) { return lanes * (int64_t)((kSums + kTotals) * sizeof(double) + 5 * sizeof(float)); }
};

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
ALUDEL_INLINE void sum_strip(const S& strip, const Rows& t, const float* x, const float* gy, const NormShape& s, const Band& band) {
  constexpr int U = S::kVectors;
  const int64_t at = strip.begin;
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
  for_windows<P>(band, s.OW, window, [&] {
    for (int u = 0; u < U; ++u) {
      add_to(t.gz + at + u * VW, gz[u], strip.lanes), add_to(t.gz_d + at + u * VW, gz_d[u], strip.lanes);
      gz[u] = gz_d[u] = vf{};
    }
  });
}

// From a segment's sums: its share of dgamma and dbeta, and the coefficients of dx. count: elements per channel.
void finish_sums(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t n, int64_t begin, int64_t end,
                 double count) {
  const float* gamma = args.in[1].as<const float>() + g * s.C;
  const double elements = (count > 0 ? count : 1) * (double)s.set_channels;
  for (int64_t c0 = begin; c0 < end; c0 += s.set_channels) {
    const int64_t c1 = c0 + s.set_channels;
    const double rstd = args.in[4].as<const float>()[s.statistic(g, n, c0)];
    double a = 0, b = 0;  // means of t and t xh over the set
    for (int64_t c = c0; c < c1; ++c) {
      a += gamma[c] * t.gz[c];
      b += gamma[c] * t.gz_d[c];
      t.dgamma[c] += rstd * t.gz_d[c];
      t.dbeta[c] += t.gz[c];
    }
    a /= elements;
    b *= rstd / elements;
    for (int64_t c = c0; c < c1; ++c) {
      t.by_d[c] = (float)(-rstd * rstd * b);
      t.constant[c] = (float)(-rstd * a);
    }
  }
}

template <int P, bool RELU, typename S>
ALUDEL_INLINE void write_strip(const S& strip, const Rows& t, const float* x, const float* gy, float* dx, const NormShape& s,
                               const Band& band) {
  constexpr int U = S::kVectors;
  const int64_t at = strip.begin;
  const vf share = splat(1.0f / (P * P));
  vf mean[U], scale[U], shift[U], by_d[U], constant[U];
  for (int u = 0; u < U; ++u) {
    mean[u] = load(t.mean + at + u * VW), scale[u] = load(t.scale + at + u * VW), shift[u] = load(t.shift + at + u * VW);
    by_d[u] = load(t.by_d + at + u * VW), constant[u] = load(t.constant + at + u * VW);
  }
  for (int64_t oh = band.begin; oh < band.end; ++oh)
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
}

// A pixel without window: gz = 0.
template <typename S>
ALUDEL_INLINE void write_rim(const S& strip, const Rows& t, const float* x, float* dx) {
  for (int u = 0; u < S::kVectors; ++u) {
    const int64_t c = strip.begin + u * VW;
    const vf d = load(x + c, strip.lanes) - load(t.mean + c);
    store(dx + c, d * load(t.by_d + c) + load(t.constant + c), strip.lanes);
  }
}

template <int P, bool RELU>
void sum_image(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t n, int64_t begin, int64_t end) {
  const float *x = args.in[0].as<const float>() + s.image(g, n), *gy = args.in[5].as<const float>() + s.out_image(g, n);
  for_bands<P>(s,
               [&](const Band& band) { for_strips(begin, end, [&](const auto& strip) { sum_strip<P, RELU>(strip, t, x, gy, s, band); }); });
}

template <int P, bool RELU>
void write_image(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t n, int64_t begin, int64_t end) {
  const float *x = args.in[0].as<const float>() + s.image(g, n), *gy = args.in[5].as<const float>() + s.out_image(g, n);
  float* dx = args.out[0].as<float>() + s.image(g, n);
  for_bands<P>(
      s, [&](const Band& band) { for_strips(begin, end, [&](const auto& strip) { write_strip<P, RELU>(strip, t, x, gy, dx, s, band); }); });
  for_rim<P>(s.H, s.W,
             [&](int64_t p) { for_strips(begin, end, [&](const auto& strip) { write_rim(strip, t, x + p * s.C, dx + p * s.C); }); });
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
  for (int64_t c = 0; c < s.C; ++c) {
    args.out[1].as<float>()[g * s.C + c] = (float)all.dgamma[c];
    args.out[2].as<float>()[g * s.C + c] = (float)all.dbeta[c];
  }
}

// Batch norm, third phase.
template <int P, bool RELU>
void write_chunk(const Rows& all, const KernelArgs& args, const NormShape& s, int64_t g, int64_t chunk) {
  for (int64_t n = s.first_image(chunk); n < s.first_image(chunk + 1); ++n) {
    if (s.takes_part(g, n)) {
      write_image<P, RELU>(all, args, s, g, n, 0, s.C);
    } else {
      zero(args.out[0].as<float>() + s.image(g, n), s.pixels() * s.C);
    }
  }
}

template <int P, bool RELU>
Status grad(const KernelArgs& args, const NormShape& s, Exec& exec) {
  const ChunkMemory memory(s, Rows::bytes(s.lanes));
  if (memory.data == nullptr)
    return fail(Code::out_of_memory, "norm_act_pool_grad: no memory for the sums of %lld channels", (long long)s.C);
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

Status check(const KernelArgs& args) { return check_norm(args, "norm_act_pool_grad", kInputs, 7, kOutputs, 3); }

Status run(const KernelArgs& args, Exec& exec) {
  const NormShape s = norm_shape(args, 7 - 1);
  if (s.pool == 2) return s.relu ? grad<2, true>(args, s, exec) : grad<2, false>(args, s, exec);
  return s.relu ? grad<1, true>(args, s, exec) : grad<1, false>(args, s, exec);
}

}  // namespace

extern const Kernel kernel_norm_act_pool_grad;
const Kernel kernel_norm_act_pool_grad = {check, nullptr, run};

}  // namespace aludel::cpu::ALUDEL_ISA
