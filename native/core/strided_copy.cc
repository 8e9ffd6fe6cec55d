#include "native/core/strided_copy.h"

namespace aludel {
namespace {

// Walks the elements of `shape`, x to y; strides as if both were dense and of that shape.
StridedCopy copy_over(const TensorRef& shape, const TensorRef& x, const TensorRef& y) {
  StridedCopy copy = {};
  copy.src = x.as<const char>();
  copy.dst = y.as<char>();
  copy.element_bytes = size_of(y.dtype);
  copy.rank = shape.rank;
  for (int d = 0; d < shape.rank; ++d) copy.dims[d] = shape.dims[d];
  dense_strides(shape, copy.src_strides);
  dense_strides(shape, copy.dst_strides);
  return copy;
}

}  // namespace

void collapse_copy(StridedCopy* copy) {
  int n = 0;
  for (int d = 0; d < copy->rank; ++d) {
    if (copy->dims[d] == 1) continue;
    const bool merges = n > 0 && copy->src_strides[n - 1] == copy->src_strides[d] * copy->dims[d] &&
                        copy->dst_strides[n - 1] == copy->dst_strides[d] * copy->dims[d];
    const int to = merges ? n - 1 : n++;
    copy->dims[to] = merges ? copy->dims[to] * copy->dims[d] : copy->dims[d];
    copy->src_strides[to] = copy->src_strides[d];
    copy->dst_strides[to] = copy->dst_strides[d];
  }
  if (n == 0) {
    copy->dims[0] = copy->src_strides[0] = copy->dst_strides[0] = 1;
    n = 1;
  }
  copy->rank = n;
}

void dense_strides(const TensorRef& t, int64_t* strides) {
  int64_t stride = 1;
  for (int d = t.rank - 1; d >= 0; --d) {
    strides[d] = stride;
    stride *= t.dims[d];
  }
}

StridedCopy copy_of(const KernelArgs& args) {
  StridedCopy copy = copy_over(args.out[0], args.in[0], args.out[0]);
  copy.rank = 1;
  copy.dims[0] = args.out[0].numel();
  copy.src_strides[0] = copy.dst_strides[0] = 1;
  return copy;
}

StridedCopy transpose_of(const KernelArgs& args) {
  const TensorRef &x = args.in[0], &y = args.out[0];
  StridedCopy copy = copy_over(y, x, y);
  int64_t strides[kMaxRank] = {};
  dense_strides(x, strides);
  for (int d = 0; d < y.rank; ++d) copy.src_strides[d] = strides[static_cast<int>(args.attrs[d])];
  return copy;
}

StridedCopy broadcast_of(const KernelArgs& args) {
  const TensorRef &x = args.in[0], &y = args.out[0];
  StridedCopy copy = copy_over(y, x, y);
  int64_t strides[kMaxRank] = {};
  dense_strides(x, strides);
  const int lead = y.rank - x.rank;
  for (int d = 0; d < y.rank; ++d) copy.src_strides[d] = d < lead || x.dims[d - lead] == 1 ? 0 : strides[d - lead];
  return copy;
}

StridedCopy slice_of(const KernelArgs& args) {
  const TensorRef &x = args.in[0], &y = args.out[0];
  StridedCopy copy = copy_over(y, x, y);
  if (y.numel() == 0) return copy;
  int64_t strides[kMaxRank] = {}, offset = 0;
  dense_strides(x, strides);
  for (int d = 0; d < y.rank; ++d) {
    offset += static_cast<int64_t>(args.attrs[d]) * strides[d];
    copy.src_strides[d] = static_cast<int64_t>(args.attrs[y.rank + d]) * strides[d];
  }
  copy.src += offset * copy.element_bytes;
  return copy;
}

StridedCopy reverse_of(const KernelArgs& args) {
  const TensorRef &x = args.in[0], &y = args.out[0];
  StridedCopy copy = copy_over(y, x, y);
  if (y.numel() == 0) return copy;
  int64_t offset = 0;
  for (int i = 0; i < args.nattrs; ++i) {
    const int axis = static_cast<int>(args.attrs[i]);
    offset += (x.dims[axis] - 1) * copy.src_strides[axis];
    copy.src_strides[axis] = -copy.src_strides[axis];
  }
  copy.src += offset * copy.element_bytes;
  return copy;
}

StridedCopy pad_of(const KernelArgs& args) {
  const TensorRef &x = args.in[0], &y = args.out[0];
  StridedCopy copy = copy_over(x, x, y);
  if (x.numel() == 0) return copy;
  int64_t strides[kMaxRank] = {}, offset = 0;
  dense_strides(y, strides);
  for (int d = 0; d < x.rank; ++d) {
    offset += static_cast<int64_t>(args.attrs[d]) * strides[d];
    copy.dst_strides[d] = (static_cast<int64_t>(args.attrs[x.rank + d]) + 1) * strides[d];
  }
  copy.dst += offset * copy.element_bytes;
  return copy;
}

StridedCopy concat_of(const KernelArgs& args, int i, int64_t* offset) {
  const TensorRef &x = args.in[i], &y = args.out[0];
  const int axis = static_cast<int>(args.attrs[0]);
  StridedCopy copy = copy_over(x, x, y);
  dense_strides(y, copy.dst_strides);
  copy.dst += *offset * copy.dst_strides[axis] * copy.element_bytes;
  *offset += x.dims[axis];
  return copy;
}

}  // namespace aludel
