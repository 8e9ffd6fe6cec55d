// Winograd convolution of few input channels, such as images: all 36 points of a tile are products of a few terms, so they go from
// registers straight into the output transform and M is never written to memory.
#pragma once
#include "native/cpu/kernels/conv_winograd.h"

namespace aludel::cpu::ALUDEL_ISA {

constexpr int64_t kFewChannels = 4;  // what one vector of V holds

int64_t few_channels_scratch_bytes(const ConvGeometry& geometry, ConvRole role);

// As run_winograd, for at most kFewChannels channels of `in`.
void run_few_channels(const ConvGeometry& geometry, ConvRole role, const float* in, const float* weights, const float* bias, float* out,
                      Exec& exec);

}  // namespace aludel::cpu::ALUDEL_ISA
