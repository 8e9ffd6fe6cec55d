// Speed of norm_act_pool and its gradients, in GB/s of necessary traffic (each input and output once), beside a copy of the same size.
//   slice: [1,8,32,32,128] on one thread, as inside a loop region. batch: 256 such images, G 1, on `threads` threads.
// Usage: norm_bench [threads [images of the batch]]. Build with the flags of one kernel unit and native/cpu/kernels/norm_*.cc.
#include <algorithm>
#include <cstdio>
#include <ctime>

#include "test/native/norm_harness.h"

namespace aludel::cpu::ALUDEL_ISA {
extern const Kernel kernel_norm_act_pool, kernel_norm_act_pool_grad, kernel_norm_act_pool_grad_grad;
}

namespace aludel::testing {

using namespace aludel::cpu::ALUDEL_ISA;

// One thread is timed by its own processor time, which other load disturbs less.
static double now(bool one_thread) {
  timespec t{};
  clock_gettime(one_thread ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// Median seconds of one call; short calls are repeated within a sample.
template <typename F>
static double median_seconds(bool one_thread, const F& f) {
  const auto sample = [&](int repeats) {
    const double start = now(one_thread);
    for (int i = 0; i < repeats; ++i) f();
    return (now(one_thread) - start) / repeats;
  };
  const int repeats = (int)(0.02 / (sample(1) + 1e-9)) + 1;
  std::vector<double> times;
  for (int i = 0; i < 9; ++i) times.push_back(sample(repeats));
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// How fast one thread copies `bytes` that it has just touched.
static double copy_rate(int64_t bytes) {
  std::vector<char> from((size_t)bytes / 2, 1), to((size_t)bytes / 2, 2);
  const double t = median_seconds(true, [&] {
    std::memcpy(to.data(), from.data(), from.size());
    asm volatile("" ::"r"(to.data()) : "memory");
  });
  return (double)bytes / t * 1e-9;
}

static void time_kernel(const char* name, const Kernel& kernel, const Call& call, int threads, double copy) {
  const KernelArgs args = call.args();
  const Status status = kernel.check(args);
  if (!status.ok()) {
    std::printf("%s: %s\n", name, status.message);
    return;
  }
  ThreadedExec exec(threads, kernel, args);
  int64_t bytes = 0;
  for (const TensorRef& t : call.in) bytes += t.bytes();
  for (const TensorRef& t : call.out) bytes += t.bytes();
  const double t = median_seconds(threads == 1, [&] { (void)kernel.run(args, exec); });
  std::printf("  %-10s %8.3f ms  %6.1f GB/s  %4.2f of copy  %5.2f ns per kilobyte of x\n", name, t * 1e3, (double)bytes / t * 1e-9,
              (double)bytes / t * 1e-9 / copy, t * 1e9 * 1024 / (double)call.in[0].bytes());
}

static void time_shape(const char* title, const Dims& dims, int kind, int pool, int threads) {
  const int64_t G = dims[0], N = dims[1], C = dims[4], step = pool ? 2 : 1;
  Tensor x(dims), gamma({G, C}), beta({G, C}), y({G, N, dims[2] / step, dims[3] / step, C}), ux(dims), dx(dims), u({G, C}), dg({G, C});
  Tensor db({G, C}), gy(y.dims), mean(kind == 2 ? Dims{G, C} : Dims{G, N, kind == 1 ? 8 : C}), rstd(mean.dims);
  Random random;
  random.fill(x), random.fill(gamma), random.fill(beta), random.fill(gy), random.fill(ux), random.fill(u);
  const double copy = copy_rate((int64_t)x.data.size() * 5);
  std::printf("%s, kind %d, pool %d, %d threads (one-thread copy %.1f GB/s)\n", title, kind, pool, threads, copy);
  const std::vector<double> attrs{(double)kind, 8, 1e-5, 1, (double)pool};
  time_kernel("forward", kernel_norm_act_pool, Call({&x, &gamma, &beta}, {&y, &mean, &rstd}, attrs), threads, copy);
  time_kernel("grad", kernel_norm_act_pool_grad, Call({&x, &gamma, &beta, &mean, &rstd, &gy}, {&dx, &dg, &db}, attrs), threads, copy);
  time_kernel("grad_grad", kernel_norm_act_pool_grad_grad, Call({&x, &gamma, &beta, &mean, &rstd, &gy, &ux, &u, &u}, {&dx, &dg, &y}, attrs),
              threads, copy);
}

static void main(int threads, int64_t images) {
  time_shape("slice of 1 [1,1,32,32,128]", {1, 1, 32, 32, 128}, 0, 2, 1);
  time_shape("slice [1,8,32,32,128]", {1, 8, 32, 32, 128}, 0, 2, 1);
  time_shape("slice [1,8,16,16,128]", {1, 8, 16, 16, 128}, 0, 2, 1);
  time_shape("slice [1,8,8,8,128]", {1, 8, 8, 8, 128}, 0, 2, 1);
  time_shape("slice [1,8,32,32,128]", {1, 8, 32, 32, 128}, 1, 0, 1);
  time_shape("batch", {1, images, 32, 32, 128}, 0, 2, threads);
  time_shape("batch", {1, images, 32, 32, 128}, 2, 2, threads);
}

}  // namespace aludel::testing

int main(int argc, char** argv) {
  aludel::testing::main(argc > 1 ? std::atoi(argv[1]) : 1, argc > 2 ? std::atoll(argv[2]) : 256);
  return 0;
}
