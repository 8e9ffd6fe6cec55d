// Which products a library computes instead of the own kernels: committed data, measured once by bench/cuda-libraries.mjs, so that a
// program is the same whatever runs beside it.
#pragma once
#include "native/cuda/libraries/product.h"

namespace aludel::cuda {

// Products of one kind and about one size: each axis rounded up to a power of two.
struct Choice {
  int architecture;  // 90
  Precision precision;
  int log2_batch, log2_m, log2_n, log2_k;
  bool transpose_a, transpose_b;
  bool vectors;  // m, n and k are multiples of four
};

bool is_chosen(const DeviceInfo& device, const Product& product);

}  // namespace aludel::cuda
