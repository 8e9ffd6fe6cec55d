// Winograd convolution and its input gradient: V = B^T d B, 36 products M = V U, y = A^T M A.
#pragma once
#include "native/cpu/kernels/conv_winograd.h"

namespace aludel::cpu::ALUDEL_ISA {

int64_t winograd_scratch_bytes(const ConvGeometry& geometry, ConvRole role);

// in: x (forward) or dy (input gradient); out: y or dx; weights raw or prepared, as the geometry says; bias may be null.
void run_winograd(const ConvGeometry& geometry, ConvRole role, const float* in, const float* weights, const float* bias, float* out,
                  Exec& exec);

}  // namespace aludel::cpu::ALUDEL_ISA
