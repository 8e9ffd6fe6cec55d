// How a library that was built apart, as a closed one is, puts work on a stream: every stream begins with this. Plain types, as the library
// shares nothing else with the runtime.
#pragma once
#include "cuda_host/errors.h"
#include "cuda_host/handles.h"

namespace cuda_host {

struct LibraryWork {
  // work(data) runs in the stream's turn, once for each replay where the stream is captured, and may touch the device's memory.
  cudaError_t (*put)(cudaStream_t stream, void (*work)(void*), void* data) = nullptr;
};

}  // namespace cuda_host
