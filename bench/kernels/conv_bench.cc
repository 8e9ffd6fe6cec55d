// Laboratory: GFLOP/s (nominal: as if every tap were multiplied) of the convolution kernels of one instruction set, against a loop of
// independent multiply-adds timed in between. Processor time of the one thread, best of several rounds. Build, as one command:
//   g++ -std=c++20 -O3 -I. -mavx2 -mfma -DALUDEL_ISA=avx2 -DALUDEL_VW=8 -ffp-contract=fast -Wno-psabi
//     bench/kernels/conv_bench.cc native/cpu/kernels/conv*.cc -o conv_bench
// Use: conv_bench [images of a whole batch = 32] [images of a slice = 8] [substring of a case]
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "native/cpu/simd.h"

namespace aludel::cpu::ALUDEL_ISA {
extern const Kernel kernel_conv2d, kernel_conv2d_input_grad, kernel_conv2d_weight_grad, kernel_conv2d_prepare;
}

namespace aludel::bench {
namespace {

using namespace aludel::cpu::ALUDEL_ISA;

double seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

// Best of `rounds` timings; each repeats f until it lasts 20 ms, so that one slice is timed hot.
template <typename F>
double best_seconds(const F& f) {
  constexpr int rounds = 5;
  double best = 1e30;
  for (int round = 0; round < rounds; ++round) {
    int calls = 0;
    const double start = seconds();
    double now;
    do {
      f();
      ++calls;
      now = seconds();
    } while (now - start < 0.02);
    best = (now - start) / calls < best ? (now - start) / calls : best;
  }
  return best;
}

double measure_peak() {
  constexpr int kChains = 12;
  constexpr long kSteps = 400000;
  vf sum[kChains];
  volatile float seed = 1e-9f;
  const vf a = splat(1.f - seed), b = splat(seed);
  for (int k = 0; k < kChains; ++k) sum[k] = splat(seed * float(k));  // equal chains would be merged into one
  const double time = best_seconds([&] {
    vf chain[kChains];  // a copy: what a lambda captures by reference stays in memory
    for (int k = 0; k < kChains; ++k) chain[k] = sum[k];
    for (long i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
      for (int k = 0; k < kChains; ++k) chain[k] = chain[k] * a + b;
    }
    for (int k = 0; k < kChains; ++k) sum[k] = chain[k];
  });
  float total = 0;
  for (const vf& v : sum) total += v[0];
  if (total == 12345.f) std::printf("unlikely\n");
  return 2.0 * VW * kChains * kSteps / time * 1e-9;
}

struct Buffer {
  TensorRef ref;

  explicit Buffer(const std::vector<int64_t>& dims) : ref{DType::f32, int32_t(dims.size()), {}, nullptr} {
    for (size_t i = 0; i < dims.size(); ++i) ref.dims[i] = dims[i];
    const int64_t n = ref.numel();
    ref.data = std::aligned_alloc(64, size_t((n * 4 + 63) / 64 * 64));
    uint32_t seed = 1;
    for (int64_t i = 0; i < n; ++i) {
      seed = seed * 1664525u + 1013904223u;
      ref.as<float>()[i] = float(int32_t(seed >> 8) & 0xffff) / 65536.f - 0.5f;
    }
  }
  Buffer(const Buffer&) = delete;
  ~Buffer() { std::free(ref.data); }
};

struct OneThread : Exec {
  void* scratch;

  explicit OneThread(int64_t bytes) : Exec{&OneThread::spread, false}, scratch(std::aligned_alloc(64, size_t((bytes + 127) / 64 * 64))) {
    std::memset(scratch, 0, size_t(bytes));
  }
  ~OneThread() { std::free(scratch); }
  static void spread(Exec* self, int64_t tasks, void (*body)(void*, int64_t, void*), void* context) {
    for (int64_t task = 0; task < tasks; ++task) body(context, task, static_cast<OneThread*>(self)->scratch);
  }
};

double time_kernel(const Kernel& kernel, const std::vector<TensorRef>& in, const std::vector<TensorRef>& out,
                   const std::vector<double>& attrs) {
  const KernelArgs args{0, in.data(), int(in.size()), out.data(), int(out.size()), attrs.data(), int(attrs.size())};
  const Status status = kernel.check(args);
  if (!status.ok()) {
    std::printf("%s\n", status.message);
    std::exit(1);
  }
  OneThread exec(kernel.scratch_bytes == nullptr ? 0 : kernel.scratch_bytes(args));
  return best_seconds([&] { (void)kernel.run(args, exec); });
}

void bench_layer(int64_t channels, int64_t filters, int64_t side, int64_t images, double peak) {
  const std::vector<int64_t> map_x{1, images, side, side, channels}, map_y{1, images, side, side, filters};
  Buffer x(map_x), dx(map_x), y(map_y), dy(map_y), w({1, 3, 3, channels, filters}), dw({1, 3, 3, channels, filters}), bias({1, filters}),
      db({1, filters});
  const double flops = 2.0 * double(images * side * side) * double(channels * filters) * 9;
  const int64_t padded_filters = (filters + 31) / 32 * 32, padded_channels = (channels + 31) / 32 * 32;
  for (int algorithm = 0; algorithm <= 1; ++algorithm) {
    const int64_t points = algorithm == 1 ? 36 : 9;
    Buffer forward({1, points, channels, padded_filters}), backward({1, points, filters, padded_channels});
    const std::vector<double> prepared{1, 1, 1, 1, 16.0 + algorithm}, raw{1, 1, 1, 1, double(algorithm)};
    const double prepare0 = time_kernel(kernel_conv2d_prepare, {w.ref}, {forward.ref}, {0, double(algorithm)});
    const double prepare1 = time_kernel(kernel_conv2d_prepare, {w.ref}, {backward.ref}, {1, double(algorithm)});
    const double times[3] = {time_kernel(kernel_conv2d, {x.ref, forward.ref, bias.ref}, {y.ref}, prepared),
                             time_kernel(kernel_conv2d_input_grad, {dy.ref, backward.ref}, {dx.ref}, prepared),
                             time_kernel(kernel_conv2d_weight_grad, {x.ref, dy.ref}, {dw.ref, db.ref}, raw)};
    std::printf("%4lld -> %-4lld @%-3lld x%-4lld %-8s", (long long)channels, (long long)filters, (long long)side, (long long)images,
                algorithm == 0 ? "direct" : "winograd");
    for (double t : times) std::printf("  %7.1f (%4.0f %%)", flops / t * 1e-9, 100 * flops / t * 1e-9 / peak);
    std::printf("   prepare %.2f, %.2f ms\n", prepare0 * 1e3, prepare1 * 1e3);
    std::fflush(stdout);
  }
}

int main(int argc, char** argv) {
  const int64_t whole = argc > 1 ? std::atoll(argv[1]) : 32, slice = argc > 2 ? std::atoll(argv[2]) : 8;
  const std::string only = argc > 3 ? argv[3] : "";
  struct Layer {
    int64_t channels, filters, side;
  };
  std::printf("one thread, %d lanes; GFLOP/s (%% of peak): forward, input gradient, weight gradient\n", VW);
  for (const Layer& l :
       {Layer{1, 128, 28}, {3, 128, 32}, {128, 128, 32}, {128, 128, 16}, {128, 128, 8}, {64, 64, 16}, {32, 32, 8}, {512, 512, 4}}) {
    if (!only.empty() && std::to_string(l.channels) + "@" + std::to_string(l.side) != only) continue;
    const double peak = measure_peak();
    std::printf("peak %.1f\n", peak);
    for (int64_t images : {slice, whole}) {
      if (images > 0) bench_layer(l.channels, l.filters, l.side, images, peak);
    }
  }
  return 0;
}

}  // namespace
}  // namespace aludel::bench

int main(int argc, char** argv) { return aludel::bench::main(argc, argv); }
