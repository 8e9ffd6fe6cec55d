// Small kernels of the executor's own: rings of slots, the end of a step, zeros.
#pragma once
#include <vector>

#include "native/cuda/kernel.h"

namespace aludel::cuda {

// A value that lies in a ring of slots, and its stand-in at a fixed place. Kernels see the stand-in alone, so that their arguments are the
// same at every step: it is filled from the slot before the first instruction and copied back after the last.
struct SlotCopy {
  char* ring;
  char* stand_in;
  int64_t bytes;
  uint32_t slots;
  int32_t mul, add;
};

Status load_slots(const Context& context, const std::vector<SlotCopy>& copies);
Status store_slots(const Context& context, const std::vector<SlotCopy>& copies);

// Counts a step that was not refused.
Status end_step(const Context& context);

// Unlike cudaMemsetAsync heeds the guard.
Status clear(const Context& context, void* data, int64_t bytes);

}  // namespace aludel::cuda
