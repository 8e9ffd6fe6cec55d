// Weight gradients for the kernels that need them.
#pragma once
#include "native/cuda/kernels/conv_shape.h"

namespace aludel::cuda {

// dw [groups, taps, channels, filters] and db [groups, filters] of dense x and dy; the shape's weight_stride is not looked at.
struct WeightGrad {
  const float *x, *dy;
  float *dw, *db;
};

int64_t weight_grad_workspace_bytes(const ConvShape& shape);
Status launch_weight_grad(const ConvShape& shape, const WeightGrad& operands, void* workspace, const Context& context);

}  // namespace aludel::cuda
