// Weights in the order in which the register tiles read them. Direct: [block][tap][reduced][kBlock]; Winograd:
// [block][36][reduced][kBlock]. Produced channels beyond the true count are zeros. A direct input gradient into few channels takes all taps
// of a channel as produced channels (conv_input_grad_narrow.h): [block of tap * channels][reduced][kBlock], which is never larger.
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

// Up to this many channels of x, taps fill the vectors of a direct input gradient better than channels do. Independent of the vector
// width and of the stride, so that prepared weights mean the same to everybody.
constexpr int64_t kNarrowChannels = 8;

ALUDEL_INLINE bool narrow_input_grad(int64_t channels) { return channels <= kNarrowChannels; }

// The same weights [taps, channels, filters] seen as a 1x1 kernel of taps * channels channels.
ALUDEL_INLINE WeightSource taps_as_channels(const WeightSource& source) {
  return {source.data, 1, 1, source.kernel_height * source.kernel_width * source.channels, source.filters, source.role};
}

// One block of produced channels: [tap][reduced][kBlock]. Taps keep their order; the input gradient mirrors its offsets instead.
void pack_direct_block(const WeightSource& source, int64_t block, float* panel);

// One block of U = G g G^T: [point][reduced][kBlock]. For the input gradient g is mirrored in both axes.
void pack_winograd_block(const WeightSource& source, int64_t block, float* panel);

}  // namespace aludel::cpu::ALUDEL_ISA
