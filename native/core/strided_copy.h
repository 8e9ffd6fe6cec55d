// What the movement ops have in common: each is one copy (concat: one for each input) of dimensions with a stride on either side. Backends
// say how a copy is carried out. Operands have passed the ops' checks.
#pragma once
#include "native/core/kernel.h"

namespace aludel {

// Strides in elements; 0 repeats, negative reverses.
struct StridedCopy {
  const char* src;
  char* dst;
  int64_t element_bytes;
  int rank;
  int64_t dims[kMaxRank], src_strides[kMaxRank], dst_strides[kMaxRank];
};

// Drops dimensions of size 1 and merges neighbours that both sides walk as one.
void collapse_copy(StridedCopy* copy);

// Row-major strides of a tensor.
void dense_strides(const TensorRef& t, int64_t* strides);

StridedCopy copy_of(const KernelArgs& args);
StridedCopy transpose_of(const KernelArgs& args);
StridedCopy broadcast_of(const KernelArgs& args);
StridedCopy slice_of(const KernelArgs& args);
StridedCopy reverse_of(const KernelArgs& args);
// Of what lies between the zeros.
StridedCopy pad_of(const KernelArgs& args);
// Of input i, which begins at `offset` on the output's axis; moves `offset` behind it.
StridedCopy concat_of(const KernelArgs& args, int i, int64_t* offset);

}  // namespace aludel
