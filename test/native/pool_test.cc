// Average and maximum pooling against plain float64 loops, on 1 to 3 threads. Built like norm_test.cc, with native/cpu/kernels/pool*.cc.
#include <cmath>

#include "test/native/norm_harness.h"

namespace aludel::cpu::ALUDEL_ISA {
extern const Kernel kernel_avg_pool2d, kernel_avg_pool2d_grad, kernel_max_pool2d, kernel_max_pool2d_grad, kernel_max_pool2d_gather;
}

namespace aludel::testing {

using namespace aludel::cpu::ALUDEL_ISA;

static int failures = 0;

struct PoolProblem {
  int64_t images, H, W, C, window_h, window_w, stride_h, stride_w;
  int64_t OH() const { return (H - window_h) / stride_h + 1; }
  int64_t OW() const { return (W - window_w) / stride_w + 1; }
};

static void expect(bool ok, const PoolProblem& p, const char* what) {
  if (ok) return;
  if (++failures <= 20) {
    std::printf("FAIL %s: %lld x %lldx%lldx%lld window %lldx%lld stride %lldx%lld\n", what, (long long)p.images, (long long)p.H,
                (long long)p.W, (long long)p.C, (long long)p.window_h, (long long)p.window_w, (long long)p.stride_h, (long long)p.stride_w);
  }
}

// Calls f(index in y, index in x) for every element of every window, in row-major order of the window.
template <typename F>
static void each(const PoolProblem& p, const F& f) {
  for (int64_t n = 0; n < p.images; ++n)
    for (int64_t oh = 0; oh < p.OH(); ++oh)
      for (int64_t ow = 0; ow < p.OW(); ++ow)
        for (int64_t c = 0; c < p.C; ++c)
          for (int64_t i = 0; i < p.window_h; ++i)
            for (int64_t j = 0; j < p.window_w; ++j) {
              const int64_t h = oh * p.stride_h + i, w = ow * p.stride_w + j;
              f((size_t)(((n * p.OH() + oh) * p.OW() + ow) * p.C + c), (size_t)(((n * p.H + h) * p.W + w) * p.C + c));
            }
}

static void run_and_compare(const PoolProblem& p, const char* what, const Kernel& kernel, const std::vector<Tensor*>& in, Tensor& out,
                            const std::vector<double>& want) {
  const Call call(in, {&out}, {(double)p.window_h, (double)p.window_w, (double)p.stride_h, (double)p.stride_w});
  std::vector<float> first;
  for (int threads = 1; threads <= 3; ++threads) {
    const Status status = call.run(kernel, threads);
    expect(status.ok(), p, status.message);
    if (threads == 1) first = out.data;
    expect(std::memcmp(first.data(), out.data.data(), first.size() * sizeof(float)) == 0, p, what);
  }
  for (size_t i = 0; i < want.size(); ++i) {
    if (std::isnan(want[i]) ? !std::isnan(out.data[i]) : !(std::fabs(out.data[i] - want[i]) <= 2e-6 * (1 + std::fabs(want[i])))) {
      return expect(false, p, what);
    }
  }
}

// ties: values from a set of four, so that the first-maximum rule decides often. nans: some elements are NaN.
static void check_shape(const PoolProblem& p, Random& random, bool ties, bool nans) {
  Tensor x({p.images, 1, p.H, p.W, p.C}), h(x.dims), g({p.images, 1, p.OH(), p.OW(), p.C}), y(g.dims), dx(x.dims);
  random.fill(x), random.fill(h), random.fill(g);
  for (float& v : x.data) {
    if (ties) v = std::floor(v);
    if (nans && random.uniform() < 0.1) v = NAN;
  }
  const double area = (double)(p.window_h * p.window_w);
  std::vector<double> avg(y.data.size()), avg_dx(x.data.size()), max(y.data.size()), max_dx(x.data.size()), gathered(y.data.size());
  std::vector<size_t> argmax(y.data.size(), (size_t)-1);
  each(p, [&](size_t out, size_t in) {
    avg[out] += x.data[in] / area;
    avg_dx[in] += g.data[out] / area;
    const size_t best = argmax[out];
    const bool better = best == (size_t)-1 || x.data[in] > x.data[best] || (std::isnan(x.data[in]) && !std::isnan(x.data[best]));
    if (better) argmax[out] = in;
  });
  for (size_t i = 0; i < argmax.size(); ++i) {
    max[i] = x.data[argmax[i]], gathered[i] = h.data[argmax[i]];
    max_dx[argmax[i]] += g.data[i];
  }
  run_and_compare(p, "avg_pool2d", kernel_avg_pool2d, {&x}, y, avg);
  run_and_compare(p, "avg_pool2d_grad", kernel_avg_pool2d_grad, {&g}, dx, avg_dx);
  run_and_compare(p, "max_pool2d", kernel_max_pool2d, {&x}, y, max);
  run_and_compare(p, "max_pool2d_gather", kernel_max_pool2d_gather, {&x, &h}, y, gathered);
  run_and_compare(p, "max_pool2d_grad", kernel_max_pool2d_grad, {&x, &g}, dx, max_dx);
}

static void check_rejections() {
  const PoolProblem p{2, 5, 6, 3, 2, 3, 2, 3};
  Tensor x({2, 5, 6, 3}), y({2, 2, 2, 3}), flat({6, 3});
  const auto refuses = [&](const Kernel& kernel, std::vector<Tensor*> in, std::vector<Tensor*> out, std::vector<double> attrs) {
    expect(Call(in, out, std::move(attrs)).check(kernel).code == Code::invalid_program, p, "rejects");
  };
  expect(Call({&x}, {&y}, {2, 3, 2, 3}).check(kernel_avg_pool2d).ok(), p, "accepts");
  for (const std::vector<double>& bad : std::vector<std::vector<double>>{{0, 3, 2, 3},
                                                                         {6, 3, 2, 3},
                                                                         {2, 7, 2, 3},
                                                                         {2, 3, 0, 3},
                                                                         {2, 3, 2, -1},
                                                                         {2.5, 3, 2, 3},
                                                                         {NAN, 3, 2, 3},
                                                                         {2, 3, 2},
                                                                         {2, 3, 1, 3}}) {
    refuses(kernel_avg_pool2d, {&x}, {&y}, bad);
    refuses(kernel_max_pool2d, {&x}, {&y}, bad);
    refuses(kernel_avg_pool2d_grad, {&y}, {&x}, bad);
    refuses(kernel_max_pool2d_grad, {&x, &y}, {&x}, bad);
    refuses(kernel_max_pool2d_gather, {&x, &x}, {&y}, bad);
  }
  refuses(kernel_avg_pool2d, {&x, &x}, {&y}, {2, 3, 2, 3});
  refuses(kernel_avg_pool2d, {&flat}, {&y}, {2, 3, 2, 3});
  refuses(kernel_max_pool2d_grad, {&x, &x}, {&x}, {2, 3, 2, 3});
  refuses(kernel_max_pool2d_gather, {&x, &y}, {&y}, {2, 3, 2, 3});
}

static int main() {
  Random random;
  for (int64_t C : {1, 3, 8, 10, 16, 20, 35, 128}) {
    for (const PoolProblem& p :
         {PoolProblem{1, 1, 1, C, 1, 1, 1, 1}, PoolProblem{3, 4, 4, C, 2, 2, 2, 2}, PoolProblem{2, 5, 7, C, 2, 2, 2, 2},
          PoolProblem{2, 7, 6, C, 3, 3, 2, 2}, PoolProblem{1, 6, 5, C, 3, 2, 1, 1}, PoolProblem{2, 8, 9, C, 2, 3, 4, 5},
          PoolProblem{1, 9, 70, C, 9, 70, 1, 1}}) {
      check_shape(p, random, false, false);
      check_shape(p, random, true, false);
      check_shape(p, random, true, true);
    }
  }
  check_rejections();
  std::printf("pool: %d failures (%d lanes)\n", failures, ALUDEL_VW);
  return failures != 0;
}

}  // namespace aludel::testing

int main() { return aludel::testing::main(); }
