// Gram matrices in float64.
#pragma once
#include "native/cuda/kernel.h"

namespace aludel::cuda {

enum class Triangle { lower, both };  // lower: what is above the diagonal is not touched

// K = A A^T, K[i][j] = sum over features of A[i][.] A[j][.]. A: f32 or f64 [rows, features], dense; K: f64 [rows, rows], dense.
// rows >= 1, features >= 0, both below 2^31. Products and sums are float64 whatever A is. K is symmetric to the bit.
// Determinism: the features are cut into stretches whose number depends on the shape alone; a stretch is summed in order, and the
// stretches in order. Same bits on every device of sm_80 and above.
struct GramShape {
  int64_t rows, features;
};

int64_t gram_workspace_bytes(const GramShape& shape);  // 0 where there is one stretch

// On the context's stream, nothing waits. `workspace`: gram_workspace_bytes(), 16-byte aligned. Kernels look at the context's guard.
Status launch_gram(const GramShape& shape, const float* features, double* gram, Triangle triangle, void* workspace, const Context& context);
Status launch_gram(const GramShape& shape, const double* features, double* gram, Triangle triangle, void* workspace,
                   const Context& context);

}  // namespace aludel::cuda
