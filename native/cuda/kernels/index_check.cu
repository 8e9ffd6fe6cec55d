// Indices are data: they are looked at on the stream, and a step that holds a wrong one is refused before it changes an argument.
#include "native/cuda/kernels/launching.h"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 256;

// One block, so that the first wrong position wins whatever the order of threads.
__global__ void __launch_bounds__(kThreads)
    find_wrong_index(Guard, const int32_t* index, int64_t n, int64_t limit, RunState* state, int32_t instruction) {
  __shared__ int64_t first[kThreads];
  const int thread = static_cast<int>(threadIdx.x);
  int64_t found = n;
  for (int64_t i = thread; i < n && found == n; i += kThreads)
    if (index[i] < 0 || index[i] >= limit) found = i;
  first[thread] = found;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (thread < half && first[thread + half] < first[thread]) first[thread] = first[thread + half];
    __syncthreads();
  }
  if (thread == 0 && first[0] < n && state->fault == 0) {
    state->instruction = instruction;
    state->value = index[first[0]];
    state->position = first[0];
    state->limit = limit;
    state->fault = 1;
  }
}

}  // namespace

Status check_indices(const Context& context, const TensorRef& index, int64_t limit) {
  const int64_t n = index.numel();
  if (n == 0) return {};
  return launched(context, find_wrong_index, 1, kThreads, 0, index.as<const int32_t>(), n, limit, context.state, context.instruction);
}

}  // namespace aludel::cuda
