// Direct convolution and its input gradient as one indirect matrix product: every output pixel names one row of `in` per tap.
#pragma once
#include "native/cpu/kernels/conv_prepare.h"

namespace aludel::cpu::ALUDEL_ISA {

int64_t direct_scratch_bytes(const ConvGeometry& geometry, ConvRole role);

// in: x (forward) or dy (input gradient); out: y or dx; weights raw or prepared, as the geometry says; bias may be null.
void run_direct(const ConvGeometry& geometry, ConvRole role, const float* in, const float* weights, const float* bias, float* out,
                Exec& exec);

}  // namespace aludel::cpu::ALUDEL_ISA
