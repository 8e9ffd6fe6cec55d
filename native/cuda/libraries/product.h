// A matmul instruction as libraries are asked for it.
#pragma once
#include "native/cuda/kernel.h"

namespace aludel::cuda {

// out[batch][m][n] = op(a)[m][k] op(b)[k][n] in float32; a is [k][m] when transposed, b is [n][k]. All dense.
struct Product {
  int64_t batch, m, n, k;
  bool transpose_a, transpose_b;

  static Product of(const KernelArgs& args) {
    const TensorRef &a = args.in[0], &y = args.out[0];
    Product p{1, y.dim(-2), y.dim(-1), 0, args.attrs[0] != 0, args.attrs[1] != 0};
    for (int d = 0; d < y.rank - 2; ++d) p.batch *= y.dims[d];
    p.k = p.transpose_a ? a.dim(-2) : a.dim(-1);
    return p;
  }
  bool empty() const { return batch * m * n == 0 || k == 0; }
  // Of the axes along which the operands and the output are contiguous.
  int64_t contiguous_a() const { return transpose_a ? m : k; }
  int64_t contiguous_b() const { return transpose_b ? k : n; }
};

}  // namespace aludel::cuda
