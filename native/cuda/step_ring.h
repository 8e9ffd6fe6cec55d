// Bounds how many steps are on the stream at once, so that a cancelled run ends after a few of them. Run thread only.
#pragma once
#include "native/cuda/kernel.h"

namespace aludel::cuda {

class StepRing {
 public:
  StepRing() = default;
  ~StepRing() {
    for (const cudaEvent_t event : events_)
      if (event != nullptr) cudaEventDestroy(event);
  }
  StepRing(const StepRing&) = delete;
  StepRing& operator=(const StepRing&) = delete;

  // Until there is room for another step.
  Status wait() {
    if (events_[next_] == nullptr) return {};
    ALUDEL_RETURN_IF_CUDA_ERROR(cudaEventSynchronize(events_[next_]), "a step");
    return {};
  }
  // The step that was put on the stream.
  Status put(cudaStream_t stream) {
    cudaEvent_t& event = events_[next_];
    // Waiting threads sleep: a run takes minutes, and the cores are wanted elsewhere.
    if (event == nullptr)
      ALUDEL_RETURN_IF_CUDA_ERROR(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventBlockingSync), "an event");
    ALUDEL_RETURN_IF_CUDA_ERROR(cudaEventRecord(event, stream), "an event");
    next_ = (next_ + 1) % kDepth;
    return {};
  }

 private:
  static constexpr int kDepth = 4;
  cudaEvent_t events_[kDepth] = {};
  int next_ = 0;
};

}  // namespace aludel::cuda
