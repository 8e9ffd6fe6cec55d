// How kernels are started and how they name their dynamic shared memory. The only file with either, so that the same .cu sources compile
// with nvcc and, for tests without a GPU, with g++ against test/native/cuda_host.
#pragma once
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <utility>

namespace aludel::cuda {

struct Launch {
  dim3 grid;
  dim3 block;
  size_t smem = 0;  // bytes of dynamic shared memory, at most the device's opt-in limit
  cudaStream_t stream = nullptr;
};

// Dynamic shared memory that every kernel may use without asking.
constexpr size_t kDefaultDynamicShared = 48 * 1024;

// launch(kernel<...>, {grid, block, smem, stream}, arguments...) converts the arguments to the parameter types, raises the kernel's limit
// of dynamic shared memory where it is needed, and returns the error of this launch alone (faults inside the kernel come with a later
// call).
template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), const Launch& config, Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "wrong number of kernel arguments");
  if (config.smem > kDefaultDynamicShared) {
    const cudaError_t error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(config.smem));
    if (error != cudaSuccess) return error;
  }
  std::tuple<Parameters...> values(static_cast<Parameters>(std::forward<Arguments>(arguments))...);
#ifdef __CUDACC__
  return std::apply(
      [&](auto&... value) {
        void* pointers[sizeof...(Parameters) + 1] = {const_cast<void*>(static_cast<const volatile void*>(&value))...};
        return cudaLaunchKernel(kernel, config.grid, config.block, pointers, config.smem, config.stream);
      },
      values);
#else
  return cuda_host::launch(reinterpret_cast<const void*>(kernel), config.grid, config.block, config.smem, config.stream,
                           [kernel, values = std::move(values)] { std::apply(kernel, values); });
#endif
}

}  // namespace aludel::cuda

// T* name = the block's dynamic shared memory, aligned to 16 bytes; its size is Launch::smem.
#ifdef __CUDACC__
#define ALUDEL_DYNAMIC_SHARED(T, name)                                    \
  extern __shared__ __align__(16) unsigned char aludel_dynamic_shared_[]; \
  T* name = reinterpret_cast<T*>(aludel_dynamic_shared_)
#else
#define ALUDEL_DYNAMIC_SHARED(T, name) T* name = static_cast<T*>(::cuda_host::dynamic_shared())
#endif
