// Padding in one pass over the output: an element is one of the input, or zero.
#pragma once
#include "native/cuda/kernels/division.cuh"
#include "native/cuda/kernels/strided_copy.h"

namespace aludel::cuda {

constexpr int kPadThreads = 256;
constexpr int kPadElements = 4;  // of a thread, on their way together

struct PadPlan {
  const char* x;
  char* y;
  int64_t element_bytes;
  int rank = 0;
  int64_t y_size[kMaxRank], x_size[kMaxRank], before[kMaxRank], step[kMaxRank];  // step = interior zeros + 1
};

// An axis without padding joins the one outside it, as long as that one has no zeros in between; then pairs of elements join.
inline PadPlan pad_plan(const TensorRef& x, const TensorRef& y, const double* attrs) {
  PadPlan plan;
  plan.x = x.as<const char>();
  plan.y = y.as<char>();
  plan.element_bytes = size_of(y.dtype);
  for (int d = 0; d < y.rank; ++d) {
    const int64_t before = static_cast<int64_t>(attrs[d]), step = x.dims[d] <= 1 ? 1 : static_cast<int64_t>(attrs[y.rank + d]) + 1;
    const int outer = plan.rank - 1;
    if (plan.rank > 0 && y.dims[d] == x.dims[d] && plan.step[outer] == 1) {
      plan.y_size[outer] *= y.dims[d];
      plan.x_size[outer] *= y.dims[d];
      plan.before[outer] *= y.dims[d];
    } else {
      plan.y_size[plan.rank] = y.dims[d];
      plan.x_size[plan.rank] = x.dims[d];
      plan.before[plan.rank] = before;
      plan.step[plan.rank++] = step;
    }
  }
  if (plan.rank == 0) {
    plan.rank = 1;
    plan.y_size[0] = plan.x_size[0] = plan.step[0] = 1;
    plan.before[0] = 0;
  }
  const int last = plan.rank - 1;
  while (plan.element_bytes < 16 && plan.step[last] == 1 && plan.y_size[last] % 2 == 0 && plan.x_size[last] % 2 == 0 &&
         plan.before[last] % 2 == 0 && aligned_to(plan.x, 2 * plan.element_bytes) && aligned_to(plan.y, 2 * plan.element_bytes)) {
    plan.element_bytes *= 2;
    plan.y_size[last] /= 2;
    plan.x_size[last] /= 2;
    plan.before[last] /= 2;
  }
  return plan;
}

template <typename I>
struct PadAxis {
  Division<I> size{1}, step{1};
  I before = 0, x_size = 0;
  int64_t x_stride = 0;
};
template <typename I>
struct PadAxes {
  PadAxis<I> axis[kMaxRank];
  int rank = 0;

  // Where element i of the output comes from; -1: a zero.
  __device__ __forceinline__ int64_t source(I i) const {
    int64_t offset = 0;
    bool inside = true;
    for (int d = rank - 1; d >= 0; --d) {
      const PadAxis<I>& a = axis[d];
      const I rest = a.size.quotient(i), at = i - rest * a.size.divisor(), behind = at < a.before ? 0 : at - a.before;
      const I position = a.step.quotient(behind);
      inside = inside && at >= a.before && position * a.step.divisor() == behind && position < a.x_size;
      offset += static_cast<int64_t>(position) * a.x_stride;
      i = rest;
    }
    return inside ? offset : -1;
  }
};

template <typename U, typename I>
__global__ void __launch_bounds__(kPadThreads) pad_elements(Guard guard, const U* x, U* y, I n, const __grid_constant__ PadAxes<I> axes) {
  if (guard.stopped()) return;
  constexpr I tile = kPadThreads * kPadElements;
  for (I begin = blockIdx.x * tile; begin < n; begin += gridDim.x * tile) {
    U value[kPadElements];
#pragma unroll
    for (int e = 0; e < kPadElements; ++e) {
      const I i = begin + static_cast<I>(e * kPadThreads) + threadIdx.x;
      const int64_t from = i < n ? axes.source(i) : -1;
      value[e] = from < 0 ? U{} : x[from];
    }
#pragma unroll
    for (int e = 0; e < kPadElements; ++e) {
      const I i = begin + static_cast<I>(e * kPadThreads) + threadIdx.x;
      if (i < n) y[i] = value[e];
    }
  }
}

template <typename U, typename I>
Status launch_pad_of(const PadPlan& plan, int64_t n, const Context& context) {
  PadAxes<I> axes;
  axes.rank = plan.rank;
  int64_t stride = 1;
  for (int d = plan.rank - 1; d >= 0; --d) {
    axes.axis[d] = {Division<I>(static_cast<I>(plan.y_size[d])), Division<I>(static_cast<I>(plan.step[d])), static_cast<I>(plan.before[d]),
                    static_cast<I>(plan.x_size[d]), stride};
    stride *= plan.x_size[d];
  }
  return launched(context, pad_elements<U, I>, grid_for(n, kPadThreads, *context.device, kPadElements), kPadThreads, 0,
                  reinterpret_cast<const U*>(plan.x), reinterpret_cast<U*>(plan.y), static_cast<I>(n), axes);
}

template <typename I>
Status launch_pad_by(const PadPlan& plan, int64_t n, const Context& context) {
  switch (plan.element_bytes) {
    case 1:
      return launch_pad_of<uint8_t, I>(plan, n, context);
    case 2:
      return launch_pad_of<uint16_t, I>(plan, n, context);
    case 4:
      return launch_pad_of<uint32_t, I>(plan, n, context);
    case 8:
      return launch_pad_of<uint2, I>(plan, n, context);
    default:
      return launch_pad_of<uint4, I>(plan, n, context);
  }
}

}  // namespace aludel::cuda
