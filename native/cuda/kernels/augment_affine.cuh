// Bilinear affine resampling of one image and its adjoint, both as gathers: each thread makes pixels of its own, so that the adjoint needs
// no atomics and adds in the order of the CPU's scatter.
#pragma once
#include <math.h>

#include "native/cuda/launch.cuh"

namespace aludel::cuda {

// Output pixel (i, j) reads at x = ax j + bx i + cx, y = ay j + by i + cy, in pixels of the input. The fused products are spelt out: the
// adjoint must find the very positions that the forward read. Lies in shared memory, as it is the same for all threads of a block.
struct Affine {
  // p: 2x3 matrix on normalised (x, y).
  __device__ __forceinline__ void set(const float* p, int height, int width, bool align) {
    const Axis u = axis(width, align), v = axis(height, align);
    const double m0 = p[0], m1 = p[1], m2 = p[2], m3 = p[3], m4 = p[4], m5 = p[5];
    height_ = height, width_ = width;
    ax_ = u.scale * m0 * u.step, bx_ = u.scale * m1 * v.step, cx_ = u.scale * (m0 * u.start + m1 * v.start + m2) + u.origin;
    ay_ = v.scale * m3 * u.step, by_ = v.scale * m4 * v.step, cy_ = v.scale * (m3 * u.start + m4 * v.start + m5) + v.origin;
    const double determinant = ax_ * by_ - bx_ * ay_;
    inverse_ = fabs(determinant) > 1e-6 * (ax_ * ax_ + bx_ * bx_ + ay_ * ay_ + by_ * by_) ? 1 / determinant : 0;
  }

  // f(row, column, weight) for the input pixels inside that output pixel (i, j) reads.
  template <typename F>
  __device__ __forceinline__ void for_inputs(int i, int j, const F& f) const {
    double x, y;
    if (!position(i, j, &x, &y)) return;
    const double left = floor(x), top = floor(y);
    const int column = static_cast<int>(left), row = static_cast<int>(top);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int r = row + (k >> 1), c = column + (k & 1);
      if (r >= 0 && r < height_ && c >= 0 && c < width_) f(r, c, weight(x - left, y - top, k & 1, k >> 1));
    }
  }

  // f(i, j, weight) for the output pixels that read input pixel (row, column), in order. Along a row of the output the position moves on a
  // line, so those near the pixel are one stretch; the rows in question come from the inverse, or are all where there is none worth using.
  // Both ranges are a little too wide: who reads the pixel is decided by the position itself.
  template <typename F>
  __device__ __forceinline__ void for_outputs(int row, int column, const F& f) const {
    double first = 0, last = height_ - 1;
    if (inverse_ != 0) {
      const double middle = (ax_ * (row - cy_) - ay_ * (column - cx_)) * inverse_;
      const double half = (fabs(ax_) + fabs(ay_)) * fabs(inverse_) + kSlack;
      first = fmax(first, ceil(middle - half)), last = fmin(last, floor(middle + half));
    }
    for (int i = static_cast<int>(first); i <= static_cast<int>(last); ++i) {
      double from = 0, to = width_ - 1;
      narrow(ax_, __fma_rn(bx_, i, cx_) - column, &from, &to);
      narrow(ay_, __fma_rn(by_, i, cy_) - row, &from, &to);
      if (!(from <= to)) continue;
      for (int j = static_cast<int>(from); j <= static_cast<int>(to); ++j) {
        double x, y;
        if (!position(i, j, &x, &y)) continue;
        const double left = floor(x), top = floor(y);
        const int dx = column - static_cast<int>(left), dy = row - static_cast<int>(top);
        if ((dx | dy) == (1 & (dx | dy)) && dx >= 0 && dy >= 0) f(i, j, weight(x - left, y - top, dx, dy));
      }
    }
  }

 private:
  static constexpr double kSlack = 1e-3;

  // normalised = step * pixel + start; pixel = scale * normalised + origin.
  struct Axis {
    double step, start, scale, origin;
  };
  static __device__ __forceinline__ Axis axis(int n, bool align) {
    const double half = 0.5 * (n - 1);
    if (align) return n > 1 ? Axis{2.0 / (n - 1), -1, half, half} : Axis{0, 0, 0, 0};
    return {2.0 / n, 1.0 / n - 1, 0.5 * n, half};
  }

  // False where nothing inside is read, and for positions that are no numbers.
  __device__ __forceinline__ bool position(int i, int j, double* x, double* y) const {
    *x = __fma_rn(ax_, j, __fma_rn(bx_, i, cx_));
    *y = __fma_rn(ay_, j, __fma_rn(by_, i, cy_));
    return *x > -1 && *x<width_&& * y> - 1 && *y < height_;
  }

  static __device__ __forceinline__ float weight(double fx, double fy, int dx, int dy) {
    return static_cast<float>((dx != 0 ? fx : 1 - fx) * (dy != 0 ? fy : 1 - fy));
  }

  // Cuts [from, to] to the j with |slope j + offset| < 1.
  __device__ __forceinline__ void narrow(double slope, double offset, double* from, double* to) const {
    if (fabs(slope) * width_ < kSlack) {  // the same for the whole row
      if (!(fabs(offset) < 1 + 2 * kSlack)) *from = 1, *to = 0;
      return;
    }
    const double middle = -offset / slope, half = 1 / fabs(slope) + kSlack;
    *from = fmax(*from, ceil(middle - half)), *to = fmin(*to, floor(middle + half));
  }

  int height_, width_;
  double ax_, bx_, cx_, ay_, by_, cy_;
  double inverse_;  // of the determinant; 0: too small for an inverse to be trusted
};

}  // namespace aludel::cuda
