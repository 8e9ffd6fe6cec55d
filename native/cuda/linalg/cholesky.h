// Cholesky factorisation in float64.
#pragma once
#include "native/cuda/kernel.h"

namespace aludel::cuda {

constexpr int64_t kCholeskyBlock = 64;

// On the device; written by the factorisation, read by the solves behind it and by the host when it next waits.
struct CholeskyState {
  int64_t failed;  // -1, or the first row whose pivot is not positive and finite: nothing of the factor counts then
  double pivot;    // that pivot
  // Pivots (squares of the factor's diagonal) of the blocks that did not fail, infinity and 0 where there is none. largest / smallest is at
  // most the condition number.
  double smallest, largest;
};

// A [n, n] row by row, f64, n in 1..2^24; `pitch` >= n elements from row to row. An even pitch and a 16-byte aligned address are faster.
struct SquareMatrix {
  double* data;
  int64_t n, pitch;
};

// The diagonal blocks' inverses and the blocks themselves, [ceil(n / 64), 2, 64, 64] f64, zero above the diagonal and with the unit matrix
// behind row n: made by the factorisation, used by the solves.
int64_t cholesky_blocks_bytes(int64_t n);

// A = L L^T in place: L replaces the lower triangle of A, which is all that is read; what is above the diagonal is not touched.
// blocks: cholesky_blocks_bytes(n), 16-byte aligned. No other workspace.
// On the context's stream, nothing waits; a failure is in `state` and ends the work of what is still in line. Kernels look at the context's
// guard. Right-looking by blocks of 64 columns, four of which meet the rest of the matrix at once; blocks of the panel are multiplied by
// the inverse of the diagonal block and corrected once, which gives the residual of a substitution.
// `begun`: `state` is cholesky_start() or a failure, which means that there is nothing to do; otherwise what it holds does not matter.
// Determinism: every element is summed in an order that depends on n alone.
Status launch_cholesky(const SquareMatrix& a, double* blocks, CholeskyState* state, const Context& context, bool begun = false);

}  // namespace aludel::cuda
