// How a kernel refuses the step: what it found goes to the run's state, where the host reads it when the run ends.
#pragma once
#include "native/cuda/kernel.h"
#include "native/cuda/launch.cuh"

namespace aludel::cuda {

struct Refusal {
  RunState* state;
  int32_t instruction;

  // Called by one thread of the grid, after all of them have asked the guard. The first refusal of a step stays.
  __device__ __forceinline__ void refuse(int32_t value, int64_t position, int64_t limit) const {
    if (state->fault != 0) return;
    state->instruction = instruction;
    state->value = value;
    state->position = position;
    state->limit = limit;
    state->fault = 1;
  }
};

inline Refusal refusal_of(const Context& context) { return {context.state, context.instruction}; }

}  // namespace aludel::cuda
