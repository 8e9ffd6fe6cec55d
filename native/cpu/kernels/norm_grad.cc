// norm_act_pool_grad: gz = [z>0] pool^T(gy), t = gamma gz, dx = rstd (t - mean(t) - xh mean(t xh)), dgamma = sum gz xh, dbeta = sum gz.
// Two passes over x and gy. d = x - mean = xh / rstd. With a sixth attribute, the power p, and the cotangents of the sums of z^p over
// channels and over positions: gz = [z>0] (pool^T(gy) + p z^(p-1) (of the position + of the channel)).
#include "native/cpu/kernels/norm_phases.h"
#include "native/cpu/kernels/powers.h"

namespace aludel::cpu::ALUDEL_ISA {

namespace {

constexpr NormOperand kInputs[] = {NormOperand::x,         NormOperand::channel, NormOperand::channel,    NormOperand::statistic,
                                   NormOperand::statistic, NormOperand::y,       NormOperand::row_weights};
constexpr int kPlainAttributes = 5, kSumInputs = 8;
constexpr NormOperand kInputsOfSums[] = {NormOperand::x,         NormOperand::channel,       NormOperand::channel,
                                         NormOperand::statistic, NormOperand::statistic,     NormOperand::y,
                                         NormOperand::position,  NormOperand::image_channel, NormOperand::row_weights};
constexpr NormOperand kOutputs[] = {NormOperand::x, NormOperand::channel, NormOperand::channel};

enum Sum { kGz, kGzD };
enum Total { kDgamma, kDbeta };
enum Mean { kT, kTXh };
// z = d scale + shift, dx = gz scale + d by_d + constant
enum Coefficient { kMean, kRstd, kScale, kShift, kByD, kConstant };

// What an image's sums of powers hand back: of each position [H,W] and of each channel [C].
struct SumCotangents {
  const float *positions, *channels;
  int64_t channels_of_pixel;
  int power;

  SumCotangents(const KernelArgs& args, const NormShape& s, int64_t g, int64_t n) : channels_of_pixel(s.C), power(s.power) {
    if (power == 0) return;
    positions = args.in[6].as<const float>() + (g * s.N + n) * s.pixels();
    channels = args.in[7].as<const float>() + (g * s.N + n) * s.C;
  }
  // To z of a pixel. `element`: its first channel's place in the image.
  ALUDEL_INLINE vf of(vf z, int64_t element, vf of_channel) const {
    const vf both = of_channel + positions[element / channels_of_pixel], slope = both * (float)power;
    if (power == 1) return slope;
    if (power == 2) return slope * z;
    return power == 3 ? slope * (z * z) : slope * (z * z * z);
  }
};

template <int P, bool RELU, bool SUMS, typename S>
ALUDEL_INLINE void sum_strip(const S& strip, const Rows& t, const float* x, const float* gy, const SumCotangents& sums, const NormShape& s,
                             const Band& band) {
  constexpr int U = S::kVectors;
  const int64_t at = strip.begin;
  const vf share = splat(1.0f / (P * P));
  const WindowPixels<P> pixels(s);
  vf mean[U], scale[U], shift[U], gz[U] = {}, gz_d[U] = {};
  for (int u = 0; u < U; ++u) {
    mean[u] = load(t.coefficient(kMean) + at + u * VW), scale[u] = load(t.coefficient(kScale) + at + u * VW);
    shift[u] = load(t.coefficient(kShift) + at + u * VW);
  }
  const auto window = [&](int64_t first, int64_t out) {
    for (int u = 0; u < U; ++u) {
      const vf g = load(gy + out + at + u * VW, strip.lanes), q = P == 1 ? g : g * share;
      for (int k = 0; k < P * P; ++k) {
        const vf d = load(x + first + pixels.at[k] + at + u * VW, strip.lanes) - mean[u];
        const vf z = d * scale[u] + shift[u];
        const vf whole = SUMS ? q + sums.of(z, first + pixels.at[k], load(sums.channels + at + u * VW, strip.lanes)) : q;
        const vf part = RELU ? where_positive(z, whole) : whole;
        gz[u] += part;
        gz_d[u] += part * d;
      }
    }
  };
  for_windows<P>(s, band, window, [&] {
    for (int u = 0; u < U; ++u) {
      add_to(t.sum(kGz) + at + u * VW, gz[u]), add_to(t.sum(kGzD) + at + u * VW, gz_d[u]);
      gz[u] = gz_d[u] = vf{};
    }
  });
}

template <int P, bool RELU, bool SUMS, typename S>
ALUDEL_INLINE void write_strip(const S& strip, const Rows& t, const float* x, const float* gy, float* dx, const SumCotangents& sums,
                               const NormShape& s, const Band& band) {
  constexpr int U = S::kVectors;
  const int64_t at = strip.begin;
  const vf share = splat(1.0f / (P * P));
  const WindowPixels<P> pixels(s);
  vf mean[U], scale[U], shift[U], by_d[U], constant[U];
  for (int u = 0; u < U; ++u) {
    mean[u] = load(t.coefficient(kMean) + at + u * VW), scale[u] = load(t.coefficient(kScale) + at + u * VW);
    shift[u] = load(t.coefficient(kShift) + at + u * VW), by_d[u] = load(t.coefficient(kByD) + at + u * VW);
    constant[u] = load(t.coefficient(kConstant) + at + u * VW);
  }
  const auto window = [&](int64_t first, int64_t out) {
    for (int u = 0; u < U; ++u) {
      const vf g = load(gy + out + at + u * VW, strip.lanes);
      const vf open = (P == 1 ? g : g * share) * scale[u] + constant[u];
      for (int k = 0; k < P * P; ++k) {
        const int64_t pixel = first + pixels.at[k] + at + u * VW;
        const vf d = load(x + pixel, strip.lanes) - mean[u];
        const vf z = d * scale[u] + shift[u];
        const vf whole = SUMS ? open + sums.of(z, first + pixels.at[k], load(sums.channels + at + u * VW, strip.lanes)) * scale[u] : open;
        const vf part = RELU ? (z > vf{} ? whole : constant[u]) : whole;
        store(dx + pixel, d * by_d[u] + part, strip.lanes);
      }
    }
  };
  for_windows<P>(s, band, window, [] {});
}

// A pixel without window: gz = 0.
template <typename S>
ALUDEL_INLINE void write_rim(const S& strip, const Rows& t, const float* x, float* dx) {
  for (int u = 0; u < S::kVectors; ++u) {
    const int64_t c = strip.begin + u * VW;
    const vf d = load(x + c, strip.lanes) - load(t.coefficient(kMean) + c);
    store(dx + c, d * load(t.coefficient(kByD) + c) + load(t.coefficient(kConstant) + c), strip.lanes);
  }
}

template <int P, bool RELU, bool SUMS>
struct Grad {
  static constexpr RowCounts kRows{2, 2, 2, 6};
  static constexpr int kWeightsAt = 6;

  static void begin(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t n) {
    begin_grad(args, s, g, n, t.coefficient(kMean), t.coefficient(kRstd), t.coefficient(kScale), t.coefficient(kShift));
  }

  static void sum_image(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t n, double) {
    const float *x = args.in[0].as<const float>() + s.image(g, n), *gy = args.in[5].as<const float>() + s.out_image(g, n);
    const SumCotangents of_sums(args, s, g, n);
    for_bands<P>(s, [&](const Band& band) {
      for_strips(0, s.C, [&](const auto& strip) { sum_strip<P, RELU, SUMS>(strip, t, x, gy, of_sums, s, band); });
    });
  }

  static void join(const Rows& t, const double* sums, const NormShape& s, double, double) { add_rows(t.sums, sums, kRows.sums * s.lanes); }

  static void finish(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t, double count) {
    const float* __restrict gamma = args.in[1].as<const float>() + g * s.C;
    const float* __restrict rstd = t.coefficient(kRstd);
    const double* __restrict gz = t.sum(kGz), * __restrict gz_d = t.sum(kGzD);
    double* __restrict dgamma = t.total(kDgamma), * __restrict dbeta = t.total(kDbeta);
    double* __restrict a = t.mean(kT), * __restrict b = t.mean(kTXh);
    const double inverse = 1 / (count > 0 ? count : 1);
    for (int64_t c = 0; c < s.C; ++c) {
      const double gz_xh = rstd[c] * gz_d[c];
      dgamma[c] += gz_xh;
      dbeta[c] += gz[c];
      a[c] = gamma[c] * gz[c] * inverse;
      b[c] = gamma[c] * gz_xh * inverse;
    }
    average_sets(s, a), average_sets(s, b);
    float* __restrict by_d = t.coefficient(kByD), * __restrict constant = t.coefficient(kConstant);
    for (int64_t c = 0; c < s.C; ++c) {
      const double r = rstd[c];
      by_d[c] = (float)(-r * r * b[c]);
      constant[c] = (float)(-r * a[c]);
    }
  }

  static void write_image(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t n) {
    const float *x = args.in[0].as<const float>() + s.image(g, n), *gy = args.in[5].as<const float>() + s.out_image(g, n);
    float* dx = args.out[0].as<float>() + s.image(g, n);
    const SumCotangents of_sums(args, s, g, n);
    for_bands<P>(s, [&](const Band& band) {
      for_strips(0, s.C, [&](const auto& strip) { write_strip<P, RELU, SUMS>(strip, t, x, gy, dx, of_sums, s, band); });
    });
    for_rim<P>(s.H, s.W,
               [&](int64_t p) { for_strips(0, s.C, [&](const auto& strip) { write_rim(strip, t, x + p * s.C, dx + p * s.C); }); });
  }

  static void leave_out(const KernelArgs& args, const NormShape& s, int64_t g, int64_t n) {
    zero(args.out[0].as<float>() + s.image(g, n), s.pixels() * s.C);
  }

  static int64_t spare_bytes(const NormShape&) { return 0; }

  static void put_totals(const double* totals, const KernelArgs& args, const NormShape& s, int64_t g) {
    round_row(totals + kDgamma * s.lanes, args.out[1].as<float>() + g * s.C, s.C);
    round_row(totals + kDbeta * s.lanes, args.out[2].as<float>() + g * s.C, s.C);
  }
};

template <int P, bool RELU>
using PlainGrad = Grad<P, RELU, false>;
template <int P, bool>
using GradOfSums = Grad<P, true, true>;

// Of sums: without row weights, and with every pixel in a window.
Status check(const KernelArgs& args) {
  const char* op = "norm_act_pool_grad";
  if (args.nattrs <= kPlainAttributes) return check_norm(args, op, kInputs, 7, kOutputs, 3, false);
  if (args.nin != kSumInputs) return fail(Code::invalid_program, "%s: expected %d inputs with power, got %d", op, kSumInputs, args.nin);
  ALUDEL_RETURN_IF_ERROR(check_norm(args, op, kInputsOfSums, kSumInputs + 1, kOutputs, 3, true));
  const NormShape s = norm_shape(args, kSumInputs);
  if (s.H % s.pool == 0 && s.W % s.pool == 0) return {};
  return fail(Code::invalid_program, "%s: expected an even height and width with power and pool, got %lld and %lld", op, (long long)s.H,
              (long long)s.W);
}

Status run(const KernelArgs& args, Exec& exec) {
  return args.nattrs > kPlainAttributes ? NormKernel<GradOfSums>::run(args, exec) : NormKernel<PlainGrad>::run(args, exec);
}

}  // namespace

extern const Kernel kernel_norm_act_pool_grad;
const Kernel kernel_norm_act_pool_grad = {check, NormKernel<PlainGrad>::scratch_bytes, run, NormKernel<PlainGrad>::shared_bytes};

}  // namespace aludel::cpu::ALUDEL_ISA
