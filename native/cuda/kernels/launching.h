// What the host side of every kernel uses: sizes of grids, launches as Status, checked indices.
#pragma once
#include "native/cuda/kernel.h"
#include "native/cuda/launch.cuh"

namespace aludel::cuda {

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// Blocks of a one-dimensional launch whose threads stride over n elements: enough to fill the device, never more than there is work.
// Which thread does an element must not change its bits, as it does not where every element is computed by itself.
inline unsigned grid_for(int64_t n, int threads, const DeviceInfo& device, int64_t per_thread = 1) {
  const int64_t wanted = ceil_div(n, threads * per_thread), most = int64_t{32} * device.multiprocessors;
  return static_cast<unsigned>(wanted < 1 ? 1 : wanted < most ? wanted : most);
}

// launched(context, kernel, grid, block, args...): kernel(guard, args...) on the context's stream.
template <typename... P, typename... A>
Status launched(const Context& context, void (*kernel)(Guard, P...), dim3 grid, dim3 block, size_t shared, A&&... args) {
  return to_status(launch(kernel, Launch{grid, block, shared, context.stream}, context.guard, static_cast<P>(args)...), "a kernel launch");
}

// Refuses the step when an element of `index` (i32) is outside 0..limit-1, the first such element named. On the stream, before the kernel
// that uses the indices, which must still not leave its operands: it is launched all the same (a step refused before its commit only writes
// the arena). See kernels/index_check.cu.
Status check_indices(const Context& context, const TensorRef& index, int64_t limit);

// The same for f32 [N,K] whose first column holds whole numbers 0..limit-1; RunState::value is the number rounded down, INT32_MIN where no
// i32 holds it.
Status check_kinds(const Context& context, const TensorRef& rows, int64_t limit);

}  // namespace aludel::cuda
