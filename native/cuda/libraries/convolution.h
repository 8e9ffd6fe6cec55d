// A convolution instruction as libraries are asked for it.
#pragma once
#include "native/core/opcodes.h"
#include "native/cuda/kernels/conv_shape.h"

namespace aludel::cuda {

struct Convolution {
  enum Pass : uint8_t { forward, input_grad, weight_grad };

  Pass pass;
  ConvShape shape;

  // Of an instruction of one of the three.
  static Convolution of(const KernelArgs& args) {
    const auto opcode = static_cast<Opcode>(args.opcode);
    Convolution c{opcode == Opcode::conv2d ? forward : opcode == Opcode::conv2d_input_grad ? input_grad : weight_grad, {}};
    const TensorRef& x = c.pass == input_grad ? args.out[0] : args.in[0];
    const TensorRef& y = c.pass == forward ? args.out[0] : c.pass == input_grad ? args.in[0] : args.in[1];
    c.shape = conv_maps(x, y, args.attrs);
    if (c.pass == weight_grad)
      set_weights(args.out[0], 0, &c.shape);
    else
      set_weights(args.in[1], static_cast<int>(args.attrs[4]), &c.shape);
    return c;
  }
};

}  // namespace aludel::cuda
