// Differentiable augmentation: y = A(theta) x + delta(theta), one operation per image, chosen by data. augment_linear leaves delta
// out, augment_transpose applies the adjoint of A. One task per image.
// Numerics: means and coordinates in float64. Parameters are data: shifts and boxes are rounded and clamped, so that no value of
// theta, NaN included, reads or writes outside the image.
#include <math.h>

#include "native/cpu/kernels/checks.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

enum Kind { kIdentity = 0, kColor, kCrop, kCutout, kFlip, kAffine, kKinds };
enum class Mode { full, linear, transpose };

struct Image {
  int64_t h, w, c;
  ALUDEL_INLINE int64_t size() const { return h * w * c; }
};

// Nearest integer within +-limit; NaN counts as 0.
ALUDEL_INLINE int64_t rounded(float value, int64_t limit) {
  double v = floor(static_cast<double>(value) + 0.5), most = static_cast<double>(limit);
  if (v != v) return 0;
  return static_cast<int64_t>(v < -most ? -most : v > most ? most : v);
}

// ---- color ----------------------------------------------------------------------------------------------------------------------

// y = (x - m) s + m with m the mean over each pixel's channels. Its own adjoint.
void saturate_pixels(float* y, const Image& image, float s) {
  for (int64_t p = 0; p < image.h * image.w; ++p) {
    float* pixel = y + p * image.c;
    double sum = 0;
    for (int64_t k = 0; k < image.c; ++k) sum += static_cast<double>(pixel[k]);
    float mean = static_cast<float>(sum / static_cast<double>(image.c));
    for (int64_t k = 0; k < image.c; ++k) pixel[k] = (pixel[k] - mean) * s + mean;
  }
}

// The same with the mean of the whole image. Eight partial sums: a fixed order that does not wait for one long chain of additions.
void contrast_image(float* y, int64_t n, float s) {
  double sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int k = 0; k < 8; ++k) sums[k] += static_cast<double>(y[i + k]);
  for (; i < n; ++i) sums[0] += static_cast<double>(y[i]);
  double sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  float mean = static_cast<float>(sum / static_cast<double>(n));
  for (i = 0; i < n; ++i) y[i] = (y[i] - mean) * s + mean;
}

// A factor of 1 is the identity and is left out, so that a plain brightness is exact.
void color(const float* x, const float* p, const Image& image, Mode mode, float* y) {
  int64_t n = image.size();
  float delta = mode == Mode::full ? p[0] : 0.0f;
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] + delta;
  if (mode == Mode::transpose) {
    if (p[2] != 1.0f) contrast_image(y, n, p[2]);
    if (p[1] != 1.0f) saturate_pixels(y, image, p[1]);
  } else {
    if (p[1] != 1.0f) saturate_pixels(y, image, p[1]);
    if (p[2] != 1.0f) contrast_image(y, n, p[2]);
  }
}

// ---- crop, cutout, flip ---------------------------------------------------------------------------------------------------------

// out[i, j] = x[i + dy, j + dx], zero outside. The adjoint is the shift by (-dy, -dx).
void crop(const float* x, const float* p, const Image& image, Mode mode, float* y) {
  int64_t sign = mode == Mode::transpose ? -1 : 1;
  int64_t dy = sign * rounded(p[0], image.h), dx = sign * rounded(p[1], image.w);
  int64_t first = max_of(0, -dx), last = min_of(image.w, image.w - dx);  // output columns that read inside
  int64_t row = image.w * image.c;
  memset(y, 0, static_cast<size_t>(image.size()) * sizeof(float));
  if (first >= last) return;
  for (int64_t i = max_of(0, -dy); i < min_of(image.h, image.h - dy); ++i)
    memcpy(y + i * row + first * image.c, x + (i + dy) * row + (first + dx) * image.c,
           static_cast<size_t>((last - first) * image.c) * sizeof(float));
}

// Zeroes a box. Its own adjoint.
void cutout(const float* x, const float* p, const Image& image, float* y) {
  constexpr int64_t kFar = int64_t{1} << 40;  // beyond any image, and sums of two stay exact
  int64_t top = rounded(p[0], kFar), left = rounded(p[1], kFar);
  int64_t bottom = min_of(image.h, top + rounded(p[2], kFar)), right = min_of(image.w, left + rounded(p[3], kFar));
  top = max_of(0, top);
  left = max_of(0, left);
  memcpy(y, x, static_cast<size_t>(image.size()) * sizeof(float));
  if (left >= right) return;
  for (int64_t i = top; i < bottom; ++i)
    memset(y + (i * image.w + left) * image.c, 0, static_cast<size_t>((right - left) * image.c) * sizeof(float));
}

void flip(const float* x, const float* p, const Image& image, float* y) {
  bool mirrored = p[0] != 0.0f;
  for (int64_t i = 0; i < image.h; ++i)
    for (int64_t j = 0; j < image.w; ++j) {
      const float* from = x + (i * image.w + (mirrored ? image.w - 1 - j : j)) * image.c;
      float* to = y + (i * image.w + j) * image.c;
      for (int64_t k = 0; k < image.c; ++k) to[k] = from[k];
    }
}

// ---- affine ---------------------------------------------------------------------------------------------------------------------

// Normalised coordinate of pixel i of n, and back.
ALUDEL_INLINE double normalised(int64_t i, int64_t n, bool align) {
  if (align) return n > 1 ? 2.0 * static_cast<double>(i) / static_cast<double>(n - 1) - 1.0 : 0.0;
  return (2.0 * static_cast<double>(i) + 1.0) / static_cast<double>(n) - 1.0;
}
ALUDEL_INLINE double position(double s, int64_t n, bool align) {
  return align ? (s + 1.0) * 0.5 * static_cast<double>(n - 1) : ((s + 1.0) * static_cast<double>(n) - 1.0) * 0.5;
}

// The four input pixels of one output pixel that lie inside, with their bilinear weights.
struct Taps {
  int count;
  int64_t at[4];
  float weight[4];
};

Taps taps_of(double px, double py, const Image& image) {
  Taps taps;
  taps.count = 0;
  // Also false for NaN: what follows converts to integers.
  if (!(px > -1.0 && px < static_cast<double>(image.w) && py > -1.0 && py < static_cast<double>(image.h))) return taps;
  double fx = floor(px), fy = floor(py);
  int64_t j = static_cast<int64_t>(fx), i = static_cast<int64_t>(fy);
  double wx = px - fx, wy = py - fy;
  for (int k = 0; k < 4; ++k) {
    int64_t row = i + (k >> 1), column = j + (k & 1);
    if (row < 0 || row >= image.h || column < 0 || column >= image.w) continue;
    taps.at[taps.count] = (row * image.w + column) * image.c;
    taps.weight[taps.count++] = static_cast<float>(((k & 1) ? wx : 1.0 - wx) * ((k >> 1) ? wy : 1.0 - wy));
  }
  return taps;
}

// The adjoint scatters with the weights that the forward gathers with, output pixels in order.
void affine(const float* x, const float* p, const Image& image, Mode mode, bool align, float* y) {
  memset(y, 0, static_cast<size_t>(image.size()) * sizeof(float));
  double m[6];
  for (int k = 0; k < 6; ++k) m[k] = static_cast<double>(p[k]);
  for (int64_t i = 0; i < image.h; ++i) {
    double v = normalised(i, image.h, align);
    for (int64_t j = 0; j < image.w; ++j) {
      double u = normalised(j, image.w, align);
      Taps taps =
          taps_of(position(m[0] * u + m[1] * v + m[2], image.w, align), position(m[3] * u + m[4] * v + m[5], image.h, align), image);
      int64_t here = (i * image.w + j) * image.c;
      for (int t = 0; t < taps.count; ++t) {
        const float* from = x + (mode == Mode::transpose ? here : taps.at[t]);
        float* to = y + (mode == Mode::transpose ? taps.at[t] : here);
        for (int64_t k = 0; k < image.c; ++k) to[k] += taps.weight[t] * from[k];
      }
    }
  }
}

// ---- entry points ---------------------------------------------------------------------------------------------------------------

Status check_augment_op(const char* op, const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_arity(op, args, 2, 1, 1));
  const TensorRef &x = args.in[0], &theta = args.in[1], &y = args.out[0];
  if (x.dtype != DType::f32 || x.rank != 4 || y.dtype != DType::f32 || !same_shape(x, y))
    return wrong(op, "f32 images [N,H,W,C], the same shape out");
  if (theta.dtype != DType::f32 || theta.rank != 2 || theta.dims[0] != x.dims[0] || theta.dims[1] != 8) return wrong(op, "f32 theta [N,8]");
  int64_t align;
  return integer_attr(args.attrs[0], 0, 1, &align) ? Status{} : wrong(op, "alignCorners of 0 or 1");
}

Status run_mode(const char* op, Mode mode, const KernelArgs& args, Exec& exec) {
  const TensorRef &x = args.in[0], &y = args.out[0];
  const float* theta = args.in[1].as<const float>();
  Image image = {x.dims[1], x.dims[2], x.dims[3]};
  int64_t n = image.size();
  bool align = args.attrs[0] != 0;
  for (int64_t i = 0; i < x.dims[0]; ++i) {
    float kind = theta[8 * i];
    if (!(kind >= 0 && kind < static_cast<float>(kKinds)) || floorf(kind) != kind)
      return fail(Code::invalid_index, "%s: kind %g of row %lld is not one of 0..%d", op, static_cast<double>(kind),
                  static_cast<long long>(i), kKinds - 1);
  }
  if (n == 0) return {};
  parallel_for(exec, x.dims[0], [&](int64_t i, void*) {
    const float *from = x.as<const float>() + i * n, *p = theta + 8 * i + 1;
    float* to = y.as<float>() + i * n;
    switch (static_cast<int>(theta[8 * i])) {
      case kColor:
        return color(from, p, image, mode, to);
      case kCrop:
        return crop(from, p, image, mode, to);
      case kCutout:
        return cutout(from, p, image, to);
      case kFlip:
        return flip(from, p, image, to);
      case kAffine:
        return affine(from, p, image, mode, align, to);
      default:
        memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
    }
  });
  return {};
}

Status check_augment(const KernelArgs& args) { return check_augment_op("augment", args); }
Status run_augment(const KernelArgs& args, Exec& exec) { return run_mode("augment", Mode::full, args, exec); }
Status check_augment_linear(const KernelArgs& args) { return check_augment_op("augment_linear", args); }
Status run_augment_linear(const KernelArgs& args, Exec& exec) { return run_mode("augment_linear", Mode::linear, args, exec); }
Status check_augment_transpose(const KernelArgs& args) { return check_augment_op("augment_transpose", args); }
Status run_augment_transpose(const KernelArgs& args, Exec& exec) { return run_mode("augment_transpose", Mode::transpose, args, exec); }

}  // namespace

extern const Kernel kernel_augment;
extern const Kernel kernel_augment_linear;
extern const Kernel kernel_augment_transpose;
const Kernel kernel_augment = {check_augment, nullptr, run_augment};
const Kernel kernel_augment_linear = {check_augment_linear, nullptr, run_augment_linear};
const Kernel kernel_augment_transpose = {check_augment_transpose, nullptr, run_augment_transpose};

}  // namespace aludel::cpu::ALUDEL_ISA
