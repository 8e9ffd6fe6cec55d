// Names every kernel of the self tests, so that nvcc compiles them all. Not part of the emulated build.
#include "test/native/cuda_host/self_test/planted_kernels.cuh"
#include "test/native/cuda_host/self_test/right_kernels.cuh"

using namespace self_test;
using aludel::cuda::launch;

cudaError_t launch_all(float* x, int* n, unsigned* u, double* d, uint16_t* h, cudaStream_t s) {
  const aludel::cuda::Launch c{dim3(2, 3), 64, 64 << 10, s};
  const auto* x4 = reinterpret_cast<const float4*>(x);
  cudaError_t e = cudaSuccess;
  for (const cudaError_t one : {launch(softmax_loss, c, x, n, x, x, 1, 1),
                                launch(votes, c, u),
                                launch(product_bf16, c, h, h, x),
                                launch(product_tf32, c, x, x, x),
                                launch(product_f64, c, d, d, d),
                                launch(last_block_sum, c, x, x, u, x),
                                launch(add_value, c, x, 1),
                                launch(double_values, c, x),
                                launch(nothing, c),
                                launch(fill_dynamic_shared, c, 1),
                                launch(many_barriers, c, 1),
                                launch(many_shuffles, c, 1, n),
                                launch(many_products, c, 1, x),
                                launch(block_sum<false>, c, x, x),
                                launch(block_sum<true>, c, x, x),
                                launch(tree_sum<false>, c, x, x),
                                launch(reverse_warp<false>, c, n, n),
                                launch(count_threads<true>, c, n),
                                launch(pipeline_sum<kNoBug>, c, x4, x, 1),
                                launch(pipeline_sum<kShortWait>, c, x4, x, 1),
                                launch(barrier_in_branch, c, n),
                                launch(shuffle_in_branch, c, n),
                                launch(paired_barriers, c, n),
                                launch(mask_without_caller, c, n),
                                launch(write_too_far, c, x, 1),
                                launch(write_shared_too_far, c, x),
                                launch(misaligned_copy, c, x, x),
                                launch(hand_over<false>, c, n, u, n)})
    if (one != cudaSuccess) e = one;
  return e;
}
