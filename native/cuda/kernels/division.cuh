// Indices of 32 bits where a tensor allows it, with the division that fits them: kernels over any number of elements are compiled for both.
#pragma once
#include "native/cuda/kernels/fast_division.cuh"

namespace aludel::cuda {

// The same interface for what FastDivision cannot hold.
class WideDivision {
 public:
  explicit WideDivision(uint64_t divisor) : divisor_(divisor) {}
  __device__ __forceinline__ uint64_t quotient(uint64_t n) const { return n / divisor_; }
  __device__ __forceinline__ uint64_t divisor() const { return divisor_; }

 private:
  uint64_t divisor_;
};

template <typename I>
struct DivisionOf;
template <>
struct DivisionOf<uint32_t> {
  using type = FastDivision;
};
template <>
struct DivisionOf<uint64_t> {
  using type = WideDivision;
};
template <typename I>
using Division = typename DivisionOf<I>::type;

// Grid-stride loops add a grid's worth to an index below this, and FastDivision wants numerators below 2^31.
constexpr int64_t kNarrowElements = int64_t{1} << 31;

}  // namespace aludel::cuda
