// image_gather: rows of a uint8 image set by index, as float32 with a scale and a shift per channel, in one pass. Indices are checked on
// the stream first, and a wrong one then reads nothing.
#include "native/cuda/kernels/division.cuh"
#include "native/cuda/kernels/strided_copy.h"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kQuads = 4;  // groups of four bytes on their way to one thread

template <typename I>
struct ImageShape {
  Division<I> image{1}, channels{1};
  int64_t images = 0;
  const float *scale = nullptr, *shift = nullptr;
};

// Four elements of one image that lie together.
template <typename I>
__global__ void __launch_bounds__(kThreads)
    convert_quads(Guard guard, const uint8_t* x, const int32_t* index, float* y, I n, const __grid_constant__ ImageShape<I> shape) {
  if (guard.stopped()) return;
  constexpr I tile = kThreads * 4 * kQuads;
  const int64_t image = static_cast<int64_t>(shape.image.divisor());
  const uint32_t channels = static_cast<uint32_t>(shape.channels.divisor());
  for (I begin = blockIdx.x * tile; begin < n; begin += gridDim.x * tile) {
    uchar4 bytes[kQuads];
    uint32_t channel[kQuads];
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      const I i = begin + (static_cast<I>(q * kThreads) + threadIdx.x) * 4;
      bytes[q] = make_uchar4(0, 0, 0, 0);
      if (i >= n) continue;
      const I row = shape.image.quotient(i), at = i - row * shape.image.divisor();
      channel[q] = static_cast<uint32_t>(at - shape.channels.quotient(at) * shape.channels.divisor());
      const int64_t from = index[row];
      if (from >= 0 && from < shape.images) bytes[q] = *reinterpret_cast<const uchar4*>(x + from * image + static_cast<int64_t>(at));
    }
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      const I i = begin + (static_cast<I>(q * kThreads) + threadIdx.x) * 4;
      if (i >= n) continue;
      const uint8_t byte[4] = {bytes[q].x, bytes[q].y, bytes[q].z, bytes[q].w};
      float v[4];
      uint32_t c = channel[q];
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        v[e] = static_cast<float>(byte[e]) * shape.scale[c] + shape.shift[c];
        c = c + 1 == channels ? 0 : c + 1;
      }
      *reinterpret_cast<float4*>(y + i) = make_float4(v[0], v[1], v[2], v[3]);
    }
  }
}

template <typename I>
__global__ void __launch_bounds__(kThreads)
    convert_elements(Guard guard, const uint8_t* x, const int32_t* index, float* y, I n, const __grid_constant__ ImageShape<I> shape) {
  if (guard.stopped()) return;
  const int64_t image = static_cast<int64_t>(shape.image.divisor());
  const I stride = static_cast<I>(gridDim.x) * kThreads;
  for (I i = static_cast<I>(blockIdx.x) * kThreads + threadIdx.x; i < n; i += stride) {
    const I row = shape.image.quotient(i), at = i - row * shape.image.divisor();
    const int64_t c = static_cast<int64_t>(at - shape.channels.quotient(at) * shape.channels.divisor()), from = index[row];
    const uint8_t byte = from >= 0 && from < shape.images ? x[from * image + static_cast<int64_t>(at)] : uint8_t{0};
    y[i] = static_cast<float>(byte) * shape.scale[c] + shape.shift[c];
  }
}

template <typename I>
Status launch_image_gather_by(const KernelArgs& args, const Context& context) {
  const TensorRef &x = args.in[0], &y = args.out[0];
  const int64_t n = y.numel(), image = n / y.dims[0];
  ImageShape<I> shape;
  shape.image = Division<I>(static_cast<I>(image));
  shape.channels = Division<I>(static_cast<I>(x.dims[3]));
  shape.images = x.dims[0];
  shape.scale = args.in[2].as<const float>();
  shape.shift = args.in[3].as<const float>();
  // The channel of a quad is counted in 32 bits.
  const bool quads = image % 4 == 0 && aligned_to(x.data, 4) && aligned_to(y.data, 16) && x.dims[3] < kNarrowElements;
  return launched(context, quads ? convert_quads<I> : convert_elements<I>, grid_for(n, kThreads, *context.device, quads ? 4 * kQuads : 1),
                  kThreads, 0, x.as<const uint8_t>(), args.in[1].as<const int32_t>(), y.as<float>(), static_cast<I>(n), shape);
}

Status launch_image_gather(const KernelArgs& args, const Context& context) {
  ALUDEL_RETURN_IF_ERROR(check_indices(context, args.in[1], args.in[0].dims[0]));
  const int64_t n = args.out[0].numel();
  if (n == 0) return {};
  return n < kNarrowElements ? launch_image_gather_by<uint32_t>(args, context) : launch_image_gather_by<uint64_t>(args, context);
}

}  // namespace

extern const Kernel kernel_image_gather;
const Kernel kernel_image_gather = {nullptr, launch_image_gather};

}  // namespace aludel::cuda
