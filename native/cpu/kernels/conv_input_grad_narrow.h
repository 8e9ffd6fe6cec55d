// Direct input gradient into few channels (images): P = dy W for every tap and channel at once, then each pixel of dx sums its taps of P.
#pragma once
#include "native/cpu/kernels/conv_prepare.h"

namespace aludel::cpu::ALUDEL_ISA {

int64_t narrow_input_grad_scratch_bytes(const ConvGeometry& geometry);

// Any stride and padding; channels up to kNarrowChannels; weights raw or prepared, as the geometry says.
void run_narrow_input_grad(const ConvGeometry& geometry, const float* dy, const float* weights, float* dx, Exec& exec);

}  // namespace aludel::cpu::ALUDEL_ISA
