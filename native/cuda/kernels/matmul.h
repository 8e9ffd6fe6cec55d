// Batched matrix products for the kernels that need one: matmul itself, convolution gradients into few channels, Gram matrices.
#pragma once
#include "native/cuda/kernels/launching.h"

namespace aludel::cuda {

// out[batch][m][n] = op(a)[m][k] op(b)[k][n]; a is [k][m] when transposed, b is [n][k]. Rows are dense.
template <typename T>
struct Matmul {
  int64_t batch, m, n, k;
  bool transpose_a, transpose_b;
  const T *a, *b;
  int64_t a_batch, b_batch;  // elements from one matrix of the batch to the next
  T* out;
};

int64_t matmul_workspace_bytes(const Matmul<float>& product);
int64_t matmul_workspace_bytes(const Matmul<double>& product);
Status launch_matmul(const Matmul<float>& product, void* workspace, const Context& context);
Status launch_matmul(const Matmul<double>& product, void* workspace, const Context& context);

}  // namespace aludel::cuda
