// __syncwarp, shuffles, votes, matches and reductions of a warp.
#pragma once
#include <bit>
#include <cstring>
#include <type_traits>

#include "cuda_host/execution.h"

namespace cuda_host {

extern const Operation sync_warp_operation, shuffle_operation, vote_operation, match_operation;

struct ShuffleOperand {
  uint64_t value, result;
  int source;
};
struct VoteOperand {
  uint64_t value;
  unsigned result;
};

template <class T>
T shuffle(unsigned mask, T value, int source, Location place) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  ShuffleOperand operand{0, 0, source};
  std::memcpy(&operand.value, &value, sizeof value);
  collective(shuffle_operation, mask, &operand, place);
  std::memcpy(&value, &operand.result, sizeof value);
  return value;
}

inline unsigned vote(const Operation& operation, unsigned mask, uint64_t value, Location place) {
  VoteOperand operand{value, 0};
  collective(operation, mask, &operand, place);
  return operand.result;
}

template <class T, class F>
T reduce(unsigned mask, T value, F combine, Location place) {
  T all[32];
  for (unsigned left = mask; left; left &= left - 1) all[std::countr_zero(left)] = shuffle(mask, value, std::countr_zero(left), place);
  T result = all[std::countr_zero(mask)];
  for (unsigned left = mask & (mask - 1); left; left &= left - 1) result = combine(result, all[std::countr_zero(left)]);
  return result;
}

}  // namespace cuda_host

inline void __syncwarp(unsigned mask = ~0u, CUDA_HOST_PLACE) {
  cuda_host::collective(cuda_host::sync_warp_operation, mask, nullptr, place);
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, CUDA_HOST_PLACE) {
  return cuda_host::shuffle(mask, value, (cuda_host::lane() & -width) | (source & (width - 1)), place);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, CUDA_HOST_PLACE) {
  const int lane = cuda_host::lane(), d = static_cast<int>(delta);
  return cuda_host::shuffle(mask, value, (lane & (width - 1)) < d ? lane : lane - d, place);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, CUDA_HOST_PLACE) {
  const int lane = cuda_host::lane(), d = static_cast<int>(delta);
  return cuda_host::shuffle(mask, value, (lane & (width - 1)) + d >= width ? lane : lane + d, place);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, CUDA_HOST_PLACE) {
  const int lane = cuda_host::lane(), other = lane ^ bits;
  return cuda_host::shuffle(mask, value, other > (lane | (width - 1)) ? lane : other, place);
}

inline unsigned __ballot_sync(unsigned mask, int p, CUDA_HOST_PLACE) {
  return cuda_host::vote(cuda_host::vote_operation, mask, p != 0, place);
}
inline int __any_sync(unsigned mask, int p, CUDA_HOST_PLACE) { return __ballot_sync(mask, p, place) != 0; }
inline int __all_sync(unsigned mask, int p, CUDA_HOST_PLACE) { return __ballot_sync(mask, p == 0, place) == 0; }
template <class T>
unsigned __match_any_sync(unsigned mask, T value, CUDA_HOST_PLACE) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return cuda_host::vote(cuda_host::match_operation, mask, bits, place);
}

#define CUDA_HOST_REDUCE(name, expression)                                                                      \
  template <class T>                                                                                            \
  T name(unsigned mask, T value, CUDA_HOST_PLACE) {                                                             \
    static_assert(std::is_same_v<T, int> || std::is_same_v<T, unsigned>, "warp reductions are 32-bit integer"); \
    return cuda_host::reduce(                                                                                   \
        mask, value, [](T a, T b) { return static_cast<T>(expression); }, place);                               \
  }
CUDA_HOST_REDUCE(__reduce_add_sync, static_cast<unsigned>(a) + static_cast<unsigned>(b))
CUDA_HOST_REDUCE(__reduce_min_sync, a < b ? a : b)
CUDA_HOST_REDUCE(__reduce_max_sync, a > b ? a : b)
CUDA_HOST_REDUCE(__reduce_and_sync, a& b)
CUDA_HOST_REDUCE(__reduce_or_sync, a | b)
CUDA_HOST_REDUCE(__reduce_xor_sync, a ^ b)
#undef CUDA_HOST_REDUCE

// Any subset of the live lanes would be legal here: no logic may rest on it.
inline unsigned __activemask() { return cuda_host::live_lanes(); }
