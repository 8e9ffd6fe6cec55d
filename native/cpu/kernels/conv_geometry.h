// Shapes and options of one convolution, read from an instruction and checked; the only place where the five ops look at their arguments.
#pragma once
#include "native/cpu/simd.h"

namespace aludel::cpu::ALUDEL_ISA {

// Which gradient a set of weights serves: the roles swap the reduced and the produced channels.
enum class ConvRole { forward = 0, input_grad = 1 };

// x [groups, images, height, width, channels], w [groups, kernel_height, kernel_width, channels, filters],
// y [groups, images, out_height, out_width, filters].
struct ConvGeometry {
  int64_t groups, images, height, width, channels;
  int64_t out_height, out_width, filters;
  int64_t kernel_height, kernel_width;
  int64_t stride_height, stride_width, pad_height, pad_width;
  bool winograd;  // F(4,3): 3x3, stride 1, pad 1
  bool prepared;  // the weights are a conv2d_prepare output

  ALUDEL_INLINE int64_t taps() const { return kernel_height * kernel_width; }
};

struct PrepareGeometry {
  int64_t groups, kernel_height, kernel_width, channels, filters;
  ConvRole role;
  bool winograd;
};

// Points in the transformed domain of F(4,3).
constexpr int kWinogradPoints = 36;
// Prepared weights hold the produced channels rounded up to this, whatever the vector width, so that a plan's sizes do not depend on it.
constexpr int64_t kPreparedMultiple = 32;

ALUDEL_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
ALUDEL_INLINE int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
ALUDEL_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
ALUDEL_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// Each fills the geometry and says invalid_program when an operand or attribute does not fit.
Status read_conv2d(const KernelArgs& args, ConvGeometry* geometry);
Status read_conv2d_input_grad(const KernelArgs& args, ConvGeometry* geometry);
Status read_conv2d_weight_grad(const KernelArgs& args, ConvGeometry* geometry);
Status read_conv2d_weight_grad_squared_norm(const KernelArgs& args, ConvGeometry* geometry, bool* gram);
Status read_conv2d_prepare(const KernelArgs& args, PrepareGeometry* geometry);

}  // namespace aludel::cpu::ALUDEL_ISA
