#include "native/core/opcodes.h"
#include "native/cuda/kernels/conv_library.h"
#include "native/cuda/kernels/fast_division.cuh"
#include "native/cuda/kernels/strided_copy.h"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kPerThread = 4;

// Of a matrix for each group: rows and columns as the source has them.
Status turn(int64_t groups, int64_t rows, int64_t columns, const float* from, int64_t from_stride, float* to, int64_t to_stride,
            const Context& context) {
  return launch_strided_copy({reinterpret_cast<const char*>(from),
                              reinterpret_cast<char*>(to),
                              sizeof(float),
                              3,
                              {groups, columns, rows},
                              {from_stride, 1, columns},
                              {to_stride, rows, 1}},
                             context);
}

// A block column a group; the division is by vectors in a row of filters.
template <int vector>
__global__ void __launch_bounds__(kThreads)
    add_to_rows(Guard guard, const float* bias, float* y, int64_t y_stride, uint32_t count, FastDivision columns) {
  if (guard.stopped()) return;
  bias += int64_t{blockIdx.y} * columns.divisor() * vector;
  y += blockIdx.y * y_stride;
  const uint32_t stride = gridDim.x * kThreads;
  for (uint32_t i = blockIdx.x * kThreads + threadIdx.x; i < count; i += stride) {
    const float* b = bias + (i - columns.quotient(i) * columns.divisor()) * vector;
    if constexpr (vector == 4) {
      float4* at = reinterpret_cast<float4*>(y) + i;
      float4 v = *at;
      v.x += b[0], v.y += b[1], v.z += b[2], v.w += b[3];
      *at = v;
    } else {
      y[i] += b[0];
    }
  }
}

template <int vector>
Status launch_add(const ConvShape& s, const float* bias, float* y, const Context& context) {
  const int64_t count = s.y_stride() / vector;
  const dim3 grid(grid_for(count, kThreads, *context.device, kPerThread), static_cast<unsigned>(s.groups));
  return launched(context, add_to_rows<vector>, grid, kThreads, 0, bias, y, s.y_stride(), static_cast<uint32_t>(count),
                  FastDivision(static_cast<uint32_t>(s.filters / vector)));
}

const Kernel& sum_kernel() { return *kernel_table()[static_cast<size_t>(Opcode::sum)]; }

struct BiasSum {
  TensorRef dy, db;
  double axis = 1;

  BiasSum(const ConvShape& s, const float* from, float* to)
      : dy{DType::f32, 3, {s.groups, s.positions(), s.filters}, const_cast<float*>(from)}, db{DType::f32, 2, {s.groups, s.filters}, to} {}
  KernelArgs args() const { return {static_cast<int>(Opcode::sum), &dy, 1, &db, 1, &axis, 1}; }
};

}  // namespace

Status turn_weights(const ConvShape& s, const float* w, float* turned, int64_t turned_stride, const Context& context) {
  return turn(s.groups, s.taps() * s.channels, s.filters, w, s.weight_stride, turned, turned_stride, context);
}

Status turn_weights_back(const ConvShape& s, const float* turned, int64_t turned_stride, float* w, const Context& context) {
  return turn(s.groups, s.filters, s.taps() * s.channels, turned, turned_stride, w, s.weights(), context);
}

Status add_bias(const ConvShape& s, const float* bias, float* y, const Context& context) {
  return s.filters % 4 == 0 ? launch_add<4>(s, bias, y, context) : launch_add<1>(s, bias, y, context);
}

int64_t bias_grad_workspace_bytes(const ConvShape& s, const DeviceInfo& device) {
  return sum_kernel().workspace_bytes(BiasSum(s, nullptr, nullptr).args(), device);
}

Status bias_grad(const ConvShape& s, const float* dy, float* db, const Context& context) {
  return sum_kernel().launch(BiasSum(s, dy, db).args(), context);
}

}  // namespace aludel::cuda
