// Differentiable augmentation: y = A(theta) x + delta(theta), one operation per image, chosen by data. augment_linear leaves delta out,
// augment_transpose applies the adjoint of A. A block makes a slice of an image; small images are one slice.
// Means are float64 sums in an order that depends on the image's shape alone. Parameters are data: shifts and boxes are rounded and
// clamped, so that no value of theta, NaN included, reads or writes outside the image.
#include "native/cuda/kernels/augment_affine.cuh"
#include "native/cuda/kernels/fast_division.cuh"
#include "native/cuda/kernels/launching.h"

namespace aludel::cuda {
namespace {

enum Kind { kIdentity = 0, kColor, kCrop, kCutout, kFlip, kAffine, kKinds };
enum class Mode { full, linear, transpose };

constexpr int kThreads = 256;
constexpr int kBlocks = 4;              // of a multiprocessor: 64 registers for a thread
constexpr int kAhead = 4;               // loads on their way per thread
constexpr int64_t kOneSlice = 1 << 14;  // elements of an image that one block makes
constexpr int64_t kSlice = 1 << 13;     // and of a slice where there are several
constexpr int64_t kMostElements = int64_t{1} << 30;

struct Image {
  int h, w, c;
  uint32_t size, slices, slice_pixels;
  FastDivision row, width, channels;  // by w c, w and c
};

// What a block works on: its image and elements begin..end-1 of it.
struct Part {
  int64_t image;
  uint32_t begin, end;
};

__device__ __forceinline__ Part part_of(const Image& image) {
  const uint32_t n = blockIdx.x / image.slices, first = (blockIdx.x - n * image.slices) * image.slice_pixels;
  const uint32_t pixels = static_cast<uint32_t>(image.h) * image.w;
  const uint32_t last = first + image.slice_pixels < pixels ? first + image.slice_pixels : pixels;
  return {n, first * image.c, last * image.c};
}

__device__ __forceinline__ Kind kind_of(const float* theta) {
  const float kind = theta[0];
  return kind >= 0 && kind < static_cast<float>(kKinds) ? static_cast<Kind>(static_cast<int>(kind)) : kIdentity;
}

// Nearest integer within +-limit; NaN counts as 0.
__device__ __forceinline__ int64_t rounded(float value, int64_t limit) {
  const double v = floor(static_cast<double>(value) + 0.5), most = static_cast<double>(limit);
  if (v != v) return 0;
  return static_cast<int64_t>(v < -most ? -most : v > most ? most : v);
}

// y[e] = value(e) over the part; loads of several elements go out before the first store.
template <typename Value>
__device__ __forceinline__ void fill(float* y, const Part& part, const Value& value) {
  for (uint32_t e = part.begin + threadIdx.x; e < part.end; e += kAhead * kThreads) {
    float v[kAhead];
#pragma unroll
    for (int k = 0; k < kAhead; ++k)
      if (e + k * kThreads < part.end) v[k] = value(e + k * kThreads);
#pragma unroll
    for (int k = 0; k < kAhead; ++k)
      if (e + k * kThreads < part.end) y[e + k * kThreads] = v[k];
  }
}

// Sum of value(e) over the part, the same for every thread.
template <typename Value>
__device__ __forceinline__ double sum_of(const Part& part, const Value& value) {
  __shared__ double sums[kThreads / 32];
  double sum = 0;
#pragma unroll 4
  for (uint32_t e = part.begin + threadIdx.x; e < part.end; e += kThreads) sum += static_cast<double>(value(e));
  for (int half = 16; half > 0; half /= 2) sum += __shfl_xor_sync(~0u, sum, half);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
  __syncthreads();
  sum = 0;
#pragma unroll
  for (int k = 0; k < kThreads / 32; ++k) sum += sums[k];
  return sum;
}

// ---- color ----------------------------------------------------------------------------------------------------------------------

// Brightness, saturation about each pixel's mean, contrast about the image's, in this order; the adjoint in the other. A factor of 1 is the
// identity and is left out, so that a plain brightness is exact.
template <Mode mode>
struct Color {
  static constexpr bool kTranspose = mode == Mode::transpose;
  const float* x;
  const Image& image;
  float delta, saturation, contrast, mean = 0;

  __device__ __forceinline__ Color(const float* from, const float* p, const Image& of)
      : x(from), image(of), delta(mode == Mode::full ? p[0] : 0.0f), saturation(p[1]), contrast(p[2]) {}

  __device__ __forceinline__ bool has_contrast() const { return contrast != 1.0f; }
  __device__ __forceinline__ float about_mean(float v) const { return (v - mean) * contrast + mean; }
  __device__ __forceinline__ float first(uint32_t e) const {
    const float v = __ldg(x + e) + delta;
    return kTranspose && has_contrast() ? about_mean(v) : v;
  }
  __device__ __forceinline__ float saturated(uint32_t e) const {
    const float v = first(e);
    if (saturation == 1.0f) return v;
    const uint32_t pixel = image.channels.quotient(e) * image.c;
    double sum = 0;
    for (int k = 0; k < image.c; ++k) sum += static_cast<double>(first(pixel + k));
    const float grey = static_cast<float>(sum / image.c);
    return (v - grey) * saturation + grey;
  }
  __device__ __forceinline__ float operator()(uint32_t e) const {
    const float v = saturated(e);
    return !kTranspose && has_contrast() ? about_mean(v) : v;
  }
  // What contrast takes the mean of; `mean` is not known yet.
  __device__ __forceinline__ double sum(const Part& part) const {
    return sum_of(part, [&](uint32_t e) { return kTranspose ? __ldg(x + e) : saturated(e); });
  }
};

// Images of several slices: their sums first.
template <Mode mode>
__global__ void __launch_bounds__(kThreads) slice_sums(Guard guard, const float* x, const float* theta, double* sums, Image image) {
  if (guard.stopped()) return;
  const Part part = part_of(image);
  const float* own = theta + 8 * part.image;
  if (kind_of(own) != kColor) return;
  const Color<mode> color(x + part.image * image.size, own + 1, image);
  if (!color.has_contrast()) return;
  const double sum = color.sum(part);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

template <Mode mode>
__device__ __forceinline__ void color_part(const float* x, const float* p, const double* sums, const Image& image, const Part& part,
                                           float* y) {
  Color<mode> color(x, p, image);
  if (color.has_contrast()) {
    double sum = 0;
    if (image.slices == 1)
      sum = color.sum(part);
    else
      for (uint32_t slice = 0; slice < image.slices; ++slice) sum += sums[part.image * image.slices + slice];
    color.mean = static_cast<float>(sum / image.size);
  }
  fill(y, part, color);
}

// ---- crop, cutout, flip ---------------------------------------------------------------------------------------------------------

// out[i, j] = x[i + dy, j + dx], zero outside. The adjoint is the shift by (-dy, -dx).
__device__ __forceinline__ void crop_part(const float* x, const float* p, const Image& image, bool transpose, const Part& part, float* y) {
  const int sign = transpose ? -1 : 1, row_size = image.w * image.c;
  const int dy = sign * static_cast<int>(rounded(p[0], image.h)), dx = sign * static_cast<int>(rounded(p[1], image.w));
  const uint32_t shift = static_cast<uint32_t>(dy) * row_size + static_cast<uint32_t>(dx * image.c);  // modulo 2^32
  fill(y, part, [&](uint32_t e) {
    const int i = static_cast<int>(image.row.quotient(e)), at = static_cast<int>(e) - i * row_size + dx * image.c;
    const bool inside = i + dy >= 0 && i + dy < image.h && at >= 0 && at < row_size;
    return inside ? __ldg(x + (e + shift)) : 0.0f;
  });
}

// Zeroes a box. Its own adjoint.
__device__ __forceinline__ void cutout_part(const float* x, const float* p, const Image& image, const Part& part, float* y) {
  constexpr int64_t kFar = int64_t{1} << 40;  // beyond any image, and sums of two stay exact
  const auto clipped = [](int64_t v, int most) { return static_cast<int>(v < 0 ? 0 : v > most ? most : v); };
  const int64_t first_row = rounded(p[0], kFar), first_column = rounded(p[1], kFar);
  const int top = clipped(first_row, image.h), bottom = clipped(first_row + rounded(p[2], kFar), image.h);
  const int left = clipped(first_column, image.w) * image.c, right = clipped(first_column + rounded(p[3], kFar), image.w) * image.c;
  fill(y, part, [&](uint32_t e) {
    const int i = static_cast<int>(image.row.quotient(e)), at = static_cast<int>(e) - i * image.w * image.c;
    return i >= top && i < bottom && at >= left && at < right ? 0.0f : __ldg(x + e);
  });
}

// Mirrors columns. Its own adjoint.
__device__ __forceinline__ void flip_part(const float* x, const Image& image, const Part& part, float* y) {
  fill(y, part, [&](uint32_t e) {
    const uint32_t pixel = image.channels.quotient(e), i = image.width.quotient(pixel);
    const uint32_t mirrored = 2 * i * image.w + image.w - 1 - pixel;
    return __ldg(x + (mirrored * image.c + (e - pixel * image.c)));
  });
}

// ---- affine ---------------------------------------------------------------------------------------------------------------------

constexpr int kChannels = 4;  // of a pixel at a time

template <Mode mode>
__device__ __forceinline__ void affine_part(const float* x, const float* p, const Image& image, bool align, const Part& part, float* y) {
  __shared__ Affine affine;
  if (threadIdx.x == 0) affine.set(p, image.h, image.w, align);
  __syncthreads();
  const uint32_t end = image.channels.quotient(part.end);
  for (uint32_t pixel = image.channels.quotient(part.begin) + threadIdx.x; pixel < end; pixel += kThreads) {
    const int i = static_cast<int>(image.width.quotient(pixel)), j = static_cast<int>(pixel) - i * image.w;
    for (int c = 0; c < image.c; c += kChannels) {
      float sums[kChannels] = {};
      const auto add = [&](int row, int column, float weight) {
        const float* from = x + (static_cast<uint32_t>(row * image.w + column) * image.c + c);
#pragma unroll
        for (int k = 0; k < kChannels; ++k)
          if (c + k < image.c) sums[k] += weight * __ldg(from + k);
      };
      if (mode == Mode::transpose)
        affine.for_outputs(i, j, add);
      else
        affine.for_inputs(i, j, add);
#pragma unroll
      for (int k = 0; k < kChannels; ++k)
        if (c + k < image.c) y[pixel * image.c + c + k] = sums[k];
    }
  }
}

// ---- entry points ---------------------------------------------------------------------------------------------------------------

template <Mode mode>
__global__ void __launch_bounds__(kThreads, kBlocks)
    augment(Guard guard, const float* x, const float* theta, const double* sums, float* y, Image image, bool align) {
  if (guard.stopped()) return;
  const Part part = part_of(image);
  const float *from = x + part.image * image.size, *own = theta + 8 * part.image, *p = own + 1;
  float* to = y + part.image * image.size;
  switch (kind_of(own)) {
    case kColor:
      return color_part<mode>(from, p, sums, image, part, to);
    case kCrop:
      return crop_part(from, p, image, mode == Mode::transpose, part, to);
    case kCutout:
      return cutout_part(from, p, image, part, to);
    case kFlip:
      if (p[0] != 0.0f) return flip_part(from, image, part, to);
      break;
    case kAffine:
      return affine_part<mode>(from, p, image, align, part, to);
    default:
      break;
  }
  fill(to, part, [&](uint32_t e) { return __ldg(from + e); });
}

int64_t size_of_image(const TensorRef& x) { return x.dims[1] * x.dims[2] * x.dims[3]; }

int64_t pixels_of_slice(const TensorRef& x) {
  const int64_t pixels = x.dims[1] * x.dims[2], channels = x.dims[3];
  if (pixels * channels <= kOneSlice) return pixels;
  return channels >= kSlice ? 1 : kSlice / channels;
}
int64_t slices_of(const TensorRef& x) { return ceil_div(x.dims[1] * x.dims[2], pixels_of_slice(x)); }

Status check(const KernelArgs& args) {
  const TensorRef& x = args.in[0];
  if (x.numel() == 0 || (size_of_image(x) <= kMostElements && x.dims[0] * slices_of(x) <= INT32_MAX)) return {};
  return fail(Code::invalid_program, "augment: expected images of at most 2^30 numbers in at most 2^31 slices on this device");
}

int64_t workspace_bytes(const KernelArgs& args, const DeviceInfo&) {
  const TensorRef& x = args.in[0];
  if (x.numel() == 0 || slices_of(x) == 1) return 0;
  return x.dims[0] * slices_of(x) * static_cast<int64_t>(sizeof(double));
}

template <Mode mode>
Status launch_mode(const KernelArgs& args, const Context& context) {
  const TensorRef &x = args.in[0], &theta = args.in[1];
  ALUDEL_RETURN_IF_ERROR(check_kinds(context, theta, kKinds));
  if (x.numel() == 0) return {};
  const int h = static_cast<int>(x.dims[1]), w = static_cast<int>(x.dims[2]), c = static_cast<int>(x.dims[3]);
  const Image image = {h,
                       w,
                       c,
                       static_cast<uint32_t>(size_of_image(x)),
                       static_cast<uint32_t>(slices_of(x)),
                       static_cast<uint32_t>(pixels_of_slice(x)),
                       FastDivision(static_cast<uint32_t>(w * c)),
                       FastDivision(static_cast<uint32_t>(w)),
                       FastDivision(static_cast<uint32_t>(c))};
  const unsigned grid = static_cast<unsigned>(x.dims[0]) * image.slices;
  const float *images = x.as<const float>(), *rows = theta.as<const float>();
  double* sums = static_cast<double*>(context.workspace);
  if (image.slices > 1) ALUDEL_RETURN_IF_ERROR(launched(context, slice_sums<mode>, grid, kThreads, 0, images, rows, sums, image));
  return launched(context, augment<mode>, grid, kThreads, 0, images, rows, sums, args.out[0].as<float>(), image, args.attrs[0] != 0);
}

}  // namespace

extern const Kernel kernel_augment;
extern const Kernel kernel_augment_linear;
extern const Kernel kernel_augment_transpose;
const Kernel kernel_augment = {workspace_bytes, launch_mode<Mode::full>, check};
const Kernel kernel_augment_linear = {workspace_bytes, launch_mode<Mode::linear>, check};
const Kernel kernel_augment_transpose = {workspace_bytes, launch_mode<Mode::transpose>, check};

}  // namespace aludel::cuda
