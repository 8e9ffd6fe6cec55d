// What convolutions that a library computes leave to own kernels: weights in its layout, biases and their gradients.
#pragma once
#include "native/cuda/kernels/conv_shape.h"

namespace aludel::cuda {

// w [groups][taps, channels][filters], shape.weight_stride floats apart, to turned [groups][filters][taps, channels], turned_stride apart.
Status turn_weights(const ConvShape& shape, const float* w, float* turned, int64_t turned_stride, const Context& context);
// And back, to dense ones.
Status turn_weights_back(const ConvShape& shape, const float* turned, int64_t turned_stride, float* w, const Context& context);

// y [groups][positions][filters] += bias [groups][filters]; a group's y is 16-byte aligned where filters are a multiple of four, and below
// 2^31.
Status add_bias(const ConvShape& shape, const float* bias, float* y, const Context& context);

// db [groups][filters] of dy [groups][positions][filters], in float64.
int64_t bias_grad_workspace_bytes(const ConvShape& shape, const DeviceInfo& device);
Status bias_grad(const ConvShape& shape, const float* dy, float* db, const Context& context);

}  // namespace aludel::cuda
