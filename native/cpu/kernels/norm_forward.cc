// norm_act_pool: xh = (x - mean) rstd, y = pool(relu(gamma xh + beta)); with a sixth attribute the sums of that power of the ReLU map too.
// Statistics in one pass over x: every band of pixels is summed about the mean of the bands before it, in float32, and merged in float64
// by Chan's formula. Where a band's mean lies d away from that centre its squares are d^2 per pixel too large and lose digits in
// proportion, but the merged variance then grows by a like term, so the error stays that of two passes.
#include "native/cpu/kernels/norm_sums.h"

namespace aludel::cpu::ALUDEL_ISA {

namespace {

constexpr NormOperand kInputs[] = {NormOperand::x, NormOperand::channel, NormOperand::channel, NormOperand::row_weights};
constexpr NormOperand kOutputs[] = {NormOperand::y, NormOperand::statistic, NormOperand::statistic, NormOperand::position,
                                    NormOperand::image_channel};
constexpr int kPlainOutputs = 3, kPlainAttributes = 5;

constexpr int64_t kBandPixels = 128;  // two float32 sums of 64
constexpr int64_t kSamples = 16;      // of the first band; their mean is its centre, at most a few of its deviations off

enum Sum { kMean, kM2 };  // mean and centred sum of squares, of the elements so far
// Of a band: sums of x - centre and of its square. z = (x - centre) scale + shift, divided by the pool's window.
enum Coefficient { kBandSum, kBandSquares, kCentre, kScale, kShift, kRstd };

typedef float vh __attribute__((vector_size(VW * 2), aligned(4), may_alias));
ALUDEL_INLINE vd widen(const float* p) { return __builtin_convertvector(*reinterpret_cast<const vh*>(p), vd); }

// The larger of z and 0; lets NaN through.
ALUDEL_INLINE vf relu_of(vf z) { return larger(vf{}, z); }

void first_centre(const Rows& t, const float* x, const NormShape& s) {
  const int64_t pixels = smaller(s.pixels(), kBandPixels), samples = smaller(pixels, kSamples), step = pixels / samples * s.C;
  for_strips(0, s.C, [&](const auto& strip) {
    for (int u = 0; u < strip.kVectors; ++u) {
      vf sum{};
      for (int64_t i = 0; i < samples; ++i) sum += load(x + i * step + strip.begin + u * VW, strip.lanes);
      store(t.coefficient(kCentre) + strip.begin + u * VW, sum * splat(1.0f / (float)samples));
    }
  });
}

template <typename S>
ALUDEL_INLINE void sum_band(const S& strip, const Rows& t, const float* x, int64_t pixels, int64_t C) {
  constexpr int U = S::kVectors;
  vf centre[U], sum[2][U] = {}, squares[2][U] = {};
  for (int u = 0; u < U; ++u) centre[u] = load(t.coefficient(kCentre) + strip.begin + u * VW);
  const auto add = [&](const float* from, int k) {
    for (int u = 0; u < U; ++u) {
      const vf d = load(from + u * VW, strip.lanes) - centre[u];
      sum[k][u] += d;
      squares[k][u] += d * d;
    }
  };
  const float* from = x + strip.begin;
  int64_t p = 0;
  for (; p + 2 <= pixels; p += 2, from += 2 * C) add(from, 0), add(from + C, 1);
  if (p < pixels) add(from, 0);
  for (int u = 0; u < U; ++u) {
    store(t.coefficient(kBandSum) + strip.begin + u * VW, sum[0][u] + sum[1][u]);
    store(t.coefficient(kBandSquares) + strip.begin + u * VW, squares[0][u] + squares[1][u]);
  }
}

// Merges a band of `added` elements per channel into moments that hold `count`; their mean is the next band's centre.
void merge_band(const Rows& t, double count, double added) {
  const vd zeros{};
  const vd inverse = zeros + 1 / added, share = zeros + added / (count + added), cross = zeros + count * added / (count + added);
  for (int64_t c = 0; c < t.lanes; c += VD) {
    vd& mean = *reinterpret_cast<vd*>(t.sum(kMean) + c);
    vd& m2 = *reinterpret_cast<vd*>(t.sum(kM2) + c);
    const vd sum = widen(t.coefficient(kBandSum) + c), off = sum * inverse;
    const vd squares = widen(t.coefficient(kBandSquares) + c) - sum * off;
    const vd delta = widen(t.coefficient(kCentre) + c) + off - mean;
    mean += delta * share;
    m2 += (zeros > squares ? zeros : squares) + delta * delta * cross;
    *reinterpret_cast<vh*>(t.coefficient(kCentre) + c) = __builtin_convertvector(mean, vh);
  }
}

// Replaces every channel's moments by those of its set, as if the set were one channel.
void join_sets(const Rows& t, const NormShape& s, double count) {
  double *mean = t.sum(kMean), *m2 = t.sum(kM2);
  for (int64_t c0 = 0; c0 < s.C; c0 += s.set_channels) {
    const int64_t c1 = c0 + s.set_channels;
    double sum = 0;
    for (int64_t c = c0; c < c1; ++c) sum += mean[c];
    sum /= (double)s.set_channels;
    for (int64_t c = c0; c < c1; ++c) m2[c] += count * (mean[c] - sum) * (mean[c] - sum), mean[c] = sum;
  }
  average_sets(s, m2);
}

template <int P, bool RELU, typename S>
ALUDEL_INLINE void write_strip(const S& strip, const Rows& t, const float* x, float* y, const NormShape& s, const Band& band) {
  constexpr int U = S::kVectors;
  const int64_t at = strip.begin;
  vf centre[U], scale[U], shift[U];
  for (int u = 0; u < U; ++u) {
    centre[u] = load(t.coefficient(kCentre) + at + u * VW);
    scale[u] = load(t.coefficient(kScale) + at + u * VW);
    shift[u] = load(t.coefficient(kShift) + at + u * VW);
  }
  const WindowPixels<P> pixels(s);
  const auto window = [&](int64_t first, int64_t out) {
    for (int u = 0; u < U; ++u) {
      const auto act = [&](int k) {
        const vf z = (load(x + first + pixels.at[k] + at + u * VW, strip.lanes) - centre[u]) * scale[u] + shift[u];
        return RELU ? relu_of(z) : z;
      };
      const vf mean = P == 1 ? act(0) : (act(0) + act(1)) + (act(P) + act(P * P - 1));
      store(y + out + at + u * VW, mean, strip.lanes);
    }
  };
  for_windows<P>(s, band, window, [] {});
}

template <int P, bool RELU>
struct Forward {
  static constexpr RowCounts kRows{2, 0, 0, 6};
  static constexpr int kWeightsAt = 3;

  static void begin(const Rows&, const KernelArgs&, const NormShape&, int64_t, int64_t) {}

  static void sum_image(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t n, double count) {
    const float* x = args.in[0].as<const float>() + s.image(g, n);
    if (count == 0) first_centre(t, x, s);
    for (int64_t p = 0; p < s.pixels(); p += kBandPixels) {
      const int64_t pixels = smaller(kBandPixels, s.pixels() - p);
      for_strips(0, s.C, [&](const auto& strip) { sum_band(strip, t, x + p * s.C, pixels, s.C); });
      merge_band(t, count, (double)pixels);
      count += (double)pixels;
    }
  }

  static void join(const Rows& t, const double* sums, const NormShape& s, double count, double added) {
    const double *mean = sums + kMean * s.lanes, *m2 = sums + kM2 * s.lanes;
    const double total = count + added;
    for (int64_t c = 0; c < s.C; ++c) {
      const double delta = mean[c] - t.sum(kMean)[c];
      t.sum(kMean)[c] += delta * (added / total);
      t.sum(kM2)[c] += m2[c] + delta * delta * (count * added / total);
    }
  }

  // Writes the statistics too.
  static void finish(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t n, double count) {
    if (s.set_channels > 1) join_sets(t, s, count);
    const double share = 1.0 / (P * P), inverse = count > 0 ? 1 / count : 0;
    const float* __restrict gamma = args.in[1].as<const float>() + g * s.C;
    const float* __restrict beta = args.in[2].as<const float>() + g * s.C;
    const double* __restrict mean = t.sum(kMean), * __restrict m2 = t.sum(kM2);
    float* __restrict centre = t.coefficient(kCentre), * __restrict scale = t.coefficient(kScale);
    float* __restrict shift = t.coefficient(kShift), * __restrict rstd = t.coefficient(kRstd);
    for (int64_t c = 0; c < s.C; ++c) {
      rstd[c] = (float)(1 / __builtin_sqrt(m2[c] * inverse + s.eps));
      centre[c] = (float)mean[c];
      scale[c] = gamma[c] * rstd[c] * (float)share;  // rounded as in the gradient kernels: the sign of z must agree
      shift[c] = beta[c] * (float)share;
    }
    gather_sets(s, centre, args.out[1].as<float>() + s.statistics(g, n));
    gather_sets(s, rstd, args.out[2].as<float>() + s.statistics(g, n));
  }

  static void write_image(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t n) {
    const float* x = args.in[0].as<const float>() + s.image(g, n);
    float* y = args.out[0].as<float>() + s.out_image(g, n);
    if constexpr (RELU) {
      switch (s.power) {
        case 1:
          return write_sums<1>(t, args, s, g, n, x, y);
        case 2:
          return write_sums<2>(t, args, s, g, n, x, y);
        case 3:
          return write_sums<3>(t, args, s, g, n, x, y);
        case 4:
          return write_sums<4>(t, args, s, g, n, x, y);
        default:
          break;
      }
    }
    for_bands<P>(s,
                 [&](const Band& band) { for_strips(0, s.C, [&](const auto& strip) { write_strip<P, RELU>(strip, t, x, y, s, band); }); });
  }

  template <int POWER>
  static void write_sums(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t n, const float* x, float* y) {
    write_with_sums<P, POWER>(x, y, positions(args, s, g, n), channels(args, s, g, n), s, SumRows(t.spare, s), [&](const auto& strip) {
      return affine_of(strip, t.coefficient(kCentre), t.coefficient(kScale), t.coefficient(kShift));
    });
  }

  static float* positions(const KernelArgs& args, const NormShape& s, int64_t g, int64_t n) {
    return args.out[3].as<float>() + (g * s.N + n) * s.pixels();
  }
  static float* channels(const KernelArgs& args, const NormShape& s, int64_t g, int64_t n) {
    return args.out[4].as<float>() + (g * s.N + n) * s.C;
  }

  static void leave_out(const KernelArgs& args, const NormShape& s, int64_t g, int64_t n) {
    zero(args.out[0].as<float>() + s.out_image(g, n), s.out_pixels() * s.C);
    if (s.power > 0) zero(positions(args, s, g, n), s.pixels()), zero(channels(args, s, g, n), s.C);
  }

  static int64_t spare_bytes(const NormShape& s) { return SumRows::bytes(s); }

  static void put_totals(const double*, const KernelArgs&, const NormShape&, int64_t) {}
};

Status check(const KernelArgs& args) {
  const bool sums = args.nattrs > kPlainAttributes;
  return check_norm(args, "norm_act_pool", kInputs, 4, kOutputs, sums ? kPlainOutputs + 2 : kPlainOutputs, sums);
}

}  // namespace

extern const Kernel kernel_norm_act_pool;
const Kernel kernel_norm_act_pool = NormKernel<Forward>::with(check);

}  // namespace aludel::cpu::ALUDEL_ISA
