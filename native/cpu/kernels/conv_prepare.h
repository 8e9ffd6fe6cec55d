// Weights in the order in which the register tiles read them. Direct: [block][tap][reduced][kBlock]; Winograd: [block][36][reduced][kBlock].
// Produced channels beyond the true count are zeros.
#pragma once
#include "native/cpu/kernels/conv_microkernel.h"

namespace aludel::cpu::ALUDEL_ISA {

// One group's weights [taps, channels, filters] and how they will be used.
struct WeightSource {
  const float* data;
  int64_t kernel_height, kernel_width, channels, filters;
  ConvRole role;

  ALUDEL_INLINE int64_t reduced() const { return role == ConvRole::forward ? channels : filters; }
  ALUDEL_INLINE int64_t produced() const { return role == ConvRole::forward ? filters : channels; }
};

// One block of produced channels: [tap][reduced][kBlock]. Taps keep their order; the input gradient mirrors its offsets instead.
void pack_direct_block(const WeightSource& source, int64_t block, float* panel);

// One block of U = G g G^T: [point][reduced][kBlock]. For the input gradient g is mirrored in both axes.
void pack_winograd_block(const WeightSource& source, int64_t block, float* panel);

}  // namespace aludel::cpu::ALUDEL_ISA
