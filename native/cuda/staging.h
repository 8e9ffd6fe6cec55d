// Copies between pageable host memory and the device through two pinned pieces: while one is on its way the other is filled or emptied, and
// an upload that fits returns as soon as its bytes are in them, so that the copy overlaps what the host does next. Run thread only.
#pragma once
#include <cuda_runtime.h>

#include "native/core/status.h"

namespace aludel::cuda {

class Staging {
 public:
  Staging() = default;
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // Before the next work of the stream; `source` may be reused when it returns.
  Status upload(void* target, const void* source, int64_t bytes, cudaStream_t stream);
  // After all work of the stream; complete when it returns.
  Status download(void* target, const void* source, int64_t bytes, cudaStream_t stream);

 private:
  struct Piece {
    void* pinned = nullptr;
    cudaEvent_t done = nullptr;
  };
  Status open();

  static constexpr int64_t kPieceBytes = int64_t{4} << 20;
  Piece pieces_[2];
  int next_ = 0;
};

}  // namespace aludel::cuda
