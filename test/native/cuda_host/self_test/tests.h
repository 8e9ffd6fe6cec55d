// All tests by name, with the builds in which each means something.
#pragma once
#include "test/native/cuda_host/self_test/harness.h"

// X(name, builds): p plain, a AddressSanitizer, r race detector.
#define CUDA_HOST_TESTS(X)                 \
  X(softmax, "par")                        \
  X(reductions, "par")                     \
  X(pipeline, "par")                       \
  X(warp_votes, "par")                     \
  X(atomics, "par")                        \
  X(tensor_core, "par")                    \
  X(intrinsics, "par")                     \
  X(missing_syncthreads, "par")            \
  X(missing_syncthreads_in_loop, "par")    \
  X(missing_syncwarp, "par")               \
  X(missing_cp_async_wait, "par")          \
  X(short_cp_async_wait, "par")            \
  X(missing_barrier_after_wait, "par")     \
  X(missing_end_of_loop_barrier, "par")    \
  X(unsynchronised_update, "r")            \
  X(missing_threadfence, "r")              \
  X(barrier_in_divergent_code, "par")      \
  X(shuffle_in_divergent_code, "par")      \
  X(two_barriers_paired, "par")            \
  X(shuffle_mask_without_caller, "par")    \
  X(misaligned_cp_async, "par")            \
  X(global_out_of_bounds, "par")           \
  X(slack_written, "pr")                   \
  X(shared_out_of_bounds, "a")             \
  X(dynamic_shared_out_of_bounds, "par")   \
  X(use_after_free, "par")                 \
  X(stream_order, "par")                   \
  X(legacy_stream, "par")                  \
  X(pageable_copies, "par")                \
  X(missing_stream_synchronisation, "par") \
  X(missing_event, "par")                  \
  X(host_touches_device_memory, "pa")      \
  X(strict_mode, "par")                    \
  X(wrong_copy_direction, "par")           \
  X(copy_out_of_range, "par")              \
  X(double_free, "par")                    \
  X(graph_replay, "par")                   \
  X(stale_graph_argument, "par")           \
  X(missing_graph_edge, "par")             \
  X(freed_graph_argument, "par")           \
  X(capture_errors, "par")                 \
  X(launch_limits, "par")                  \
  X(memory_limit, "par")                   \
  X(no_driver, "par")                      \
  X(no_kernel_image, "par")                \
  X(lost_device, "par")                    \
  X(other_device_memory, "par")            \
  X(many_threads, "par")

#define CUDA_HOST_DECLARE(name, builds) void name();
CUDA_HOST_TESTS(CUDA_HOST_DECLARE)
#undef CUDA_HOST_DECLARE
void environment();
void speed();
