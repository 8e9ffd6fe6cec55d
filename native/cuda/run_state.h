// What a run leaves on the device for the host to read when it ends, and what kernels look at on the way. One per loaded program.
#pragma once
#include <cstdint>

namespace aludel::cuda {

// Written on the stream alone, so that no two kernels touch it at once.
struct RunState {
  uint32_t step;        // index of the step at hand: what the program's step scalar reads
  int32_t fault;        // 0, or 1 once a step was refused; later steps and the commit of this one do nothing
  int64_t completed;    // steps whose effects are in the arguments
  int32_t instruction;  // of the fault: where, which element of the index tensor, what it held, and the first index too large
  int32_t value;
  int64_t position;  // or kAllTaken
  int64_t limit;
};

// In place of a position: `limit` rows were to choose from, and none was left.
constexpr int64_t kAllTaken = -1;

// First argument of every kernel, and the first thing it looks at:  if (guard.stopped()) return;
// Instructions that write arguments must do nothing once the step is refused; for all others `state` is null and costs no load.
struct Guard {
  const RunState* state = nullptr;
#if defined(__CUDACC__) || defined(CUDA_HOST)
  __device__ __forceinline__ bool stopped() const { return state != nullptr && state->fault != 0; }
#endif
};

}  // namespace aludel::cuda
