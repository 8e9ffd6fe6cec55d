// linalg_bench [N...]: the Gram matrix of N rows of 3072 features, its Cholesky factor with a ridge, and a solve with 128 right-hand sides,
// all float64 on GPU 0: one JSON line a size (default 1000 5000 10000), seconds between events on the stream, best of three. `residual` is
// the largest |A x - b| of eight rows over the largest |b|.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "native/cuda/linalg/gram.h"
#include "native/cuda/linalg/triangular_solve.h"

namespace {

namespace cuda = aludel::cuda;
using aludel::Status;

constexpr int64_t kFeatures = 3072, kColumns = 128, kRows = 8;

void check(const Status& status, const char* what) {
  if (status.ok()) return;
  std::fprintf(stderr, "linalg_bench: %s: %s\n", what, status.message);
  std::exit(1);
}
void check(cudaError_t error, const char* what) { check(cuda::to_status(error, what), what); }

template <typename T>
struct Array {
  T* data = nullptr;
  explicit Array(int64_t bytes) {
    check(cudaMalloc(reinterpret_cast<void**>(&data), static_cast<size_t>(bytes > 0 ? bytes : 16)), "memory");
  }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  ~Array() { cudaFree(data); }
};

struct Timer {
  cudaEvent_t begin = nullptr, end = nullptr;
  Timer() {
    check(cudaEventCreateWithFlags(&begin, cudaEventDefault), "an event");
    check(cudaEventCreateWithFlags(&end, cudaEventDefault), "an event");
  }
  ~Timer() {
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
  }
  template <typename F>
  double seconds(const cuda::Context& context, const F& work) {
    check(cudaEventRecord(begin, context.stream), "an event");
    check(work(), "a launch");
    check(cudaEventRecord(end, context.stream), "an event");
    check(cudaEventSynchronize(end), "the device");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin, end), "an event");
    return milliseconds / 1e3;
  }
};

uint64_t random_state = 1;
double random_number() {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return static_cast<double>(static_cast<int64_t>(random_state >> 11)) * 0x1p-52 - 1;
}

void upload(void* target, const void* source, int64_t bytes) {
  check(cudaMemcpy(target, source, static_cast<size_t>(bytes), cudaMemcpyHostToDevice), "an upload");
}
void download(void* target, const void* source, int64_t bytes) {
  check(cudaMemcpy(target, source, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost), "a download");
}

void run(int64_t n, const cuda::Context& context) {
  const cuda::GramShape shape{n, kFeatures};
  Array<float> features(4 * n * kFeatures);
  Array<double> gram(8 * n * n), factor(8 * n * n), b(8 * n * kColumns), x(8 * n * kColumns), blocks(cuda::cholesky_blocks_bytes(n));
  Array<char> workspace(cuda::gram_workspace_bytes(shape)), solving(cuda::cholesky_solve_workspace_bytes(n, kColumns));
  Array<cuda::CholeskyState> state(sizeof(cuda::CholeskyState));
  std::vector<float> numbers(static_cast<size_t>(n * kFeatures));
  for (float& v : numbers) v = static_cast<float>(random_number());
  upload(features.data, numbers.data(), 4 * n * kFeatures);
  std::vector<double> right(static_cast<size_t>(n * kColumns)), solution(right.size()), row(static_cast<size_t>(n));
  for (double& v : right) v = random_number();

  Timer timer;
  double gram_seconds = 1e9, factor_seconds = 1e9, solve_seconds = 1e9;
  for (int repeat = 0; repeat < 3; ++repeat) {
    const auto form = [&] { return cuda::launch_gram(shape, features.data, gram.data, cuda::Triangle::both, workspace.data, context); };
    gram_seconds = std::fmin(gram_seconds, timer.seconds(context, form));
    // A ridge makes it well conditioned: N may exceed the features.
    for (int64_t i = 0; i < n; ++i) {
      double diagonal = 0;
      download(&diagonal, gram.data + i * (n + 1), 8);
      diagonal += static_cast<double>(kFeatures);
      upload(gram.data + i * (n + 1), &diagonal, 8);
    }
    check(cudaMemcpy(factor.data, gram.data, static_cast<size_t>(8 * n * n), cudaMemcpyDeviceToDevice), "a copy");
    const cuda::SquareMatrix l{factor.data, n, n};
    factor_seconds =
        std::fmin(factor_seconds, timer.seconds(context, [&] { return cuda::launch_cholesky(l, blocks.data, state.data, context); }));
    upload(x.data, right.data(), 8 * n * kColumns);
    const cuda::CholeskyFactor factored{l, blocks.data, state.data};
    solve_seconds =
        std::fmin(solve_seconds,
                  timer.seconds(context, [&] { return cuda::launch_cholesky_solve(factored, x.data, kColumns, solving.data, context); }));
  }
  cuda::CholeskyState ended{};
  download(&ended, state.data, sizeof ended);
  download(solution.data(), x.data, 8 * n * kColumns);
  double residual = ended.failed < 0 ? 0 : INFINITY, largest = 0;
  for (int64_t k = 0; k < kRows; ++k) {
    const int64_t i = k * (n - 1) / (kRows - 1);
    download(row.data(), gram.data + i * n, 8 * n);
    for (int64_t c = 0; c < kColumns; ++c) {
      double sum = -right[static_cast<size_t>(i * kColumns + c)];
      for (int64_t j = 0; j < n; ++j) sum += row[static_cast<size_t>(j)] * solution[static_cast<size_t>(j * kColumns + c)];
      residual = std::fmax(residual, std::fabs(sum));
      largest = std::fmax(largest, std::fabs(right[static_cast<size_t>(i * kColumns + c)]));
    }
  }
  const auto size = static_cast<double>(n);
  std::printf(
      "{\"name\":\"cholesky\",\"n\":%lld,\"gram_s\":%.4g,\"gram_gflop_s\":%.4g,\"factor_s\":%.4g,\"factor_gflop_s\":%.4g,\"solve_s\":%.4g,"
      "\"solve_gflop_s\":%.4g,\"residual\":%.3g}\n",
      static_cast<long long>(n), gram_seconds, size * size * kFeatures / gram_seconds / 1e9, factor_seconds,
      size * size * size / 3 / factor_seconds / 1e9, solve_seconds, 2 * size * size * kColumns / solve_seconds / 1e9, residual / largest);
}

}  // namespace

int main(int argc, char** argv) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, 0), "GPU 0");
  cuda::DeviceInfo device{};
  device.major = properties.major;
  device.minor = properties.minor;
  device.multiprocessors = properties.multiProcessorCount;
  device.shared_bytes = static_cast<int64_t>(properties.sharedMemPerBlockOptin);
  cuda::Context context{};
  check(cudaStreamCreateWithFlags(&context.stream, cudaStreamDefault), "a stream");
  context.device = &device;
  context.first_slice = true;
  std::vector<int64_t> sizes;
  for (int i = 1; i < argc; ++i) sizes.push_back(std::atoll(argv[i]));
  if (sizes.empty()) sizes = {1000, 5000, 10000};
  for (const int64_t n : sizes) {
    if (n < kRows || n > 60000) {
      std::fprintf(stderr, "linalg_bench: N: expected a whole number from %lld to 60000\n", static_cast<long long>(kRows));
      return 2;
    }
    run(n, context);
  }
  cudaStreamDestroy(context.stream);
  return 0;
}
