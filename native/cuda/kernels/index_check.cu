// Indices are data: they are looked at on the stream, and a step that holds a wrong one is refused before it changes an argument.
#include "native/cuda/kernels/launching.h"
#include "native/cuda/kernels/refusal.cuh"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 256;

__device__ __forceinline__ bool is_wrong(int32_t index, int64_t limit) { return index < 0 || index >= limit; }
__device__ __forceinline__ bool is_wrong(float kind, int64_t limit) {
  return !(kind >= 0 && kind < static_cast<float>(limit)) || floorf(kind) != kind;
}
__device__ __forceinline__ int32_t shown(int32_t index) { return index; }
__device__ __forceinline__ int32_t shown(float kind) {
  return kind > -2147483648.0f && kind < 2147483648.0f ? static_cast<int32_t>(floorf(kind)) : INT32_MIN;
}

// One block, so that the first wrong position wins whatever the order of threads.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    find_wrong_index(Guard, const T* index, int64_t n, int64_t stride, int64_t limit, Refusal refusal) {
  __shared__ int64_t first[kThreads];
  const int thread = static_cast<int>(threadIdx.x);
  int64_t found = n;
  for (int64_t i = thread; i < n && found == n; i += kThreads)
    if (is_wrong(index[i * stride], limit)) found = i;
  first[thread] = found;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (thread < half && first[thread + half] < first[thread]) first[thread] = first[thread + half];
    __syncthreads();
  }
  if (thread == 0 && first[0] < n) refusal.refuse(shown(index[first[0] * stride]), first[0], limit);
}

}  // namespace

Status check_indices(const Context& context, const TensorRef& index, int64_t limit) {
  const int64_t n = index.numel();
  if (n == 0) return {};
  return launched(context, find_wrong_index<int32_t>, 1, kThreads, 0, index.as<const int32_t>(), n, 1, limit, refusal_of(context));
}

Status check_kinds(const Context& context, const TensorRef& rows, int64_t limit) {
  const int64_t n = rows.dims[0];
  if (n == 0) return {};
  return launched(context, find_wrong_index<float>, 1, kThreads, 0, rows.as<const float>(), n, rows.dims[1], limit, refusal_of(context));
}

}  // namespace aludel::cuda
