// What the lanes of a warp do in shuffles, votes and matches.
#include <bit>

#include "cuda_host/warp.h"

namespace cuda_host {
namespace {

// Calls f(lane) for every set bit.
template <class F>
void for_lanes(unsigned mask, F f) {
  for (; mask; mask &= mask - 1) f(std::countr_zero(mask));
}

// A source outside the mask or exited is undefined in CUDA; here all bits are set, which is a NaN.
void shuffle_lanes(void* const* operands, unsigned mask) {
  const auto lanes = reinterpret_cast<ShuffleOperand* const*>(operands);
  for_lanes(mask, [&](int i) { lanes[i]->result = mask >> lanes[i]->source & 1 ? lanes[lanes[i]->source]->value : ~uint64_t{0}; });
}

void vote_lanes(void* const* operands, unsigned mask) {
  const auto lanes = reinterpret_cast<VoteOperand* const*>(operands);
  unsigned result = 0;
  for_lanes(mask, [&](int i) { result |= static_cast<unsigned>(lanes[i]->value) << i; });
  for_lanes(mask, [&](int i) { lanes[i]->result = result; });
}

void match_lanes(void* const* operands, unsigned mask) {
  const auto lanes = reinterpret_cast<VoteOperand* const*>(operands);
  for_lanes(mask, [&](int i) {
    lanes[i]->result = 0;
    for_lanes(mask, [&](int j) { lanes[i]->result |= static_cast<unsigned>(lanes[j]->value == lanes[i]->value) << j; });
  });
}

}  // namespace

const Operation sync_warp_operation{"__syncwarp", [](void* const*, unsigned) {}, true};
const Operation shuffle_operation{"__shfl_sync", shuffle_lanes, false};
const Operation vote_operation{"a warp vote", vote_lanes, false};
const Operation match_operation{"__match_any_sync", match_lanes, false};

}  // namespace cuda_host
