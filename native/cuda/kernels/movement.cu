// Ops that only move elements: all are one strided copy, except for pad (one pass with zeros) and iota.
#include "native/cuda/kernels/pad.cuh"
#include "native/cuda/kernels/strided_copy.h"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 256;

// ---- reshape, copy --------------------------------------------------------------------------------------------------------------

Status launch_copy(const KernelArgs& args, const Context& context) {
  return args.in[0].data == args.out[0].data ? Status{} : launch_strided_copy(copy_of(args), context);
}

// ---- transpose, broadcast, slice, reverse ---------------------------------------------------------------------------------------

Status launch_transpose(const KernelArgs& args, const Context& context) { return launch_strided_copy(transpose_of(args), context); }
Status launch_broadcast(const KernelArgs& args, const Context& context) { return launch_strided_copy(broadcast_of(args), context); }
Status launch_slice(const KernelArgs& args, const Context& context) { return launch_strided_copy(slice_of(args), context); }
Status launch_reverse(const KernelArgs& args, const Context& context) { return launch_strided_copy(reverse_of(args), context); }

// ---- pad, concat ----------------------------------------------------------------------------------------------------------------

Status launch_pad(const KernelArgs& args, const Context& context) {
  const TensorRef &x = args.in[0], &y = args.out[0];
  if (y.numel() == 0) return {};
  const PadPlan plan = pad_plan(x, y, args.attrs);
  const int64_t n = y.bytes() / plan.element_bytes;
  return n < kNarrowElements ? launch_pad_by<uint32_t>(plan, n, context) : launch_pad_by<uint64_t>(plan, n, context);
}

Status launch_concat(const KernelArgs& args, const Context& context) {
  int64_t offset = 0;
  for (int i = 0; i < args.nin; ++i) ALUDEL_RETURN_IF_ERROR(launch_strided_copy(concat_of(args, i, &offset), context));
  return {};
}

// ---- iota -----------------------------------------------------------------------------------------------------------------------

template <typename I>
__global__ void __launch_bounds__(kThreads) count_axis(Guard guard, int32_t* y, I n, Division<I> inner, Division<I> size) {
  if (guard.stopped()) return;
  const I stride = static_cast<I>(gridDim.x) * kThreads;
  for (I i = static_cast<I>(blockIdx.x) * kThreads + threadIdx.x; i < n; i += stride) {
    const I at = inner.quotient(i);
    y[i] = static_cast<int32_t>(at - size.quotient(at) * size.divisor());
  }
}

template <typename I>
Status launch_iota_by(const TensorRef& y, int64_t n, int64_t inner, int64_t size, const Context& context) {
  return launched(context, count_axis<I>, grid_for(n, kThreads, *context.device), kThreads, 0, y.as<int32_t>(), static_cast<I>(n),
                  Division<I>(static_cast<I>(inner)), Division<I>(static_cast<I>(size)));
}

Status launch_iota(const KernelArgs& args, const Context& context) {
  const TensorRef& y = args.out[0];
  const int64_t n = y.numel();
  if (n == 0) return {};
  const int axis = static_cast<int>(args.attrs[0]);
  int64_t inner = 1;
  for (int d = axis + 1; d < y.rank; ++d) inner *= y.dims[d];
  return n < kNarrowElements ? launch_iota_by<uint32_t>(y, n, inner, y.dims[axis], context)
                             : launch_iota_by<uint64_t>(y, n, inner, y.dims[axis], context);
}

}  // namespace

#define ALUDEL_MOVEMENT_KERNEL(op, launch) \
  extern const Kernel kernel_##op;         \
  const Kernel kernel_##op = {nullptr, launch};

ALUDEL_MOVEMENT_KERNEL(reshape, launch_copy)
ALUDEL_MOVEMENT_KERNEL(copy, launch_copy)
ALUDEL_MOVEMENT_KERNEL(transpose, launch_transpose)
ALUDEL_MOVEMENT_KERNEL(broadcast, launch_broadcast)
ALUDEL_MOVEMENT_KERNEL(slice, launch_slice)
ALUDEL_MOVEMENT_KERNEL(reverse, launch_reverse)
ALUDEL_MOVEMENT_KERNEL(pad, launch_pad)
ALUDEL_MOVEMENT_KERNEL(concat, launch_concat)
ALUDEL_MOVEMENT_KERNEL(iota, launch_iota)

}  // namespace aludel::cuda
