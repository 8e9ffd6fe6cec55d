// norm_act_pool and its two gradients: the float64 reference against finite differences, then the kernels against the reference.
// Build with the flags of one kernel unit, together with native/cpu/kernels/norm_*.cc:
//   g++ -std=c++20 -O2 -I. -mavx2 -mfma -DALUDEL_ISA=avx2 -DALUDEL_VW=8 test/native/norm_test.cc native/cpu/kernels/norm_*.cc -pthread
#include "test/native/norm_reference.h"

namespace aludel::cpu::ALUDEL_ISA {
extern const Kernel kernel_norm_act_pool, kernel_norm_act_pool_grad, kernel_norm_act_pool_grad_grad;
}

namespace aludel::testing {

using namespace aludel::cpu::ALUDEL_ISA;

static int failures = 0;
static double worst = 0;  // largest error seen, as a fraction of its tolerance

static void expect(bool ok, const NormProblem& p, const char* what, double got = 0) {
  if (ok) return;
  if (++failures <= 20) {
    std::printf("FAIL %s (%g): G%lld N%lld H%lld W%lld C%lld kind %d groups %lld relu %d pool %d weights %d\n", what, got, (long long)p.G,
                (long long)p.N, (long long)p.H, (long long)p.W, (long long)p.C, p.kind, (long long)p.groups, p.relu, p.pool,
                !p.weights.empty());
  }
}

// All inputs of the three ops; x is moved off the kink of relu, where float32 and float64 may disagree about the sign of z.
struct Data {
  Tensor x, gamma, beta, mean, rstd, gy, ux, ugamma, ubeta, weights;

  Data(const NormProblem& p, Random& random)
      : x({p.G, p.N, p.H, p.W, p.C}),
        gamma({p.G, p.C}),
        beta({p.G, p.C}),
        gy({p.G, p.N, p.OH(), p.OW(), p.C}),
        ux(x.dims),
        ugamma(gamma.dims),
        ubeta(gamma.dims),
        weights({p.G, p.N}) {
    mean = Tensor(p.kind == 2 ? Dims{p.G, p.C} : Dims{p.G, p.N, p.kind == 1 ? p.groups : p.C});
    rstd = Tensor(mean.dims);
    random.fill(x, 1.5, 0.5), random.fill(gamma, 1, 0.3), random.fill(beta, 0.7), random.fill(gy), random.fill(ux);
    random.fill(ugamma), random.fill(ubeta);
    if (p.C > 2) gamma.data[1] = 0, gamma.data[2] = -1.25f;
    for (size_t i = 0; i < p.weights.size(); ++i) weights.data[i] = (float)p.weights[i];
    for (int round = 0, moved = 1; moved && round < 50; ++round) {
      const NormState s = normalise(p, widen(x));
      moved = 0;
      p.each([&](size_t i, size_t, size_t c, int64_t) {
        if (gamma.data[c] != 0 && std::fabs(gamma.data[c] * s.xh[i] + beta.data[c]) < 2e-5) x.data[i] += 0.01f, moved = 1;
      });
    }
    const NormState s = normalise(p, widen(x));
    for (size_t i = 0; i < s.mean.size(); ++i) mean.data[i] = (float)s.mean[i], rstd.data[i] = (float)s.rstd[i];
  }
};

// terms: size of the terms that cancel in the result (rstd is 300 where a set has one element and the exact gradient is zero).
static void expect_close(const NormProblem& p, const char* what, const Tensor& got, const Doubles& want, double tolerance = 1e-5,
                         double terms = 1e-3) {
  double scale = terms, error = 0;
  for (double v : want) scale = std::max(scale, std::fabs(v));
  for (size_t i = 0; i < want.size(); ++i) {
    const double e = std::fabs(got.data[i] - want[i]) / scale;
    error = e <= error ? error : e;
    if (e != e) error = INFINITY;
  }
  worst = std::max(worst, error / tolerance);
  expect(got.data.size() == want.size() && error <= tolerance, p, what, error);
}

// Runs on 1, 2 and 3 threads; the bits must be the same.
static void run_all(const NormProblem& p, const char* what, const Kernel& kernel, const std::vector<Tensor*>& in,
                    const std::vector<Tensor*>& out, int power = 0) {
  std::vector<double> attributes{(double)p.kind, (double)p.groups, p.eps, (double)p.relu, (double)p.pool};
  if (power > 0) attributes.push_back(power);
  const Call call(in, out, attributes);
  std::vector<std::vector<float>> first;
  for (int threads = 1; threads <= 3; ++threads) {
    const Status status = call.run(kernel, threads);
    expect(status.ok(), p, status.message);
    for (size_t i = 0; i < out.size(); ++i) {
      const size_t bytes = out[i]->data.size() * sizeof(float);
      if (threads == 1)
        first.push_back(out[i]->data);
      else
        expect(bytes == 0 || std::memcmp(first[i].data(), out[i]->data.data(), bytes) == 0, p, what, threads);
    }
  }
}

static void check_kernels(const NormProblem& p, Random& random) {
  Data d(p, random);
  const Doubles x = widen(d.x), gamma = widen(d.gamma), beta = widen(d.beta), gy = widen(d.gy);
  const auto with_weights = [&](std::vector<Tensor*> in) {
    if (!p.weights.empty()) in.push_back(&d.weights);
    return in;
  };
  const NormState s = normalise(p, x);
  Tensor y(d.gy.dims), mean(d.mean.dims), rstd(d.mean.dims);
  run_all(p, "forward bits", kernel_norm_act_pool, with_weights({&d.x, &d.gamma, &d.beta}), {&y, &mean, &rstd});
  expect_close(p, "y", y, norm_forward(p, x, gamma, beta));
  expect_close(p, "mean", mean, s.mean, 1e-6);
  expect_close(p, "rstd", rstd, s.rstd, 1e-6);

  for (int power = 1; p.relu && power <= 4; ++power) {
    // Not cleared: every element must be written.
    Tensor pooled(d.gy.dims, 7), positions({p.G, p.N, p.H, p.W}, 7), channels({p.G, p.N, p.C}, 7);
    run_all(p, "sums bits", kernel_norm_act_pool, with_weights({&d.x, &d.gamma, &d.beta}), {&pooled, &mean, &rstd, &positions, &channels},
            power);
    const NormSums sums = norm_sums(p, x, gamma, beta, power);
    expect(pooled.data == y.data, p, "y beside sums");
    expect_close(p, "positions", positions, sums.positions);
    expect_close(p, "channels", channels, sums.channels);
  }

  Tensor dx(d.x.dims), dgamma(d.gamma.dims), dbeta(d.gamma.dims);
  run_all(p, "grad bits", kernel_norm_act_pool_grad, with_weights({&d.x, &d.gamma, &d.beta, &d.mean, &d.rstd, &d.gy}),
          {&dx, &dgamma, &dbeta});
  const NormGrads grads = norm_grad(p, x, gamma, beta, gy);
  const double rstd_max = *std::max_element(s.rstd.begin(), s.rstd.end());
  expect_close(p, "dx", dx, grads.dx, 1e-5, rstd_max);
  expect_close(p, "dgamma", dgamma, grads.dgamma);
  expect_close(p, "dbeta", dbeta, grads.dbeta);

  Tensor gx(d.x.dims), ggamma(d.gamma.dims), ggy(d.gy.dims);
  run_all(p, "grad_grad bits", kernel_norm_act_pool_grad_grad,
          with_weights({&d.x, &d.gamma, &d.beta, &d.mean, &d.rstd, &d.gy, &d.ux, &d.ugamma, &d.ubeta}), {&gx, &ggamma, &ggy});
  const NormSecondGrads second = norm_grad_grad(p, x, gamma, beta, gy, widen(d.ux), widen(d.ugamma), widen(d.ubeta));
  expect_close(p, "gx", gx, second.gx, 3e-5, rstd_max * rstd_max);
  expect_close(p, "ggamma", ggamma, second.ggamma, 3e-5, rstd_max);
  expect_close(p, "ggy", ggy, second.ggy, 3e-5, rstd_max);
}

// Derivative of f at v along direction by central differences.
template <typename F>
static double slope(Doubles v, const Doubles& direction, const F& f) {
  const double step = 1e-6;
  Doubles low = v;
  for (size_t i = 0; i < v.size(); ++i) v[i] += step * direction[i], low[i] -= step * direction[i];
  return (f(v) - f(low)) / (2 * step);
}

static void check_reference(const NormProblem& p, Random& random) {
  Data d(p, random);
  const Doubles x = widen(d.x), gamma = widen(d.gamma), beta = widen(d.beta), gy = widen(d.gy), ux = widen(d.ux);
  const Doubles ugamma = widen(d.ugamma), ubeta = widen(d.ubeta);
  const auto along = [&](const Doubles& like) {
    Doubles v(like.size());
    for (double& e : v) e = random.normal();
    return v;
  };
  const auto agree = [&](const char* what, double exact, double numeric) {
    expect(std::fabs(exact - numeric) <= 2e-6 * (1 + std::fabs(exact)) * 10, p, what, exact - numeric);
  };
  const Doubles vx = along(x), vc = along(gamma), vy = along(gy);
  const NormGrads g = norm_grad(p, x, gamma, beta, gy);
  agree("dx", dot(g.dx, vx), slope(x, vx, [&](const Doubles& v) { return dot(gy, norm_forward(p, v, gamma, beta)); }));
  agree("dgamma", dot(g.dgamma, vc), slope(gamma, vc, [&](const Doubles& v) { return dot(gy, norm_forward(p, x, v, beta)); }));
  agree("dbeta", dot(g.dbeta, vc), slope(beta, vc, [&](const Doubles& v) { return dot(gy, norm_forward(p, x, gamma, v)); }));
  const auto seeded = [&](const NormGrads& r) { return dot(ux, r.dx) + dot(ugamma, r.dgamma) + dot(ubeta, r.dbeta); };
  const NormSecondGrads r = norm_grad_grad(p, x, gamma, beta, gy, ux, ugamma, ubeta);
  agree("gx", dot(r.gx, vx), slope(x, vx, [&](const Doubles& v) { return seeded(norm_grad(p, v, gamma, beta, gy)); }));
  agree("ggamma", dot(r.ggamma, vc), slope(gamma, vc, [&](const Doubles& v) { return seeded(norm_grad(p, x, v, beta, gy)); }));
  agree("ggy", dot(r.ggy, vy), slope(gy, vy, [&](const Doubles& v) { return seeded(norm_grad(p, x, gamma, beta, v)); }));
  agree("beta", 0, slope(beta, vc, [&](const Doubles& v) { return seeded(norm_grad(p, x, gamma, v, gy)); }));
}

// Calls f for every kind, activation and pooling of one shape.
template <typename F>
static void each_variant(int64_t G, int64_t N, int64_t H, int64_t W, int64_t C, const F& f) {
  for (int mode = 0; mode < 4; ++mode) {
    NormProblem p{G, N, H, W, C, 0, 1, 1e-5, (mode & 1) != 0, mode & 2, {}};
    f(p);
    p.kind = 1;
    for (int64_t groups : {(int64_t)1, (int64_t)2, (int64_t)5, C}) {
      if (C % groups) continue;
      p.groups = groups;
      f(p);
    }
    p.kind = 2, p.groups = 1;
    f(p);
    p.weights.assign((size_t)(G * N), 1);
    f(p);
    for (size_t i = 0; i < p.weights.size(); i += 2) p.weights[i] = 0;
    f(p);
    p.weights.assign((size_t)(G * N), 0);
    f(p);
  }
}

// Statistics of data on which sums about a badly chosen centre would lose their digits.
static void check_statistics(Random& random) {
  // tolerance: of the mean, as a fraction of mean or deviation.
  const auto check = [&](const char* what, double tolerance, const auto& at) {
    for (int kind : {0, 1, 2}) {
      const NormProblem p{1, 3, 17, 16, 20, kind, 2, 1e-5, true, 2, {}};
      Tensor x({1, 3, 17, 16, 20}), gamma({1, 20}, 1), beta({1, 20}), y({1, 3, 8, 8, 20});
      Tensor mean(kind == 2 ? Dims{1, 20} : Dims{1, 3, kind == 1 ? 2 : 20}), rstd(mean.dims);
      for (size_t i = 0; i < x.data.size(); ++i) x.data[i] = (float)at((int64_t)i / 20 % (17 * 16), (int64_t)i / (20 * 17 * 16));
      run_all(p, what, kernel_norm_act_pool, {&x, &gamma, &beta}, {&y, &mean, &rstd});
      const NormState s = normalise(p, widen(x));
      expect_close(p, what, mean, s.mean, tolerance, 1 / *std::min_element(s.rstd.begin(), s.rstd.end()));
      expect_close(p, what, rstd, s.rstd, 1e-6);
    }
  };
  check("large mean", 1e-7, [&](int64_t, int64_t) { return 4000 + random.normal(); });
  check("constant", 1e-7, [&](int64_t, int64_t) { return 0.1f; });
  check("first pixels apart", 3e-7, [&](int64_t pixel, int64_t) { return (pixel < 16 ? 4000 : 0) + random.normal(); });
  check("first band apart", 3e-7, [&](int64_t pixel, int64_t) { return pixel < 128 ? 4000 : random.normal(); });
  check("last pixel apart", 3e-7, [&](int64_t pixel, int64_t) { return (pixel == 17 * 16 - 1 ? 4000 : 0) + random.normal(); });
  check("ramp", 3e-7, [&](int64_t pixel, int64_t) { return (double)pixel; });
  check("images apart", 3e-7, [&](int64_t, int64_t image) { return 4000 * (double)image + random.normal(); });
}

// A NaN or an overflow in x must reach y through the relu.
static void check_nan() {
  Tensor x({1, 2, 8, 8, 20}, 1), gamma({1, 20}, 1), beta({1, 20}), y({1, 2, 4, 4, 20}), mean({1, 2, 20}), rstd(mean.dims);
  const NormProblem p{1, 2, 8, 8, 20, 0, 1, 1e-5, true, 2, {}};
  x.data[7] = NAN, x.data[20 * 64 + 19] = INFINITY;
  run_all(p, "nan bits", kernel_norm_act_pool, {&x, &gamma, &beta}, {&y, &mean, &rstd});
  for (int64_t i = 0; i < (int64_t)y.data.size(); ++i) {
    const bool spoilt = i % 20 == (i < 20 * 16 ? 7 : 19);
    expect(std::isnan(y.data[i]) == spoilt, p, "nan", (double)i);
  }
}

static void check_rejections() {
  const NormProblem p{2, 3, 4, 4, 6, 2, 1, 1e-5, true, 2, {}};
  Tensor x({2, 3, 4, 4, 6}), gamma({2, 6}), beta({2, 6}), y({2, 3, 2, 2, 6}), mean({2, 6}), rstd({2, 6}), weights({2, 3}), wrong({2, 5});
  const auto code = [&](std::vector<Tensor*> in, std::vector<Tensor*> out, std::vector<double> attrs) {
    return Call(in, out, std::move(attrs)).check(kernel_norm_act_pool).code;
  };
  const std::vector<Tensor*> in{&x, &gamma, &beta, &weights}, out{&y, &mean, &rstd};
  expect(code(in, out, {2, 1, 1e-5, 1, 2}) == Code::ok, p, "accepts");
  for (const std::vector<double>& bad : std::vector<std::vector<double>>{{3, 1, 1e-5, 1, 2},
                                                                         {2, 1, -1, 1, 2},
                                                                         {2, 1, NAN, 1, 2},
                                                                         {2, 1, 1e-5, 2, 2},
                                                                         {2, 1, 1e-5, 1, 3},
                                                                         {0, 1, 1e-5, 1, 2},
                                                                         {1, 4, 1e-5, 1, 2},
                                                                         {1, 0, 1e-5, 1, 2},
                                                                         {NAN, 1, 1e-5, 1, 2},
                                                                         {2, 1, 1e-5, 1}}) {
    expect(code(in, out, bad) == Code::invalid_program, p, "rejects attributes");
  }
  for (size_t i = 0; i < in.size(); ++i) {
    std::vector<Tensor*> bad = in;
    bad[i] = &wrong;
    expect(code(bad, out, {2, 1, 1e-5, 1, 2}) == Code::invalid_program, p, "rejects an input");
  }
  for (size_t i = 0; i < out.size(); ++i) {
    std::vector<Tensor*> bad = out;
    bad[i] = &wrong;
    expect(code(in, bad, {2, 1, 1e-5, 1, 2}) == Code::invalid_program, p, "rejects an output");
  }
  expect(code({&x}, out, {2, 1, 1e-5, 1, 2}) == Code::invalid_program, p, "rejects few inputs");
  Tensor positions({2, 3, 4, 4}), channels({2, 3, 6});
  const std::vector<Tensor*> sums{&y, &mean, &rstd, &positions, &channels};
  expect(code(in, sums, {2, 1, 1e-5, 1, 2, 4}) == Code::ok, p, "accepts sums");
  for (const std::vector<double>& bad : std::vector<std::vector<double>>{
           {2, 1, 1e-5, 1, 2, 5}, {2, 1, 1e-5, 1, 2, 0}, {2, 1, 1e-5, 1, 2, 1.5}, {2, 1, 1e-5, 0, 2, 4}, {2, 1, 1e-5, 1, 2}}) {
    expect(code(in, sums, bad) == Code::invalid_program, p, "rejects attributes of sums");
  }
  expect(code(in, out, {2, 1, 1e-5, 1, 2, 4}) == Code::invalid_program, p, "rejects sums without outputs");
  expect(code(in, {&y, &mean, &rstd, &channels, &positions}, {2, 1, 1e-5, 1, 2, 4}) == Code::invalid_program, p,
         "rejects sums of other shapes");
}

static int main() {
  Random random;
  for (const Dims& s : {Dims{1, 2, 4, 4, 4}, Dims{2, 3, 5, 3, 6}, Dims{1, 4, 2, 7, 10}}) {
    each_variant(s[0], s[1], s[2], s[3], s[4], [&](const NormProblem& p) { check_reference(p, random); });
  }
  // The last two are large enough for several chunks.
  for (const Dims& s :
       {Dims{1, 1, 1, 1, 1}, Dims{2, 3, 1, 5, 3}, Dims{1, 2, 2, 1, 8}, Dims{3, 2, 5, 4, 10}, Dims{1, 5, 4, 4, 16}, Dims{2, 2, 7, 9, 20},
        Dims{1, 3, 8, 8, 128}, Dims{1, 2, 3, 70, 35}, Dims{1, 1, 33, 35, 21}, Dims{1, 6, 16, 16, 64}, Dims{2, 5, 21, 20, 35}}) {
    each_variant(s[0], s[1], s[2], s[3], s[4], [&](const NormProblem& p) { check_kernels(p, random); });
  }
  check_statistics(random);
  check_nan();
  check_rejections();
  std::printf("norm: %d failures, largest error %.2f of tolerance (%d lanes)\n", failures, worst, ALUDEL_VW);
  return failures != 0;
}

}  // namespace aludel::testing

int main() { return aludel::testing::main(); }
