// Faults of synchronisation and bounds, each of which is found. What order alone shows is found in every build; the race detector also
// finds what no order shows.
#include "test/native/cuda_host/self_test/planted_kernels.cuh"
#include "test/native/cuda_host/self_test/right_kernels.cuh"
#include "test/native/cuda_host/self_test/tests.h"

using namespace self_test;
using aludel::cuda::launch;

namespace {

// Results depend on the order or, in the race build, a race is reported with both source lines.
template <class F>
void check_found(F run) {
  if (cuda_host::race_detector()) {
    const uint64_t before = cuda_host::stats().races;
    run();
    CHECK(cuda_host::stats().races > before);
    CHECK(reported("race at") && reported("planted_kernels.cuh:"));
    CHECK(cudaDeviceSynchronize() == cudaErrorLaunchFailure);
  } else {
    CHECK(!same_in_all_orders(run));
    CHECK(clean());
  }
}

// Reads results without minding that the kernel failed.
template <class T>
std::vector<T> peek(const Buffer<T>& b) {
  std::vector<T> v(b.n);
  cudaMemcpy(v.data(), b.p, b.n * sizeof(T), cudaMemcpyDeviceToHost);
  return v;
}

template <class Kernel>
void check_sum(Kernel kernel, size_t shared) {
  const Buffer<float> x(normal(5 * 256, 2)), out(5);
  check_found([&] {
    cudaMemset(out.p, 0, 20);
    launch(kernel, {5, 256, shared}, x.p, out.p);
    return peek(out);
  });
}

template <int Bug>
void check_pipeline() {
  const Buffer<float> x(normal(6 * 64 * 4, 3)), out(64);
  check_found([&] {
    launch(pipeline_sum<Bug>, {1, 64}, reinterpret_cast<const float4*>(x.p), out.p, 6);
    return peek(out);
  });
}

template <class Kernel>
void check_report(Kernel kernel, const char* part, const char* place) {
  const Buffer<int> x(64);
  CHECK_CUDA(launch(kernel, {1, 64}, x.p));
  CHECK(cudaDeviceSynchronize() == cudaErrorLaunchFailure);
  CHECK(reported(part) && reported(place) && reported("in kernel self_test::"));
}

}  // namespace

void missing_syncthreads() { check_sum(block_sum<true>, 0); }
void missing_syncthreads_in_loop() { check_sum(tree_sum<true>, 256 * sizeof(float)); }
void missing_syncwarp() {
  std::vector<int> order(32);
  for (int i = 0; i < 32; ++i) order[i] = 2 * i + 1;
  const Buffer<int> x(order), out(32);
  check_found([&] {
    launch(reverse_warp<true>, {1, 32}, x.p, out.p);
    return peek(out);
  });
}
void missing_cp_async_wait() { check_pipeline<kNoWait>(); }
void short_cp_async_wait() { check_pipeline<kShortWait>(); }
void missing_barrier_after_wait() { check_pipeline<kNoBarrierAfterWait>(); }
void missing_end_of_loop_barrier() { check_pipeline<kNoEndBarrier>(); }

void unsynchronised_update() {
  const Buffer<int> n(1);
  n.fill(0);
  launch(count_threads<true>, {4, 64}, n.p);
  CHECK(reported("race at") && reported("planted_kernels.cuh:"));
}

void missing_threadfence() {
  const Buffer<int> data(4), out(1);
  const Buffer<unsigned> done(1);
  const auto run = [&](auto kernel) {
    cudaMemset(done.p, 0, 4);
    cudaMemset(out.p, 0, 4);
    launch(kernel, {4, 32}, data.p, done.p, out.p);
  };
  run(hand_over<false>);
  CHECK(clean());
  run(hand_over<true>);
  CHECK(reported("race at"));
}

void barrier_in_divergent_code() { check_report(barrier_in_branch, "deadlock", "__syncthreads at planted_kernels.cuh:"); }
void shuffle_in_divergent_code() { check_report(shuffle_in_branch, "deadlock", "__shfl_sync mask ffffffff at planted_kernels.cuh:"); }
void two_barriers_paired() { check_report(paired_barriers, "divergent barrier", "planted_kernels.cuh:"); }
void shuffle_mask_without_caller() { check_report(mask_without_caller, "lacks the calling lane 16", "planted_kernels.cuh:"); }
void misaligned_cp_async() {
  const Buffer<float> x(8), out(1);
  CHECK_CUDA(launch(misaligned_copy, {1, 1}, x.p, out.p));
  CHECK(cudaDeviceSynchronize() != cudaSuccess);
  CHECK(reported("is not aligned to 16 bytes") && reported("planted_kernels.cuh:"));
}

void global_out_of_bounds() {
  const auto run = [] {
    const Buffer<float> x(1000);
    launch(write_too_far, {8, 128}, x.p, 1000);
    CHECK(cudaDeviceSynchronize() == cudaErrorIllegalAddress);
    CHECK(reported("block (7,0,0) thread (104,0,0)") && reported("byte 4000 of an allocation of 4000"));
  };
  if (variant != "asan") return run();
  const std::string text = death(run);
  CHECK(text.find("heap-buffer-overflow") != std::string::npos && text.find("block (7,0,0) thread (104,0,0)") != std::string::npos);
}

void slack_written() {  // 4 bytes too far, but before the guard page
  float* x;
  CHECK_CUDA(cudaMalloc(&x, 1001 * sizeof(float)));
  CHECK_CUDA(launch(write_too_far, {8, 128}, x, 1001));
  CHECK_CUDA(cudaFree(x));
  CHECK(reported("write outside an allocation of 4004 bytes: byte 4004"));
}

void shared_out_of_bounds() {
  const std::string text = death([] {
    const Buffer<float> x(32);
    launch(write_shared_too_far, {2, 32}, x.p);
  });
  CHECK(text.find("index 32 out of bounds") != std::string::npos || text.find("global-buffer-overflow") != std::string::npos);
}

void dynamic_shared_out_of_bounds() {
  const auto run = [] {
    CHECK_CUDA(launch(fill_dynamic_shared, {1, 32, 400}, 104));
    CHECK(cudaDeviceSynchronize() == cudaErrorIllegalAddress);
    CHECK(reported("block (0,0,0)"));
  };
  if (variant != "asan") return run();
  CHECK(death(run).find("heap-buffer-overflow") != std::string::npos);
}

void use_after_free() {
  const auto run = [] {
    float* x;
    CHECK_CUDA(cudaMalloc(&x, 256));
    CHECK_CUDA(cudaFree(x));
    CHECK_CUDA(launch(add_value, {1, 64}, x, 1.0f));
    CHECK(cudaDeviceSynchronize() == cudaErrorIllegalAddress);
  };
  if (variant != "asan") return run();
  CHECK(death(run).find("heap-use-after-free") != std::string::npos);
}
