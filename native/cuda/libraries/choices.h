// Which products and convolutions a library computes instead of the own kernels: committed data, measured once by bench/cuda-libraries.mjs,
// so that a program is the same whatever runs beside it.
#pragma once
#include "native/cuda/libraries/convolution.h"
#include "native/cuda/libraries/product.h"

namespace aludel::cuda {

// Products of one kind and about one size: each axis rounded up to a power of two.
struct ProductChoice {
  int architecture;  // 90
  Precision precision;
  int log2_batch, log2_m, log2_n, log2_k;
  bool transpose_a, transpose_b;
  bool vectors;  // m, n and k are multiples of four

  bool operator==(const ProductChoice&) const = default;
};

// Convolutions of one kind and about one size.
struct ConvolutionChoice {
  int architecture;
  Precision precision;
  Convolution::Pass pass;
  int kernel_height, kernel_width, stride_height, stride_width;
  int log2_groups, log2_positions, log2_channels, log2_filters;  // positions: of the output, in a group
  bool vectors;                                                  // channels and filters are multiples of four

  bool operator==(const ConvolutionChoice&) const = default;
};

bool is_chosen(const DeviceInfo& device, const Product& product);
bool is_chosen(const DeviceInfo& device, const Convolution& convolution);

}  // namespace aludel::cuda
