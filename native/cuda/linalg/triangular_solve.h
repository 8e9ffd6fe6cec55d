// Solves with a Cholesky factor in float64, many right-hand sides at once.
#pragma once
#include "native/cuda/linalg/cholesky.h"

namespace aludel::cuda {

// What launch_cholesky() left: its matrix, its diagonal blocks and its state, all on the device.
struct CholeskyFactor {
  SquareMatrix l;
  double* blocks;
  const CholeskyState* state;
};

// L X = B, or L^T X = B when `transposed`. B and X: f64 [n, columns], dense, apart from each other; columns >= 1.
// B is the working memory and holds nothing of use afterwards; there is no other. An even number of columns is faster.
// On the context's stream, nothing waits; nothing is done when the factorisation failed. Kernels look at the context's guard.
// By blocks of 64 rows: product with the diagonal block's inverse, corrected once, then the rows that follow, those of the same four blocks
// at once with it. Determinism: every element is summed in an order that depends on n alone; columns do not depend on each other.
Status launch_triangular_solve(const CholeskyFactor& factor, bool transposed, double* b, double* x, int64_t columns,
                               const Context& context);

// A X = B in place, by both of them. workspace: cholesky_solve_workspace_bytes(), 16-byte aligned.
int64_t cholesky_solve_workspace_bytes(int64_t n, int64_t columns);
Status launch_cholesky_solve(const CholeskyFactor& factor, double* b, int64_t columns, void* workspace, const Context& context);

}  // namespace aludel::cuda
