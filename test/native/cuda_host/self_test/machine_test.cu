// Devices, limits, planned faults, threads.
#include <pthread.h>

#include <ctime>

#include "test/native/cuda_host/self_test/right_kernels.cuh"
#include "test/native/cuda_host/self_test/tests.h"

using namespace self_test;
using aludel::cuda::launch;

namespace {
auto& settings = cuda_host::config();
}

void launch_limits() {
  CHECK(launch(nothing, {1, 1025}) == cudaErrorInvalidConfiguration);
  CHECK(launch(nothing, {0, 32}) == cudaErrorInvalidConfiguration);
  CHECK(launch(nothing, {dim3(1, 65536), 32}) == cudaErrorInvalidConfiguration);
  CHECK(launch(nothing, {dim3(1 << 20), 1}) == cudaSuccess);
  const auto direct = [](size_t shared) {  // without launch(), which raises the limit
    return cuda_host::launch(reinterpret_cast<const void*>(fill_dynamic_shared), 1, 32, shared, nullptr, [] { fill_dynamic_shared(0); });
  };
  CHECK(direct(48 << 10) == cudaSuccess);
  CHECK(direct((48 << 10) + 16) == cudaErrorInvalidValue);
  CHECK(launch(fill_dynamic_shared, {1, 32, 227 << 10}, (227 << 10) / 4) == cudaSuccess);
  CHECK(direct(227 << 10) == cudaSuccess);
  CHECK(launch(fill_dynamic_shared, {1, 32, (227 << 10) + 16}, 0) == cudaErrorInvalidValue);
  const Set keep(settings.capability, 80);
  CHECK(launch(fill_dynamic_shared, {1, 32, 164 << 10}, 0) == cudaErrorInvalidValue);
  CHECK(launch(fill_dynamic_shared, {1, 32, 163 << 10}, 0) == cudaSuccess);
  int blocks = 0;
  CHECK_CUDA(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, fill_dynamic_shared, 256, 80 << 10));
  CHECK(blocks == 2);
  CHECK(cudaGetLastError() == cudaErrorInvalidValue && cudaGetLastError() == cudaSuccess);
}

void memory_limit() {
  const Set keep(settings.memory, size_t{1} << 20);
  size_t free = 0, total = 0;
  void *a = nullptr, *b = nullptr;
  CHECK_CUDA(cudaMalloc(&a, 600 << 10));
  CHECK_CUDA(cudaMemGetInfo(&free, &total));
  CHECK(total == 1 << 20 && free == (1 << 20) - (600 << 10));
  CHECK(cudaMalloc(&b, 600 << 10) == cudaErrorMemoryAllocation && !b);
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
  CHECK_CUDA(cudaFree(a));
  CHECK_CUDA(cudaMalloc(&b, 1 << 20));
  CHECK_CUDA(cudaFree(b));
  CHECK(cuda_host::stats().allocations == 0 && cuda_host::stats().allocated_bytes == 0);
  const Set fail(settings.fail_malloc_at, 2);
  cuda_host::reset();
  CHECK_CUDA(cudaMalloc(&a, 16));
  CHECK(cudaMalloc(&b, 16) == cudaErrorMemoryAllocation);
  CHECK_CUDA(cudaMalloc(&b, 16));
  CHECK_CUDA(cudaFree(a));
  CHECK_CUDA(cudaFree(b));
}

void no_driver() {
  int n = -1, version = -1;
  for (const int driver : {0, 12080}) {
    const Set keep(settings.driver, driver);
    CHECK(cudaDriverGetVersion(&version) == cudaSuccess && version == driver);
    CHECK(cudaGetDeviceCount(&n) == cudaErrorInsufficientDriver && n == 0);
    void* p;
    CHECK(cudaMalloc(&p, 4) == cudaErrorInsufficientDriver);
  }
  const Set keep(settings.devices, 0);
  CHECK(cudaGetDeviceCount(&n) == cudaErrorNoDevice && n == 0);
  CHECK(cudaSetDevice(0) == cudaErrorNoDevice);
}

void no_kernel_image() {
  const Set keep(settings.capability, 70);
  cudaDeviceProp p;
  CHECK_CUDA(cudaGetDeviceProperties(&p, 0));
  CHECK(p.major == 7 && p.minor == 0);
  CHECK(launch(nothing, {1, 1}) == cudaErrorNoKernelImageForDevice);
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
}

void lost_device() {
  const Buffer<float> x(std::vector<float>(64, 0.0f));
  cuda_host::reset();
  const Set keep(settings.lose_at, 3);
  const Set at_once(settings.lazy, false);
  for (int i = 0; i < 3; ++i) CHECK_CUDA(launch(add_value, {1, 64}, x.p, 1.0f));
  CHECK(launch(add_value, {1, 64}, x.p, 1.0f) == cudaErrorLaunchFailure);
  CHECK(cudaDeviceSynchronize() == cudaErrorLaunchFailure);
  CHECK(cudaGetLastError() == cudaErrorLaunchFailure && cudaGetLastError() == cudaErrorLaunchFailure);
  float h = -1;
  CHECK(cudaMemcpy(&h, x.p, 4, cudaMemcpyDeviceToHost) == cudaErrorLaunchFailure && h == -1);
  cuda_host::reset();
  CHECK(x.values()[0] == 2.0f);
}

void other_device_memory() {
  const Set keep(settings.devices, 2);
  CHECK_CUDA(cudaSetDevice(1));
  const Buffer<float> there(std::vector<float>(64, 1.0f));
  const Stream stream_there;
  CHECK_CUDA(cudaSetDevice(0));
  const Buffer<float> here(std::vector<float>(64, 2.0f));
  CHECK(cudaMemcpyAsync(here.p, there.p, 256, cudaMemcpyDeviceToDevice, nullptr) == cudaErrorInvalidValue);
  CHECK(reported("memory of device 1"));
  cuda_host::reset();
  CHECK(launch(nothing, {1, 1, 0, stream_there.s}) == cudaErrorInvalidResourceHandle);
  CHECK_CUDA(cudaMemcpyPeer(here.p, 0, there.p, 1, 256));
  CHECK(here.values()[63] == 1.0f);
  const auto run = [&] {
    CHECK_CUDA(launch(add_value, {1, 64}, there.p, 1.0f));
    CHECK(cudaDeviceSynchronize() == cudaErrorIllegalAddress);
    CHECK(reported("on device 1, which may not be touched here"));
    CHECK_CUDA(cudaSetDevice(1));  // only device 0 is lost
    CHECK_CUDA(launch(add_value, {1, 64}, there.p, 1.0f));
    CHECK_CUDA(cudaDeviceSynchronize());
    cudaSetDevice(0);
  };
  if (variant != "asan")
    run();
  else
    CHECK(death(run).find("use-after-poison") != std::string::npos);
  cuda_host::reset();
}

// Run with the settings in the environment that CMakeLists.txt gives it.
void environment() {
  CHECK(settings.seed == 5 && settings.cp_async == 1 && settings.lazy && settings.strict && settings.round_to_zero && !settings.poison);
  CHECK(settings.devices == 3 && settings.capability == 80 && settings.multiprocessors == 7 && settings.memory == 1000);
  CHECK(settings.lose_at == 9 && settings.fail_malloc_at == 8 && settings.driver == 12000);
  int version = 0;
  CHECK(cudaDriverGetVersion(&version) == cudaSuccess && version == 12000);
}

// Several engines at once, on stacks too small for a kernel.
void many_threads() {
  struct Work {
    static void* run(void*) {
      const Stream s;
      const Buffer<float> x(std::vector<float>(256, 0.0f));
      CHECK_CUDA(cudaDeviceSynchronize());
      for (int i = 0; i < 300; ++i) CHECK_CUDA(launch(add_value, {1, 256, 0, s.s}, x.p, 1.0f));
      CHECK_CUDA(cudaStreamSynchronize(s.s));
      CHECK(x.values()[255] == 300.0f);
      return nullptr;
    }
  };
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, variant == "asan" ? 256 << 10 : 32 << 10);
  pthread_t threads[4];
  for (pthread_t& t : threads) CHECK(pthread_create(&t, &attributes, Work::run, nullptr) == 0);
  for (const pthread_t& t : threads) pthread_join(t, nullptr);
  CHECK(clean());
}

// Not a test: millions per second of what costs time, for README.md.
void speed() {
  const auto time = [](const char* name, double units, auto f) {
    double best = 1e9;
    for (int i = 0; i < 3; ++i) {
      timespec a, b;
      clock_gettime(CLOCK_MONOTONIC, &a);
      f();
      clock_gettime(CLOCK_MONOTONIC, &b);
      best = std::min(best, static_cast<double>(b.tv_sec - a.tv_sec) + 1e-9 * static_cast<double>(b.tv_nsec - a.tv_nsec));
    }
    std::printf("%-28s %8.2f M/s\n", name, units / best / 1e6);
  };
  const Buffer<float> x(std::vector<float>(1 << 20, 0.0f));
  const Buffer<int> y(std::vector<int>(8192, 1));
  const Buffer<float> loss(8192), gradient(8192 * 100);
  time("launches", 20000, [] {
    for (int i = 0; i < 20000; ++i) launch(nothing, {1, 1});
  });
  time("threads", 4096 * 256, [] { launch(nothing, {4096, 256}); });
  time("threads, x[i] += v", 1 << 20, [&] { launch(add_value, {4096, 256}, x.p, 1.0f); });
  time("barriers, per thread", 100 * 64 * 256, [] { launch(many_barriers, {64, 256}, 100); });
  time("shuffles, per lane", 200 * 64 * 256, [&] { launch(many_shuffles, {64, 256}, 200, y.p); });
  time("mma tf32, per warp", 200 * 64 * 8, [&] { launch(many_products, {64, 256}, 200, x.p); });
  time("softmax loss, elements", 8192 * 100, [&] { launch(softmax_loss, {2048, 128}, x.p, y.p, loss.p, gradient.p, 8192, 100); });
}
