// Conversion between dtypes, element by element: four to a thread, in one access each way where both sides are aligned.
#include "native/cuda/kernels/convert.cuh"
#include "native/cuda/kernels/strided_copy.h"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 256;

template <typename T>
struct alignas(sizeof(T) < 4 ? 4 * sizeof(T) : 16) Quad {
  T v[4];
};

template <typename S, typename D>
__global__ void __launch_bounds__(kThreads) cast_quads(Guard guard, const S* x, D* y, int64_t n) {
  if (guard.stopped()) return;
  const int64_t stride = int64_t{gridDim.x} * kThreads, quads = n / 4;
  const int64_t first = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  for (int64_t q = first; q < quads; q += stride) {
    const Quad<S> from = reinterpret_cast<const Quad<S>*>(x)[q];
    Quad<D> to;
#pragma unroll
    for (int e = 0; e < 4; ++e) to.v[e] = converted<D>(from.v[e]);
    reinterpret_cast<Quad<D>*>(y)[q] = to;
  }
  if (first < n % 4) y[4 * quads + first] = converted<D>(x[4 * quads + first]);
}

template <typename S, typename D>
__global__ void __launch_bounds__(kThreads) cast_elements(Guard guard, const S* x, D* y, int64_t n) {
  if (guard.stopped()) return;
  constexpr int64_t tile = 4 * kThreads;
  for (int64_t begin = blockIdx.x * tile + threadIdx.x; begin < n; begin += gridDim.x * tile) {
    S value[4];
#pragma unroll
    for (int e = 0; e < 4; ++e) value[e] = begin + e * kThreads < n ? x[begin + e * kThreads] : S{0};
#pragma unroll
    for (int e = 0; e < 4; ++e)
      if (begin + e * kThreads < n) y[begin + e * kThreads] = converted<D>(value[e]);
  }
}

template <typename S, typename D>
Status launch_cast_to(const TensorRef& x, const TensorRef& y, const Context& context) {
  const int64_t n = x.numel();
  const bool aligned = aligned_to(x.data, alignof(Quad<S>)) && aligned_to(y.data, alignof(Quad<D>));
  return launched(context, aligned ? cast_quads<S, D> : cast_elements<S, D>, grid_for(n, kThreads, *context.device, 4), kThreads, 0,
                  x.as<const S>(), y.as<D>(), n);
}

template <typename S>
Status launch_cast_from(const TensorRef& x, const TensorRef& y, const Context& context) {
  switch (y.dtype) {
    case DType::f32:
      return launch_cast_to<S, float>(x, y, context);
    case DType::f64:
      return launch_cast_to<S, double>(x, y, context);
    case DType::i32:
      return launch_cast_to<S, int32_t>(x, y, context);
    case DType::u32:
      return launch_cast_to<S, uint32_t>(x, y, context);
    default:
      return launch_cast_to<S, uint8_t>(x, y, context);
  }
}

Status launch_cast(const KernelArgs& args, const Context& context) {
  const TensorRef &x = args.in[0], &y = args.out[0];
  if (x.numel() == 0) return {};
  if (x.dtype == y.dtype)
    return launch_strided_copy({x.as<const char>(), y.as<char>(), size_of(x.dtype), 1, {x.numel()}, {1}, {1}}, context);
  switch (x.dtype) {
    case DType::f32:
      return launch_cast_from<float>(x, y, context);
    case DType::f64:
      return launch_cast_from<double>(x, y, context);
    case DType::i32:
      return launch_cast_from<int32_t>(x, y, context);
    case DType::u32:
      return launch_cast_from<uint32_t>(x, y, context);
    default:
      return launch_cast_from<uint8_t>(x, y, context);
  }
}

}  // namespace

extern const Kernel kernel_cast;
const Kernel kernel_cast = {nullptr, launch_cast};

}  // namespace aludel::cuda
