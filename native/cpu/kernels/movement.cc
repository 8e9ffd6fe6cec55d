// Ops that only move elements: all are one strided copy, except for iota. Every element of the output is written exactly once
// (pad: zeros first, then the copy).
#include "native/cpu/kernels/strided_copy.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

// Arity and equal dtypes; nattrs is a number per dimension of x when `per_dimension` is set.
Status check_move(const char* op, const KernelArgs& args, int per_dimension) {
  if (args.nin < 1) return wrong(op, "one input");
  int nattrs = per_dimension < 0 ? args.nattrs : per_dimension * args.in[0].rank;
  ALUDEL_RETURN_IF_ERROR(check_arity(op, args, 1, 1, nattrs));
  return args.in[0].dtype == args.out[0].dtype ? Status{} : wrong(op, "an output of the input's dtype");
}

// ---- reshape, copy --------------------------------------------------------------------------------------------------------------

Status check_reshape(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_move("reshape", args, 0));
  return args.in[0].numel() == args.out[0].numel() ? Status{} : wrong("reshape", "as many elements out as in");
}
Status check_copy(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_move("copy", args, 0));
  return same_shape(args.in[0], args.out[0]) ? Status{} : wrong("copy", "an output of the input's shape");
}
Status run_copy(const KernelArgs& args, Exec& exec) {
  if (args.in[0].data != args.out[0].data) strided_copy(copy_of(args), exec);
  return {};
}

// ---- transpose, broadcast, slice, reverse: strides on the source ------------------------------------------------------------------

Status check_transpose(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_move("transpose", args, 1));
  const TensorRef &x = args.in[0], &y = args.out[0];
  if (x.rank != y.rank) return wrong("transpose", "an output of the input's rank");
  bool seen[kMaxRank] = {};
  for (int d = 0; d < x.rank; ++d) {
    int64_t p;
    if (!integer_attr(args.attrs[d], 0, x.rank - 1, &p) || seen[p]) return wrong("transpose", "a permutation of the axes");
    seen[p] = true;
    if (y.dims[d] != x.dims[p]) return wrong("transpose", "output dimensions in the order of the permutation");
  }
  return {};
}
Status run_transpose(const KernelArgs& args, Exec& exec) {
  strided_copy(transpose_of(args), exec);
  return {};
}

Status check_broadcast(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_move("broadcast", args, 0));
  const TensorRef &x = args.in[0], &y = args.out[0];
  if (x.rank > y.rank) return wrong("broadcast", "an output of at least the input's rank");
  for (int d = 0; d < x.rank; ++d)
    if (x.dims[d] != 1 && x.dims[d] != y.dims[y.rank - x.rank + d])
      return wrong("broadcast", "input dimensions of 1 or of the output's size");
  return {};
}
Status run_broadcast(const KernelArgs& args, Exec& exec) {
  strided_copy(broadcast_of(args), exec);
  return {};
}

Status check_slice(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_move("slice", args, 2));
  const TensorRef &x = args.in[0], &y = args.out[0];
  if (x.rank != y.rank) return wrong("slice", "an output of the input's rank");
  for (int d = 0; d < x.rank; ++d) {
    int64_t start, step, last;
    if (!integer_attr(args.attrs[d], 0, kMaxElements, &start) || !integer_attr(args.attrs[x.rank + d], 1, kMaxElements, &step))
      return wrong("slice", "starts of 0 or more and positive steps");
    if (y.dims[d] == 0) continue;
    if (__builtin_mul_overflow(y.dims[d] - 1, step, &last) || __builtin_add_overflow(last, start, &last) || last >= x.dims[d])
      return fail(Code::invalid_program, "slice: axis %d reads past its %lld elements", d, static_cast<long long>(x.dims[d]));
  }
  return {};
}
Status run_slice(const KernelArgs& args, Exec& exec) {
  strided_copy(slice_of(args), exec);
  return {};
}

Status check_reverse(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_move("reverse", args, -1));
  if (!same_shape(args.in[0], args.out[0])) return wrong("reverse", "an output of the input's shape");
  int64_t previous = -1;
  for (int i = 0; i < args.nattrs; ++i)
    if (!integer_attr(args.attrs[i], previous + 1, args.in[0].rank - 1, &previous)) return wrong("reverse", "ascending axes of the input");
  return {};
}
Status run_reverse(const KernelArgs& args, Exec& exec) {
  strided_copy(reverse_of(args), exec);
  return {};
}

// ---- pad, concat: strides on the destination ------------------------------------------------------------------------------------

Status check_pad(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_move("pad", args, 2));
  const TensorRef &x = args.in[0], &y = args.out[0];
  if (x.rank != y.rank) return wrong("pad", "an output of the input's rank");
  for (int d = 0; d < x.rank; ++d) {
    int64_t before, interior, last;
    if (!integer_attr(args.attrs[d], 0, kMaxElements, &before) || !integer_attr(args.attrs[x.rank + d], 0, kMaxElements, &interior))
      return wrong("pad", "paddings of 0 or more");
    if (x.dims[d] == 0) continue;
    if (__builtin_mul_overflow(x.dims[d] - 1, interior + 1, &last) || __builtin_add_overflow(last, before, &last) || last >= y.dims[d])
      return fail(Code::invalid_program, "pad: axis %d writes past its %lld elements", d, static_cast<long long>(y.dims[d]));
  }
  return {};
}
Status run_pad(const KernelArgs& args, Exec& exec) {
  const TensorRef& y = args.out[0];
  parallel_ranges(exec, y.bytes(), 4 * kCopyGrain,
                  [&](int64_t begin, int64_t end, void*) { memset(y.as<char>() + begin, 0, static_cast<size_t>(end - begin)); });
  strided_copy(pad_of(args), exec);
  return {};
}

Status check_concat(const KernelArgs& args) {
  if (args.nin < 1) return wrong("concat", "at least one input");
  ALUDEL_RETURN_IF_ERROR(check_arity("concat", args, args.nin, 1, 1));
  const TensorRef& y = args.out[0];
  int64_t axis, total = 0;
  if (!integer_attr(args.attrs[0], 0, y.rank - 1, &axis)) return wrong("concat", "an axis of the output");
  for (int i = 0; i < args.nin; ++i) {
    const TensorRef& x = args.in[i];
    if (x.dtype != y.dtype || x.rank != y.rank) return wrong("concat", "inputs of the output's dtype and rank");
    for (int d = 0; d < y.rank; ++d)
      if (d != axis && x.dims[d] != y.dims[d])
        return fail(Code::invalid_program, "concat: input %d differs from the output in axis %d", i, d);
    total += x.dims[axis];
  }
  return total == y.dims[axis] ? Status{} : wrong("concat", "sizes that add up to the output's along the axis");
}
Status run_concat(const KernelArgs& args, Exec& exec) {
  int64_t offset = 0;
  for (int i = 0; i < args.nin; ++i) strided_copy(concat_of(args, i, &offset), exec);
  return {};
}

// ---- iota -----------------------------------------------------------------------------------------------------------------------

Status check_iota(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_arity("iota", args, 0, 1, 1));
  const TensorRef& y = args.out[0];
  int64_t axis;
  if (y.dtype != DType::i32) return wrong("iota", "an i32 output");
  if (!integer_attr(args.attrs[0], 0, y.rank - 1, &axis)) return wrong("iota", "an axis of the output");
  return y.dims[axis] <= INT32_MAX ? Status{} : wrong("iota", "an axis that i32 can count");
}
Status run_iota(const KernelArgs& args, Exec& exec) {
  const TensorRef& y = args.out[0];
  int axis = static_cast<int>(args.attrs[0]);
  int64_t inner = 1, size = y.dims[axis];
  for (int d = axis + 1; d < y.rank; ++d) inner *= y.dims[d];
  parallel_ranges(exec, y.numel(), kCopyGrain, [&](int64_t begin, int64_t end, void*) {
    for (int64_t i = begin; i < end; ++i) y.as<int32_t>()[i] = static_cast<int32_t>(i / inner % size);
  });
  return {};
}

}  // namespace

#define ALUDEL_MOVEMENT_KERNEL(op, run) \
  extern const Kernel kernel_##op;      \
  const Kernel kernel_##op = {check_##op, nullptr, run};

ALUDEL_MOVEMENT_KERNEL(reshape, run_copy)
ALUDEL_MOVEMENT_KERNEL(copy, run_copy)
ALUDEL_MOVEMENT_KERNEL(transpose, run_transpose)
ALUDEL_MOVEMENT_KERNEL(broadcast, run_broadcast)
ALUDEL_MOVEMENT_KERNEL(slice, run_slice)
ALUDEL_MOVEMENT_KERNEL(reverse, run_reverse)
ALUDEL_MOVEMENT_KERNEL(pad, run_pad)
ALUDEL_MOVEMENT_KERNEL(concat, run_concat)
ALUDEL_MOVEMENT_KERNEL(iota, run_iota)

}  // namespace aludel::cpu::ALUDEL_ISA
