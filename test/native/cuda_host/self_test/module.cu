// A kernel in a shared library, as in an addon.
#include "test/native/cuda_host/self_test/right_kernels.cuh"

int run_module() {
  float *x = nullptr, h = 0;
  if (cudaMalloc(&x, 256) != cudaSuccess || cudaMemset(x, 0, 256) != cudaSuccess) return 1;
  if (aludel::cuda::launch(self_test::add_value, {1, 64}, x, 7.0f) != cudaSuccess) return 2;
  if (cudaMemcpy(&h, x + 63, 4, cudaMemcpyDeviceToHost) != cudaSuccess || h != 7.0f) return 3;
  return cudaFree(x) == cudaSuccess ? 0 : 4;
}
