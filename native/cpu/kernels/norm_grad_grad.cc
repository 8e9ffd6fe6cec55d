// norm_act_pool_grad_grad: gradients of <ux, dx> + <ugamma, dgamma> + <ubeta, dbeta> with respect to x, gamma and gy.
// With gz, t, A = mean t, B = mean(t xh), P as in norm_grad.cc, and U = mean ux, C = mean(ux xh), D = mean(ux t):
//   q = gamma P(ux) + ugamma xh + ubeta, ggy = pool([z>0] q), ggamma = sum gz P(ux)
//   h = -rstd (ux B + t C) + ugamma gz,  gx = P(h) - rstd^2 xh (D - U A - C B)
// The means of h and h xh follow from the same sums, so two passes over x, gy and ux are enough. d = x - mean = xh / rstd.
#include "native/cpu/kernels/norm_phases.h"

namespace aludel::cpu::ALUDEL_ISA {

namespace {

constexpr NormOperand kInputs[] = {NormOperand::x,         NormOperand::channel,    NormOperand::channel, NormOperand::statistic,
                                   NormOperand::statistic, NormOperand::y,          NormOperand::x,       NormOperand::channel,
                                   NormOperand::channel,   NormOperand::row_weights};
constexpr NormOperand kOutputs[] = {NormOperand::x, NormOperand::channel, NormOperand::y};

enum Sum { kGz, kGzD, kUx, kUxD, kGzUx };
enum Total { kGgamma };
enum Mean { kA, kB, kU, kC, kD, kGated, kGatedXh };  // the last two: of ugamma gz and ugamma gz xh
// z = d scale + shift, q = ux scale + d gate + q0, gx = ux x_ux + gz gate + d x_d + x0
enum Coefficient { kMean, kRstd, kScale, kShift, kGate, kQ0, kXUx, kXD, kX0 };

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

template <int P, bool RELU, typename S>
ALUDEL_INLINE void sum_strip(const S& strip, const Rows& t, const Image& image, const NormShape& s, const Band& band) {
  constexpr int U = S::kVectors;
  const int64_t at = strip.begin;
  const vf share = splat(1.0f / (P * P));
  const WindowPixels<P> pixels(s);
  vf mean[U], scale[U], shift[U], gz[U] = {}, gz_d[U] = {}, ux[U] = {}, ux_d[U] = {}, gz_ux[U] = {};
  for (int u = 0; u < U; ++u) {
    mean[u] = load(t.coefficient(kMean) + at + u * VW), scale[u] = load(t.coefficient(kScale) + at + u * VW);
    shift[u] = load(t.coefficient(kShift) + at + u * VW);
  }
  const auto window = [&](int64_t first, int64_t out) {
    for (int u = 0; u < U; ++u) {
      const vf g = load(image.gy + out + at + u * VW, strip.lanes), q = P == 1 ? g : g * share;
      for (int k = 0; k < P * P; ++k) {
        const int64_t pixel = first + pixels.at[k] + at + u * VW;
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
  for_windows<P>(s, band, window, [&] {
    for (int u = 0; u < U; ++u) {
      const int64_t to = at + u * VW;
      add_to(t.sum(kGz) + to, gz[u]), add_to(t.sum(kGzD) + to, gz_d[u]), add_to(t.sum(kGzUx) + to, gz_ux[u]);
      add_to(t.sum(kUx) + to, ux[u]), add_to(t.sum(kUxD) + to, ux_d[u]);
      gz[u] = gz_d[u] = ux[u] = ux_d[u] = gz_ux[u] = vf{};
    }
  });
}

template <int P, bool RELU, typename S>
ALUDEL_INLINE void write_strip(const S& strip, const Rows& t, const Image& image, const NormShape& s, const Band& band) {
  constexpr int U = S::kVectors;
  const int64_t at = strip.begin;
  const vf share = splat(1.0f / (P * P));
  const WindowPixels<P> pixels(s);
  const auto row = [&](int coefficient, int u) { return load(t.coefficient(coefficient) + at + u * VW); };
  vf mean[U], scale[U], shift[U], gate[U], q0[U], x_ux[U], x_d[U], x0[U];
  for (int u = 0; u < U; ++u) {
    mean[u] = row(kMean, u), scale[u] = row(kScale, u), shift[u] = row(kShift, u), gate[u] = row(kGate, u);
    q0[u] = row(kQ0, u), x_ux[u] = row(kXUx, u), x_d[u] = row(kXD, u), x0[u] = row(kX0, u);
  }
  const auto window = [&](int64_t first, int64_t out) {
    for (int u = 0; u < U; ++u) {
      const vf g = load(image.gy + out + at + u * VW, strip.lanes);
      const vf open = (P == 1 ? g : g * share) * gate[u] + x0[u];
      vf sum{};
      for (int k = 0; k < P * P; ++k) {
        const int64_t pixel = first + pixels.at[k] + at + u * VW;
        const vf d = load(image.x + pixel, strip.lanes) - mean[u], v = load(image.ux + pixel, strip.lanes);
        const vf z = d * scale[u] + shift[u], q = v * scale[u] + (d * gate[u] + q0[u]);
        const vf gated = RELU ? where_positive(z, q) : q;
        sum = k == 0 ? gated : sum + gated;
        const vf part = RELU ? (z > vf{} ? open : x0[u]) : open;
        store(image.gx + pixel, v * x_ux[u] + (d * x_d[u] + part), strip.lanes);
      }
      store(image.ggy + out + at + u * VW, P == 1 ? sum : sum * share, strip.lanes);
    }
  };
  for_windows<P>(s, band, window, [] {});
}

// A pixel without window: gz = 0, but ux counts.
template <typename S>
ALUDEL_INLINE void sum_rim(const S& strip, const Rows& t, const Image& image, int64_t pixel) {
  for (int u = 0; u < S::kVectors; ++u) {
    const int64_t c = strip.begin + u * VW;
    const vf d = load(image.x + pixel + c, strip.lanes) - load(t.coefficient(kMean) + c), v = load(image.ux + pixel + c, strip.lanes);
    add_to(t.sum(kUx) + c, v), add_to(t.sum(kUxD) + c, v * d);
  }
}

template <typename S>
ALUDEL_INLINE void write_rim(const S& strip, const Rows& t, const Image& image, int64_t pixel) {
  for (int u = 0; u < S::kVectors; ++u) {
    const int64_t c = strip.begin + u * VW;
    const vf d = load(image.x + pixel + c, strip.lanes) - load(t.coefficient(kMean) + c), v = load(image.ux + pixel + c, strip.lanes);
    const vf along = d * load(t.coefficient(kXD) + c) + load(t.coefficient(kX0) + c);
    store(image.gx + pixel + c, v * load(t.coefficient(kXUx) + c) + along, strip.lanes);
  }
}

// The means over sets that finish needs.
void set_means(const Rows& t, const NormShape& s, const float* __restrict gamma, const float* __restrict ugamma, double inverse) {
  const float* __restrict rstd = t.coefficient(kRstd);
  const double* __restrict gz = t.sum(kGz), * __restrict gz_d = t.sum(kGzD), * __restrict gz_ux = t.sum(kGzUx);
  const double* __restrict ux = t.sum(kUx), * __restrict ux_d = t.sum(kUxD);
  double* __restrict a = t.mean(kA), * __restrict b = t.mean(kB), * __restrict u = t.mean(kU), * __restrict k = t.mean(kC);
  double* __restrict d = t.mean(kD), * __restrict gated = t.mean(kGated), * __restrict gated_xh = t.mean(kGatedXh);
  for (int64_t c = 0; c < s.C; ++c) {
    const double mean_gz = gz[c] * inverse, mean_gz_xh = gz_d[c] * rstd[c] * inverse;
    a[c] = gamma[c] * mean_gz;
    b[c] = gamma[c] * mean_gz_xh;
    u[c] = ux[c] * inverse;
    k[c] = ux_d[c] * rstd[c] * inverse;
    d[c] = gamma[c] * gz_ux[c] * inverse;
    gated[c] = ugamma[c] * mean_gz;
    gated_xh[c] = ugamma[c] * mean_gz_xh;
  }
  for (int mean = kA; mean <= kGatedXh; ++mean) average_sets(s, t.mean(mean));
}

template <int P, bool RELU>
struct GradGrad {
  static constexpr RowCounts kRows{5, 1, 7, 9};
  static constexpr int kWeightsAt = 9;

  static void begin(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t n) {
    begin_grad(args, s, g, n, t.coefficient(kMean), t.coefficient(kRstd), t.coefficient(kScale), t.coefficient(kShift));
  }

  static void sum_image(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t n, double) {
    const Image image = image_of(args, s, g, n);
    for_bands<P>(
        s, [&](const Band& band) { for_strips<1>(0, s.C, [&](const auto& strip) { sum_strip<P, RELU>(strip, t, image, s, band); }); });
    for_rim<P>(s.H, s.W, [&](int64_t p) { for_strips(0, s.C, [&](const auto& strip) { sum_rim(strip, t, image, p * s.C); }); });
  }

  static void join(const Rows& t, const double* sums, const NormShape& s, double, double) { add_rows(t.sums, sums, kRows.sums * s.lanes); }

  static void finish(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t, double count) {
    const float* __restrict gamma = args.in[1].as<const float>() + g * s.C;
    const float* __restrict ugamma = args.in[7].as<const float>() + g * s.C;
    const float* __restrict ubeta = args.in[8].as<const float>() + g * s.C;
    set_means(t, s, gamma, ugamma, 1 / (count > 0 ? count : 1));
    const float* __restrict rstd = t.coefficient(kRstd);
    const double* __restrict gz = t.sum(kGz), * __restrict gz_d = t.sum(kGzD), * __restrict gz_ux = t.sum(kGzUx);
    double* __restrict ggamma = t.total(kGgamma);
    float* __restrict gate = t.coefficient(kGate), * __restrict q0 = t.coefficient(kQ0), * __restrict x_ux = t.coefficient(kXUx);
    float* __restrict x_d = t.coefficient(kXD), * __restrict x0 = t.coefficient(kX0);
    for (int64_t i = 0; i < s.C; ++i) {
      const double r = rstd[i], a = t.mean(kA)[i], b = t.mean(kB)[i], u = t.mean(kU)[i], c = t.mean(kC)[i];
      const double mean_h = t.mean(kGated)[i] - r * (u * b + a * c);
      const double mean_h_xh = t.mean(kGatedXh)[i] - 2 * r * b * c;
      const double along = t.mean(kD)[i] - u * a - c * b;
      ggamma[i] += r * (gz_ux[i] - u * gz[i] - c * r * gz_d[i]);
      gate[i] = (float)(r * (ugamma[i] - gamma[i] * r * c));
      q0[i] = (float)(ubeta[i] - gamma[i] * r * u);
      x_ux[i] = (float)(-r * r * b);
      x_d[i] = (float)(-r * r * (mean_h_xh + r * along));
      x0[i] = (float)(-r * mean_h);
    }
  }

  static void write_image(const Rows& t, const KernelArgs& args, const NormShape& s, int64_t g, int64_t n) {
    const Image image = image_of(args, s, g, n);
    for_bands<P>(
        s, [&](const Band& band) { for_strips<1>(0, s.C, [&](const auto& strip) { write_strip<P, RELU>(strip, t, image, s, band); }); });
    for_rim<P>(s.H, s.W, [&](int64_t p) { for_strips(0, s.C, [&](const auto& strip) { write_rim(strip, t, image, p * s.C); }); });
  }

  static void leave_out(const KernelArgs& args, const NormShape& s, int64_t g, int64_t n) {
    const Image image = image_of(args, s, g, n);
    zero(image.gx, s.pixels() * s.C);
    zero(image.ggy, s.out_pixels() * s.C);
  }

  static int64_t spare_bytes(const NormShape&) { return 0; }

  static void put_totals(const double* totals, const KernelArgs& args, const NormShape& s, int64_t g) {
    round_row(totals + kGgamma * s.lanes, args.out[1].as<float>() + g * s.C, s.C);
  }
};

Status check(const KernelArgs& args) { return check_norm(args, "norm_act_pool_grad_grad", kInputs, 10, kOutputs, 3, false); }

}  // namespace

extern const Kernel kernel_norm_act_pool_grad_grad;
const Kernel kernel_norm_act_pool_grad_grad = NormKernel<GradGrad>::with(check);

}  // namespace aludel::cpu::ALUDEL_ISA
