// The sizes of a convolution as its kernels use them. The CPU's check() has seen them; what 32-bit indices cannot hold is refused here.
#pragma once
#include "native/cuda/kernel.h"

namespace aludel::cuda {

// x [groups, images, height, width, channels], w [groups, kernel_height, kernel_width, channels, filters],
// y [groups, images, out_height, out_width, filters].
struct ConvShape {
  int64_t groups, images;
  int height, width, channels;
  int out_height, out_width, filters;
  int kernel_height, kernel_width;
  int stride_height, stride_width, pad_height, pad_width;
  int64_t weight_stride;  // floats from the weights of one group to those of the next

  int64_t taps() const { return int64_t{kernel_height} * kernel_width; }
  int64_t pixels() const { return images * height * width; }
  int64_t positions() const { return images * out_height * out_width; }
  int64_t x_stride() const { return pixels() * channels; }
  int64_t y_stride() const { return positions() * filters; }
  int64_t weights() const { return taps() * channels * filters; }
};

// attrs: strideH, strideW, padH, padW, ... The kernel's size is left to the caller.
inline ConvShape conv_maps(const TensorRef& x, const TensorRef& y, const double* attrs) {
  ConvShape s = {};
  s.groups = x.dims[0];
  s.images = x.dims[1];
  s.height = int(x.dims[2]);
  s.width = int(x.dims[3]);
  s.channels = int(x.dims[4]);
  s.out_height = int(y.dims[2]);
  s.out_width = int(y.dims[3]);
  s.filters = int(y.dims[4]);
  s.stride_height = int(attrs[0]);
  s.stride_width = int(attrs[1]);
  s.pad_height = int(attrs[2]);
  s.pad_width = int(attrs[3]);
  return s;
}

// Weights [G,KH,KW,C,K], or prepared ones: see conv_prepare.cu.
inline void set_weights(const TensorRef& w, int algorithm, ConvShape* s) {
  if ((algorithm & 16) == 0) {
    s->kernel_height = int(w.dims[1]);
    s->kernel_width = int(w.dims[2]);
  } else {
    int side = 3;  // of Winograd's 36 points
    if ((algorithm & 1) == 0)
      for (side = 1; int64_t{side} * side < w.dims[1];) ++side;
    s->kernel_height = s->kernel_width = side;
  }
  s->weight_stride = w.numel() / s->groups;
}

inline void set_kernel(int height, int width, ConvShape* s) {
  s->kernel_height = height;
  s->kernel_width = width;
  s->weight_stride = s->weights();
}

// Lines and inner axes of the products are 32-bit numbers, and so are places in one image and in the operands of a group (which are counted
// in units of four where the channels allow it; here the lower limit holds for all). The CPU's check() keeps these numbers below 2^50.
inline Status check_conv(const char* op, const ConvShape& s) {
  const int64_t lines = (int64_t{1} << 31) - 256, places = (int64_t{1} << 32) - 256;
  const int64_t reach_down = s.height + int64_t{2} * s.pad_height + s.kernel_height + s.stride_height;
  const int64_t reach_across = s.width + int64_t{2} * s.pad_width + s.kernel_width + s.stride_width;
  const int64_t of_filters = s.filters % 4 == 0 ? 4 * places : places, of_both = s.channels % 4 == 0 ? of_filters : places;
  const struct {
    const char* what;
    int64_t count, most;
  } sizes[] = {
      {"pixels of x in a group", s.pixels(), lines},
      {"pixels of y in a group", s.positions(), lines},
      {"pixels of an image and its margins", reach_down * reach_across, lines / (s.channels > s.filters ? s.channels : s.filters)},
      {"values of x in a group", s.x_stride(), of_both},
      {"values of y in a group", s.y_stride(), of_filters},
      {"weights in a group", s.weights(), of_filters},
  };
  for (const auto& size : sizes)
    if (size.count > size.most)
      return fail(Code::invalid_program,
                  "%s: expected at most %lld %s on CUDA, got %lld; take fewer or smaller images at a time, or device 'cpu'", op,
                  static_cast<long long>(size.most), size.what, static_cast<long long>(size.count));
  return {};
}

// Lines of a multiple of four are read and written four at a time, so they must stand on 16 bytes. Compilers place them so; a program that
// does not would fault, and cost the whole device.
inline Status check_places(const char* op, const KernelArgs& args) {
  const auto stands = [](const TensorRef& t) { return t.dims[t.rank - 1] % 4 != 0 || reinterpret_cast<uintptr_t>(t.data) % 16 == 0; };
  for (int i = 0; i < args.nin + args.nout; ++i)
    if (!stands(i < args.nin ? args.in[i] : args.out[i - args.nin]))
      return fail(Code::invalid_program, "%s: expected operand %d at a multiple of 16 bytes on CUDA; place it so, or take device 'cpu'", op,
                  i);
  return {};
}

}  // namespace aludel::cuda
