// The copy of the movement ops, on the device.
#pragma once
#include "native/core/strided_copy.h"
#include "native/cuda/kernels/launching.h"

namespace aludel::cuda {

// Puts the copy on the stream; nothing where a dimension is 0.
Status launch_strided_copy(StridedCopy copy, const Context& context);

inline bool aligned_to(const void* p, int64_t bytes) { return reinterpret_cast<uintptr_t>(p) % static_cast<uintptr_t>(bytes) == 0; }

}  // namespace aludel::cuda
