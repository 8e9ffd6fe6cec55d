// One copy for the movement ops: dimensions with a stride on each side, in elements; 0 repeats, negative reverses.
#pragma once
#include "native/cuda/kernels/launching.h"

namespace aludel::cuda {

struct StridedCopy {
  const char* src;
  char* dst;
  int64_t element_bytes;
  int rank;
  int64_t dims[kMaxRank], src_strides[kMaxRank], dst_strides[kMaxRank];
};

// Puts the copy on the stream; nothing where a dimension is 0.
Status launch_strided_copy(StridedCopy copy, const Context& context);

// Row-major strides of a tensor, in elements.
inline void dense_strides(const TensorRef& t, int64_t* strides) {
  int64_t stride = 1;
  for (int d = t.rank - 1; d >= 0; --d) {
    strides[d] = stride;
    stride *= t.dims[d];
  }
}

inline bool aligned_to(const void* p, int64_t bytes) { return reinterpret_cast<uintptr_t>(p) % static_cast<uintptr_t>(bytes) == 0; }

}  // namespace aludel::cuda
