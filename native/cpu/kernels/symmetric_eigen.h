// Eigenvalues and eigenvectors of one real symmetric matrix in float64. Not an op of programs: it takes thousands of parallel regions, so
// a device runs it by itself. Shapes of the work depend on n alone: bits do not depend on the number of threads.
#pragma once
#include "native/core/kernel.h"

namespace aludel {

struct SymmetricEigen {
  // [n, n] row-major; only used as symmetric. Afterwards row k is the unit eigenvector of values[k].
  double* matrix;
  // [n], ascending.
  double* values;
  int64_t n;
  // symmetric_eigen_work(n) doubles, 64-byte aligned.
  double* work;
  // Asked now and then; may be null.
  bool (*cancelled)(const void* context);
  const void* context;
};

struct EigenKernel {
  int64_t (*work_doubles)(int64_t n);
  // invalid_argument for a matrix that is not finite, cancelled, or internal when the iteration does not converge.
  Status (*run)(const SymmetricEigen& problem, Exec& exec);
};

}  // namespace aludel
