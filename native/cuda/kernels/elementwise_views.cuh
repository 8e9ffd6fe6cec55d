// The tensors of an elementwise program as its interpreter reads and writes them, and the program in a form that a kernel is given by value
// (nearly always) or finds in device memory (programs beyond its limits).
#pragma once
#include "native/cuda/kernels/division.cuh"
#include "native/cuda/kernels/elementwise_program.cuh"
#include "native/cuda/kernels/launching.h"

namespace aludel::cuda {

// One dimension of the output with the input's stride in it, 0 where the input is broadcast.
template <typename I>
struct ReadAxis {
  Division<I> size{1};
  int64_t stride = 0;
};

enum class Access : uint8_t { direct, scalar, strided };

struct ElementwiseInput {
  const void* data = nullptr;
  uint16_t slot = kNone;
  uint16_t first_axis = 0;  // strided: axes outermost first
  uint8_t axes = 0;
  Access access = Access::direct;
  DType dtype = DType::f32;
  bool splat = false;  // the innermost axis does not move the input
};

struct ElementwiseOutput {
  void* data = nullptr;
  DType dtype = DType::f32;
};

template <typename I, int MaxInputs, int MaxOutputs, int MaxAxes, int MaxSteps>
struct ElementwiseKernelProgram {
  using Index = I;
  static constexpr int kMaxInputs = MaxInputs, kMaxOutputs = MaxOutputs, kMaxAxes = MaxAxes, kMaxSteps = MaxSteps;
  I elements = 0;
  int32_t inputs = 0, steps = 0;
  bool by_groups = false;  // 16 bytes at a time: everything is aligned, and no group crosses the end of an innermost axis
  Step step[MaxSteps];
  ElementwiseInput input[MaxInputs];
  ElementwiseOutput output[MaxOutputs];
  ReadAxis<I> axis[MaxAxes];
};
// What the compiler fuses (48 ops, 16 inputs, 8 outputs) fits the first, and that a kernel's parameters.
using NearProgram = ElementwiseKernelProgram<uint32_t, 24, 16, 48, 64>;
static_assert(sizeof(NearProgram) <= 4000);
// What the CPU kernel takes: 255 operands of an instruction, 256 ops, a copy for each output.
using FarProgram = ElementwiseKernelProgram<uint64_t, 255, 64, 255 * kMaxRank, 256 + 64>;

struct CollapsedView {
  int axes = 0;
  int64_t size[kMaxRank], stride[kMaxRank];  // outermost first
};

// Reading `in` in the order of `out`, with as few axes as there can be.
inline CollapsedView collapsed_view(const TensorRef& in, const TensorRef& out) {
  CollapsedView view;
  int64_t stride = 1;
  for (int d = out.rank - 1; d >= 0; --d) {
    const int own = d - (out.rank - in.rank);
    const int64_t size = out.dims[d], step = own >= 0 && in.dims[own] != 1 ? stride : 0;
    if (own >= 0) stride *= in.dims[own];
    if (size == 1) continue;
    if (view.axes > 0 && step == view.stride[view.axes - 1] * view.size[view.axes - 1]) {
      view.size[view.axes - 1] *= size;
    } else {
      view.size[view.axes] = size;
      view.stride[view.axes++] = step;
    }
  }
  for (int i = 0; i < view.axes / 2; ++i) {
    std::swap(view.size[i], view.size[view.axes - 1 - i]);
    std::swap(view.stride[i], view.stride[view.axes - 1 - i]);
  }
  return view;
}

inline bool aligned16(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

// Axes that the strided inputs need together.
inline int axes_of(const KernelArgs& args, const SlotProgram& slots) {
  int axes = 0;
  for (int i = 0; i < args.nin; ++i)
    if (slots.input_slot[static_cast<size_t>(i)] != kNone) axes += collapsed_view(args.in[i], args.out[0]).axes;
  return axes;
}

template <typename P>
void fill_program(const KernelArgs& args, const SlotProgram& slots, DType compute, P* program) {
  using I = typename P::Index;
  const int64_t n = args.out[0].numel(), group = 16 / size_of(compute);
  program->elements = static_cast<I>(n);
  program->steps = static_cast<int32_t>(slots.steps.size());
  for (size_t s = 0; s < slots.steps.size(); ++s) program->step[s] = slots.steps[s];
  bool by_groups = n % group == 0;
  int next_axis = 0;
  for (int i = 0; i < args.nin; ++i) {
    const uint16_t slot = slots.input_slot[static_cast<size_t>(i)];
    if (slot == kNone) continue;
    ElementwiseInput& input = program->input[program->inputs++];
    input.data = args.in[i].data;
    input.dtype = args.in[i].dtype;
    input.slot = slot;
    const CollapsedView view = collapsed_view(args.in[i], args.out[0]);
    if (args.in[i].numel() == 1) {
      input.access = Access::scalar;
      input.splat = true;
    } else if (view.axes == 1 && view.stride[0] == 1) {
      input.access = Access::direct;
    } else {
      input.access = Access::strided;
      input.first_axis = static_cast<uint16_t>(next_axis);
      input.axes = static_cast<uint8_t>(view.axes);
      input.splat = view.stride[view.axes - 1] == 0;
      by_groups = by_groups && view.size[view.axes - 1] % group == 0;
      using Size = std::conditional_t<sizeof(I) == 4, uint32_t, uint64_t>;
      for (int a = 0; a < view.axes; ++a) program->axis[next_axis++] = {Division<I>(static_cast<Size>(view.size[a])), view.stride[a]};
    }
    by_groups = by_groups && input.dtype == compute && (input.splat || aligned16(input.data));
  }
  for (int o = 0; o < args.nout; ++o) {
    program->output[o] = {args.out[o].data, args.out[o].dtype};
    by_groups = by_groups && args.out[o].dtype == compute && aligned16(args.out[o].data);
  }
  program->by_groups = by_groups;
}

template <typename I, typename P>
__device__ __forceinline__ int64_t offset_of(const P& program, const ElementwiseInput& input, I i) {
  if (input.access == Access::direct) return static_cast<int64_t>(i);
  if (input.access == Access::scalar) return 0;
  int64_t offset = 0;
  for (int a = input.first_axis + input.axes - 1; a > input.first_axis; --a) {
    const ReadAxis<I>& axis = program.axis[a];
    const I rest = axis.size.quotient(i);
    offset += static_cast<int64_t>(i - rest * axis.size.divisor()) * axis.stride;
    i = rest;
  }
  return offset + static_cast<int64_t>(i) * program.axis[input.first_axis].stride;
}

}  // namespace aludel::cuda
