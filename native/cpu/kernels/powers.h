// Whole powers of vectors and the sums of their lanes: what the sums over channels and over positions are made of.
#pragma once
#include "native/cpu/kernels/channels.h"

namespace aludel::cpu::ALUDEL_ISA {

constexpr int kMaxPower = 4;
constexpr int64_t kPowerRun = 64;  // positions, or vectors of channels, that are summed in float32

template <int P>
ALUDEL_INLINE vf power(vf v) {
  const vf square = v * v;
  if (P == 1) return v;
  if (P == 2) return square;
  return P == 3 ? square * v : square * square;
}

// Sum of the lanes in a fixed tree.
ALUDEL_INLINE float lane_total(vf v) {
  float lanes[VW];
  store(lanes, v);
  for (int half = VW / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}

// The same of VW vectors, in the same order.
ALUDEL_INLINE vf lane_totals(vf* block) {
  transpose(block);
#pragma GCC unroll 8
  for (int half = VW / 2; half > 0; half /= 2)
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) block[i] += block[i + half];
  return block[0];
}

}  // namespace aludel::cpu::ALUDEL_ISA
