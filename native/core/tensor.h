// A view of one value: dtype, fixed-rank shape, and where it lies. Always dense, row-major.
#pragma once
#include <cstdint>

// Kernel units are compiled once per instruction set. An inline function that the compiler does not inline becomes a weak symbol,
// and the linker may then pick the AVX-512 copy for everybody: everything those units see from headers is forced inline.
#define ALUDEL_INLINE inline __attribute__((always_inline))

namespace aludel {

enum class DType : uint8_t { f32 = 0, f64 = 1, i32 = 2, u32 = 3, u8 = 4 };

ALUDEL_INLINE int64_t size_of(DType dtype) { return dtype == DType::f64 ? 8 : dtype == DType::u8 ? 1 : 4; }

constexpr int kMaxRank = 8;

struct TensorRef {
  DType dtype;
  int32_t rank;
  int64_t dims[kMaxRank];
  void* data;

  ALUDEL_INLINE int64_t numel() const {
    int64_t n = 1;
    for (int i = 0; i < rank; ++i) n *= dims[i];
    return n;
  }
  ALUDEL_INLINE int64_t bytes() const { return numel() * size_of(dtype); }
  ALUDEL_INLINE int64_t dim(int i) const { return dims[i < 0 ? i + rank : i]; }  // negative counts from the end
  template <typename T>
  ALUDEL_INLINE T* as() const {
    return static_cast<T*>(data);
  }
};

}  // namespace aludel
