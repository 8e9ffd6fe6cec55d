// Gram matrices, Cholesky factors and solves of the CUDA backend on the emulated device, against plain loops in long double: every size
// around the borders of tiles and groups, in several orders of threads, which must not change a bit.
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "cuda_host/control.h"
#include "native/cuda/linalg/gram.h"
#include "native/cuda/linalg/triangular_solve.h"
#include "test/native/check.h"

namespace aludel::test {
namespace {

using cuda::Triangle;
using Vector = std::vector<double>;

constexpr double kUntouched = 12345.5;
unsigned seeds = 4;  // orders of threads

size_t at(int64_t i, int64_t n, int64_t j) { return static_cast<size_t>(i * n + j); }

// Numbers in -1..1, the same everywhere.
struct Random {
  uint64_t state;
  double next() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<double>(static_cast<int64_t>(state >> 11)) * 0x1p-52 - 1;
  }
};
template <typename T>
std::vector<T> random(int64_t count, uint64_t seed) {
  Random numbers{seed};
  std::vector<T> x(static_cast<size_t>(count));
  for (T& v : x) v = static_cast<T>(numbers.next());
  return x;
}

template <typename T>
struct OnDevice {
  T* data = nullptr;
  size_t count;

  explicit OnDevice(size_t elements) : count(elements) { CHECK(cudaMalloc(&data, count > 0 ? count * sizeof(T) : 1) == cudaSuccess); }
  explicit OnDevice(const std::vector<T>& x) : OnDevice(x.size()) {
    CHECK(cudaMemcpy(data, x.data(), count * sizeof(T), cudaMemcpyHostToDevice) == cudaSuccess);
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  ~OnDevice() { cudaFree(data); }
  std::vector<T> read() const {
    std::vector<T> x(count);
    CHECK(cudaMemcpy(x.data(), data, count * sizeof(T), cudaMemcpyDeviceToHost) == cudaSuccess);
    return x;
  }
};
OnDevice<double> device_bytes(int64_t bytes) { return OnDevice<double>(static_cast<size_t>(bytes / 8)); }

cuda::Context context() {
  static const cuda::DeviceInfo device = {0, 9, 0, 2, 227 * 1024, cuda::Precision::f32};
  return {nullptr, &device, {}, nullptr, nullptr, 0, true};
}

// f() in several orders of blocks, warps and lanes: what it gives, which is the same to the bit in all of them.
template <typename F>
auto in_all_orders(const F& f) {
  auto first = f();
  for (unsigned seed = 1; seed < seeds; ++seed) {
    cuda_host::config().seed = seed;
    const auto other = f();
    CHECK(other.size() == first.size() && std::memcmp(other.data(), first.data(), first.size() * sizeof first[0]) == 0);
  }
  cuda_host::config().seed = 0;
  CHECK(cuda_host::last_report()[0] == 0);
  return first;
}

// ---- Gram ---------------------------------------------------------------------------------------------------------------------------

template <typename T>
void test_gram(int64_t n, int64_t d, Triangle triangle) {
  const std::vector<T> x = random<T>(n * d, 7);
  const Vector k = in_all_orders([&] {
    const OnDevice<T> features(x);
    const OnDevice<double> gram(Vector(static_cast<size_t>(n * n), kUntouched));
    const OnDevice<double> workspace = device_bytes(cuda::gram_workspace_bytes({n, d}));
    CHECK_OK(cuda::launch_gram({n, d}, features.data, gram.data, triangle, workspace.data, context()));
    return gram.read();
  });
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j) {
      long double sum = 0;
      for (int64_t f = 0; f < d; ++f) sum += static_cast<long double>(x[at(i, d, f)]) * static_cast<long double>(x[at(j, d, f)]);
      CHECK(std::fabs(k[at(i, n, j)] - static_cast<double>(sum)) <= 1e-15 * static_cast<double>(d));
      CHECK(i == j || k[at(j, n, i)] == (triangle == Triangle::both ? k[at(i, n, j)] : kUntouched));
    }
}

// ---- Cholesky -----------------------------------------------------------------------------------------------------------------------

// Features of half the rank and a ridge: condition about 1e6, as in ridge regression. The upper triangle is filled with what must stay.
Vector ridged(int64_t n, int64_t pitch) {
  const int64_t d = n / 2 + 1;
  const Vector x = random<double>(n * d, 3);
  Vector a(static_cast<size_t>(n * pitch), kUntouched);
  double trace = 0;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j) {
      double sum = 0;
      for (int64_t f = 0; f < d; ++f) sum += x[at(i, d, f)] * x[at(j, d, f)];
      a[at(i, pitch, j)] = sum;
      if (i == j) trace += sum;
    }
  for (int64_t i = 0; i < n; ++i) a[at(i, pitch, i)] += 1e-6 * trace;
  return a;
}

// Smooth in its indices: even a diagonal block alone has a condition of 1e11, so that a product with its inverse does not solve it.
Vector smooth(int64_t n, int64_t pitch) {
  Vector a(static_cast<size_t>(n * pitch), kUntouched);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j) {
      const double distance = static_cast<double>(i - j) / 20;
      a[at(i, pitch, j)] = std::exp(-distance * distance) + (i == j ? 1e-10 : 0);
    }
  return a;
}

using MatrixOf = Vector (*)(int64_t n, int64_t pitch);

struct Factored {
  OnDevice<double> matrix, blocks;
  OnDevice<cuda::CholeskyState> state;
  cuda::CholeskyFactor factor;

  Factored(const Vector& a, int64_t n, int64_t pitch)
      : matrix(a),
        blocks(static_cast<size_t>(cuda::cholesky_blocks_bytes(n) / 8)),
        state(1),
        factor{{matrix.data, n, pitch}, blocks.data, state.data} {
    CHECK_OK(cuda::launch_cholesky(factor.l, blocks.data, state.data, context()));
  }
};

void test_factor(int64_t n, int64_t pitch, MatrixOf matrix = ridged) {
  const Vector a = matrix(n, pitch);
  double largest = 0, smallest = HUGE_VAL;
  const Vector l = in_all_orders([&] {
    const Factored factored(a, n, pitch);
    const cuda::CholeskyState state = factored.state.read()[0];
    CHECK(state.failed == -1);
    smallest = state.smallest;
    largest = state.largest;
    return factored.matrix.read();
  });
  double least = HUGE_VAL, most = 0, scale = 0;
  for (int64_t i = 0; i < n; ++i) scale = std::fmax(scale, a[at(i, pitch, i)]);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      long double sum = 0;
      for (int64_t k = 0; k <= j; ++k) sum += static_cast<long double>(l[at(i, pitch, k)]) * static_cast<long double>(l[at(j, pitch, k)]);
      CHECK(std::fabs(static_cast<double>(sum - static_cast<long double>(a[at(i, pitch, j)]))) <= 2e-15 * scale);
    }
    for (int64_t j = i + 1; j < pitch; ++j) CHECK(l[at(i, pitch, j)] == kUntouched);
    const double root = l[at(i, pitch, i)];
    least = std::fmin(least, root * root), most = std::fmax(most, root * root);
  }
  CHECK(std::fabs(smallest / least - 1) < 1e-14 && std::fabs(largest / most - 1) < 1e-14);
}

// The first pivot that is not positive, or no number, is named; the solves behind it do nothing.
void test_refusal(int64_t n, int64_t row, double pivot) {
  const int64_t columns = 3;
  Vector a = ridged(n, n);
  if (pivot < 0) {  // elimination leaves of it what its row's norm exceeds the projection's by
    const Factored whole(a, n, n);
    const double root = whole.matrix.read()[at(row, n, row)];
    a[at(row, n, row)] += pivot - root * root;
  } else {
    for (int64_t j = 0; j < row; ++j) a[at(row, n, j)] = 0;
    a[at(row, n, row)] = pivot;
  }
  const Vector rhs(static_cast<size_t>(n * columns), kUntouched);
  in_all_orders([&] {
    const Factored factored(a, n, n);
    const OnDevice<double> b(rhs), x(rhs);
    CHECK_OK(cuda::launch_triangular_solve(factored.factor, false, b.data, x.data, columns, context()));
    CHECK(x.read() == rhs && b.read() == rhs);
    const cuda::CholeskyState state = factored.state.read()[0];
    CHECK(state.failed == row);
    CHECK(std::isnan(pivot) ? std::isnan(state.pivot) : std::fabs(state.pivot - pivot) < 1e-9);
    CHECK(row < 64 ? state.largest == 0 : state.largest >= state.smallest);
    return Vector{state.pivot};
  });
}

// ---- solves -------------------------------------------------------------------------------------------------------------------------

// max |A X - B| against max (|A| |X| + |B|), with A = L, L^T or L L^T.
double residual(const Vector& a, int64_t n, int64_t pitch, const Vector& x, const Vector& b, int64_t columns, bool lower, bool upper) {
  double worst = 0;
  for (int64_t c = 0; c < columns; ++c)
    for (int64_t i = 0; i < n; ++i) {
      const long double right = b[at(i, columns, c)];
      long double left = 0, scale = fabsl(right);
      for (int64_t j = lower ? 0 : i; j < (upper ? n : i + 1); ++j) {
        const long double term = static_cast<long double>(a[j <= i ? at(i, pitch, j) : at(j, pitch, i)]) * x[at(j, columns, c)];
        left += term, scale += fabsl(term);
      }
      worst = std::fmax(worst, static_cast<double>(fabsl(left - right) / scale));
    }
  return worst;
}

void test_solves(int64_t n, int64_t pitch, int64_t columns, MatrixOf matrix = ridged) {
  const Vector a = matrix(n, pitch), rhs = random<double>(n * columns, 11);
  const Factored factored(a, n, pitch);
  const Vector l = factored.matrix.read();
  for (const bool transposed : {false, true}) {
    const Vector x = in_all_orders([&] {
      const OnDevice<double> b(rhs), solution(rhs.size());
      CHECK_OK(cuda::launch_triangular_solve(factored.factor, transposed, b.data, solution.data, columns, context()));
      return solution.read();
    });
    CHECK(residual(l, n, pitch, x, rhs, columns, !transposed, transposed) <= 2e-14);
  }
  const Vector x = in_all_orders([&] {
    const OnDevice<double> b(rhs);
    const OnDevice<double> workspace = device_bytes(cuda::cholesky_solve_workspace_bytes(n, columns));
    CHECK_OK(cuda::launch_cholesky_solve(factored.factor, b.data, columns, workspace.data, context()));
    return b.read();
  });
  CHECK(residual(a, n, pitch, x, rhs, columns, true, true) <= 1e-12);
}

// A step that was refused does nothing.
void test_stopped() {
  const int64_t n = 70;
  cuda::RunState refused{};
  refused.fault = 1;
  const OnDevice<cuda::RunState> state(std::vector<cuda::RunState>{refused});
  cuda::Context stopped = context();
  stopped.guard.state = state.data;
  const Vector a = ridged(n, n), x = random<double>(n, 5);
  const OnDevice<double> matrix(a), features(x), blocks = device_bytes(cuda::cholesky_blocks_bytes(n));
  const OnDevice<cuda::CholeskyState> cholesky(1);
  CHECK_OK(cuda::launch_cholesky({matrix.data, n, n}, blocks.data, cholesky.data, stopped));
  CHECK_OK(cuda::launch_gram({n, 1}, features.data, matrix.data, Triangle::both, nullptr, stopped));
  CHECK(matrix.read() == a);
}

}  // namespace
}  // namespace aludel::test

int main(int count, char** arguments) {
  using namespace aludel::test;
  using aludel::cuda::Triangle;
  const bool quick = count > 1 && std::strcmp(arguments[1], "quick") == 0;
  if (quick) seeds = 2;
  const std::vector<int64_t> sizes = quick ? std::vector<int64_t>{1, 33, 130} : std::vector<int64_t>{1, 2, 31, 32, 33, 65, 130};
  for (const int64_t n : sizes) {
    for (const int64_t d : {1, 15, 64, 70}) {
      test_gram<float>(n, d, Triangle::both);
      test_gram<double>(n, d, Triangle::lower);
    }
    test_factor(n, n);
    test_factor(n, n + 3 + n % 2);
    test_solves(n, n, 1);
    test_solves(n, n, 66);
  }
  test_gram<float>(3, 0, Triangle::both);
  test_gram<float>(66, 1100, Triangle::both);  // three stretches
  test_gram<double>(5, 1537, Triangle::both);
  test_factor(330, 330);  // blocks of two groups
  test_factor(160, 160, smooth);
  test_solves(160, 160, 5, smooth);
  test_solves(330, 330, 3);
  test_solves(130, 134, 65);
  for (const int64_t row : {0, 40, 64, 129})
    for (const double pivot : {-1e-3, 0.0, std::numeric_limits<double>::quiet_NaN()}) test_refusal(130, row, pivot);
  test_stopped();
  return 0;
}
