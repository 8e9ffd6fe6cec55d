// The eigendecomposition under the sanitizers: every width around its blocks, at several numbers of threads, and what it refuses.
#include <cmath>
#include <vector>

#include "native/core/arena.h"
#include "native/cpu/kernels/symmetric_eigen.h"
#include "native/cpu/thread_pool.h"
#include "test/native/check.h"

namespace aludel::cpu::ALUDEL_ISA {
const EigenKernel* symmetric_eigen();
}

namespace aludel::test {
namespace {

struct Pool final : Exec {
  explicit Pool(int threads) : workers(threads) {
    first_slice = false;
    parallel = [](Exec* self, int64_t tasks, void (*body)(void*, int64_t, void*), void* context) {
      struct Call {
        void (*body)(void*, int64_t, void*);
        void* context;
      } call{body, context};
      static_cast<Pool*>(self)->workers.parallel(
          tasks, [](void* made, int64_t task, int) { static_cast<Call*>(made)->body(static_cast<Call*>(made)->context, task, nullptr); },
          &call);
    };
  }
  cpu::ThreadPool workers;
};

struct Result {
  Status status;
  std::vector<double> vectors, values;
};

Result solve(const std::vector<double>& a, int64_t n, int threads, bool (*cancelled)(const void*) = nullptr) {
  const EigenKernel& kernel = *cpu::ALUDEL_ISA::symmetric_eigen();
  Result result{{}, a, std::vector<double>(static_cast<size_t>(n))};
  Block work;
  CHECK(allocate_block(kernel.work_doubles(n) * 8, "the test", &work).ok());
  Pool pool(threads);
  SymmetricEigen problem = {};
  problem.matrix = result.vectors.data();
  problem.values = result.values.data();
  problem.n = n;
  problem.work = static_cast<double*>(work.get());
  problem.cancelled = cancelled;
  result.status = kernel.run(problem, pool);
  return result;
}

std::vector<double> matrix(int64_t n) {
  std::vector<double> a(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j)
      a[static_cast<size_t>(i * n + j)] = a[static_cast<size_t>(j * n + i)] = std::sin(double(i * 37 + j * 11));
  }
  return a;
}

void decomposes(int64_t n) {
  const std::vector<double> a = matrix(n);
  const Result one = solve(a, n, 1);
  CHECK(one.status.ok());
  double residual = 0;
  for (int64_t k = 0; k < n; ++k) {
    const double* u = one.vectors.data() + k * n;
    for (int64_t i = 0; i < n; ++i) {
      double product = 0;
      for (int64_t j = 0; j < n; ++j) product += a[static_cast<size_t>(i * n + j)] * u[j];
      residual = std::fmax(residual, std::fabs(product - one.values[static_cast<size_t>(k)] * u[i]));
    }
  }
  CHECK(residual <= 1e-15 * 10 * static_cast<double>(n));
  const Result three = solve(a, n, 3);
  CHECK(three.values == one.values && three.vectors == one.vectors);
}

void refuses() {
  std::vector<double> a = matrix(3);
  a[5] = NAN;
  CHECK(solve(a, 3, 1).status.code == Code::invalid_argument);
  CHECK(solve(matrix(40), 40, 2, [](const void*) { return true; }).status.code == Code::cancelled);
}

}  // namespace
}  // namespace aludel::test

int main() {
  for (int64_t n : {1, 2, 3, 15, 16, 17, 31, 32, 33, 34, 65, 100}) aludel::test::decomposes(n);
  aludel::test::refuses();
  return 0;
}
