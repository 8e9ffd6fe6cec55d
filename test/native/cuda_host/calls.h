// What every call of the runtime API does first and last. One lock for the whole runtime: __shared__ variables are statics, so kernels run
// one at a time, and a call from any thread waits for the kernel that runs.
#pragma once
#include <mutex>

#include "cuda_host/errors.h"

namespace cuda_host {

std::recursive_mutex& runtime_lock();

// Why no call can work now: no driver, no device, the current device lost.
cudaError_t standing_error();
cudaError_t remember(cudaError_t error);  // for cudaGetLastError() of this thread

template <class F>
cudaError_t call(F body) {
  const std::lock_guard lock(runtime_lock());
  const cudaError_t standing = standing_error();
  return remember(standing != cudaSuccess ? standing : body());
}

// For calls that give something back: they do their work even on a lost device, and then say that it is lost.
template <class F>
cudaError_t release_call(F body) {
  const std::lock_guard lock(runtime_lock());
  const cudaError_t error = body(), standing = standing_error();
  return remember(standing != cudaSuccess ? standing : error);
}

// For calls that end in waiting: a fault of the work shows here.
template <class F>
cudaError_t waiting_call(F body) {
  return call([&] {
    const cudaError_t error = body();
    return error != cudaSuccess ? error : standing_error();
  });
}

}  // namespace cuda_host
