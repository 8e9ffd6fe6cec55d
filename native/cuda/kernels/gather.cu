// Rows by index: one_hot, gather. Indices are data: they are checked on the stream first, and a wrong one then reads nothing.
#include "native/cuda/kernels/division.cuh"
#include "native/cuda/kernels/strided_copy.h"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kPerThread = 4;

// ---- one_hot --------------------------------------------------------------------------------------------------------------------

// Four elements that lie together, which may be of several rows.
template <typename I>
__global__ void __launch_bounds__(kThreads) one_hot(Guard guard, const int32_t* index, float* y, I n, Division<I> classes, bool aligned) {
  if (guard.stopped()) return;
  const I stride = static_cast<I>(gridDim.x) * (4 * kThreads);
  for (I first = (static_cast<I>(blockIdx.x) * kThreads + threadIdx.x) * 4; first < n; first += stride) {
    I row = classes.quotient(first);
    int64_t column = static_cast<int64_t>(first - row * classes.divisor());
    int32_t hot = index[row];
    float v[4];
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      v[e] = column == hot ? 1.0f : 0.0f;
      if (++column == static_cast<int64_t>(classes.divisor()) && first + static_cast<I>(e) + 1 < n) {
        column = 0;
        hot = index[++row];
      }
    }
    if (aligned && first + 3 < n) {
      *reinterpret_cast<float4*>(y + first) = make_float4(v[0], v[1], v[2], v[3]);
    } else {
#pragma unroll
      for (int e = 0; e < 4; ++e)
        if (first + static_cast<I>(e) < n) y[first + static_cast<I>(e)] = v[e];
    }
  }
}

template <typename I>
Status launch_one_hot_by(const TensorRef& x, const TensorRef& y, const Context& context) {
  const int64_t n = y.numel();
  return launched(context, one_hot<I>, grid_for(n, kThreads, *context.device, 4), kThreads, 0, x.as<const int32_t>(), y.as<float>(),
                  static_cast<I>(n), Division<I>(static_cast<I>(y.dim(-1))), aligned_to(y.data, 16));
}

Status launch_one_hot(const KernelArgs& args, const Context& context) {
  const TensorRef &x = args.in[0], &y = args.out[0];
  ALUDEL_RETURN_IF_ERROR(check_indices(context, x, y.dim(-1)));
  if (y.numel() == 0) return {};
  return y.numel() < kNarrowElements ? launch_one_hot_by<uint32_t>(x, y, context) : launch_one_hot_by<uint64_t>(x, y, context);
}

// ---- gather ---------------------------------------------------------------------------------------------------------------------

// Rows as `width` words of the widest kind that both sides are aligned to.
template <typename U, typename I>
__global__ void __launch_bounds__(kThreads)
    gather_rows(Guard guard, const U* x, const int32_t* index, U* y, I n, Division<I> width, int64_t rows) {
  if (guard.stopped()) return;
  constexpr I tile = kThreads * kPerThread;
  for (I begin = blockIdx.x * tile; begin < n; begin += gridDim.x * tile) {
    U value[kPerThread];
#pragma unroll
    for (int e = 0; e < kPerThread; ++e) {
      const I i = begin + static_cast<I>(e * kThreads) + threadIdx.x;
      value[e] = U{};
      if (i >= n) continue;
      const I row = width.quotient(i);
      const int64_t from = index[row];
      if (from >= 0 && from < rows)
        value[e] = x[from * static_cast<int64_t>(width.divisor()) + static_cast<int64_t>(i - row * width.divisor())];
    }
#pragma unroll
    for (int e = 0; e < kPerThread; ++e) {
      const I i = begin + static_cast<I>(e * kThreads) + threadIdx.x;
      if (i < n) y[i] = value[e];
    }
  }
}

template <typename U, typename I>
Status launch_gather_of(const KernelArgs& args, int64_t width, const Context& context) {
  const TensorRef &x = args.in[0], &index = args.in[1], &y = args.out[0];
  const int64_t n = index.dims[0] * width;
  return launched(context, gather_rows<U, I>, grid_for(n, kThreads, *context.device, kPerThread), kThreads, 0, x.as<const U>(),
                  index.as<const int32_t>(), y.as<U>(), static_cast<I>(n), Division<I>(static_cast<I>(width)), x.dims[0]);
}
template <typename U>
Status launch_gather_by(const KernelArgs& args, int64_t bytes, const Context& context) {
  const int64_t width = bytes / static_cast<int64_t>(sizeof(U));
  return args.in[1].dims[0] * width < kNarrowElements ? launch_gather_of<U, uint32_t>(args, width, context)
                                                      : launch_gather_of<U, uint64_t>(args, width, context);
}

Status launch_gather(const KernelArgs& args, const Context& context) {
  const TensorRef &x = args.in[0], &index = args.in[1], &y = args.out[0];
  ALUDEL_RETURN_IF_ERROR(check_indices(context, index, x.dims[0]));
  if (y.numel() == 0) return {};
  const int64_t bytes = y.bytes() / y.dims[0];
  int64_t word = 16;
  while (bytes % word != 0 || !aligned_to(x.data, word) || !aligned_to(y.data, word)) word /= 2;
  switch (word) {
    case 1:
      return launch_gather_by<uint8_t>(args, bytes, context);
    case 2:
      return launch_gather_by<uint16_t>(args, bytes, context);
    case 4:
      return launch_gather_by<uint32_t>(args, bytes, context);
    case 8:
      return launch_gather_by<uint2>(args, bytes, context);
    default:
      return launch_gather_by<uint4>(args, bytes, context);
  }
}

}  // namespace

extern const Kernel kernel_one_hot;
extern const Kernel kernel_gather;
const Kernel kernel_one_hot = {nullptr, launch_one_hot};
const Kernel kernel_gather = {nullptr, launch_gather};

}  // namespace aludel::cuda
