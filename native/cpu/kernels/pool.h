// What the pooling kernels share: the window geometry, read from attributes and checked once.
#pragma once
#include "native/cpu/kernels/channels.h"

namespace aludel::cpu::ALUDEL_ISA {

struct PoolShape {
  int64_t images;  // product of the leading axes
  int64_t H, W, C, OH, OW;
  int64_t window_h, window_w, stride_h, stride_w;
};

// image: a [...,H,W,C] tensor; attributes have been checked.
ALUDEL_INLINE PoolShape pool_shape(const TensorRef& image, const double* attrs) {
  PoolShape s{};
  s.images = 1;
  for (int i = 0; i < image.rank - 3; ++i) s.images *= image.dims[i];
  s.H = image.dim(-3), s.W = image.dim(-2), s.C = image.dim(-1);
  s.window_h = (int64_t)attrs[0], s.window_w = (int64_t)attrs[1], s.stride_h = (int64_t)attrs[2], s.stride_w = (int64_t)attrs[3];
  s.OH = (s.H - s.window_h) / s.stride_h + 1, s.OW = (s.W - s.window_w) / s.stride_w + 1;
  return s;
}

// Which side of the pooling an operand is on.
enum class PoolSide { image, pooled };

// Checks the attributes against `image` and that every operand has its side's shape. inputs: one side per input; one output.
Status check_pool(const KernelArgs& args, const char* op, const TensorRef& image, const PoolSide* inputs, int nin, PoolSide output);

}  // namespace aludel::cpu::ALUDEL_ISA
