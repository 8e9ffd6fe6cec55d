// One number as another dtype.
#pragma once
#include <cstdint>
#include <type_traits>

#include "native/cuda/launch.cuh"

namespace aludel::cuda {

template <typename D>
struct IntegerRange;
template <>
struct IntegerRange<int32_t> {
  static constexpr double low = -2147483648.0, high = 2147483647.0;
};
template <>
struct IntegerRange<uint32_t> {
  static constexpr double low = 0.0, high = 4294967295.0;
};
template <>
struct IntegerRange<uint8_t> {
  static constexpr double low = 0.0, high = 255.0;
};

// Integers are truncated; what does not fit stops at the ends of their range, and NaN becomes 0. Float64 holds every 32-bit integer.
template <typename D, typename S>
__device__ __forceinline__ D converted(S x) {
  if constexpr (std::is_floating_point_v<D>) {
    return static_cast<D>(x);
  } else {
    constexpr double low = IntegerRange<D>::low, high = IntegerRange<D>::high;
    const double v = static_cast<double>(x);
    return v != v ? D{0} : static_cast<D>(v < low ? low : v > high ? high : v);
  }
}

}  // namespace aludel::cuda
