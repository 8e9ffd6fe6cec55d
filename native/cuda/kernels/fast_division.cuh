// Division by a number that is known at launch: a multiplication and a shift instead of some twenty instructions.
#pragma once
#include <cstdint>

#include "native/cuda/launch.cuh"

namespace aludel::cuda {

// n / divisor for 0 <= n < 2^31 and 1 <= divisor < 2^31. Made on the host, handed to kernels by value.
class FastDivision {
 public:
  explicit FastDivision(uint32_t divisor) : divisor_(divisor) {
    while ((uint64_t{1} << shift_) < divisor) ++shift_;
    // ceil(2^(32 + shift) / divisor) - 2^32: with n below 2^31 the sum in quotient() does not overflow.
    multiplier_ = static_cast<uint32_t>(((uint64_t{1} << 32) * ((uint64_t{1} << shift_) - divisor)) / divisor + 1);
  }

  __device__ __forceinline__ uint32_t quotient(uint32_t n) const { return (__umulhi(n, multiplier_) + n) >> shift_; }
  __device__ __forceinline__ uint32_t divisor() const { return divisor_; }

 private:
  uint32_t divisor_, multiplier_, shift_ = 0;
};

}  // namespace aludel::cuda
