#include "native/cuda/staging.h"

#include <algorithm>
#include <cstring>

#include "native/cuda/kernel.h"

namespace aludel::cuda {

Staging::~Staging() {
  for (Piece& piece : pieces_) {
    if (piece.done != nullptr) cudaEventDestroy(piece.done);
    if (piece.pinned != nullptr) cudaFreeHost(piece.pinned);
  }
}

Status Staging::open() {
  for (Piece& piece : pieces_) {
    if (piece.pinned == nullptr)
      ALUDEL_RETURN_IF_CUDA_ERROR(cudaMallocHost(&piece.pinned, static_cast<size_t>(kPieceBytes)), "pinned memory for transfers");
    if (piece.done == nullptr)
      ALUDEL_RETURN_IF_CUDA_ERROR(cudaEventCreateWithFlags(&piece.done, cudaEventDisableTiming), "pinned memory for transfers");
  }
  return {};
}

Status Staging::upload(void* target, const void* source, int64_t bytes, cudaStream_t stream) {
  ALUDEL_RETURN_IF_ERROR(open());
  for (int64_t at = 0; at < bytes; at += kPieceBytes) {
    Piece& piece = pieces_[next_];
    next_ ^= 1;
    const auto count = static_cast<size_t>(std::min(kPieceBytes, bytes - at));
    ALUDEL_RETURN_IF_CUDA_ERROR(cudaEventSynchronize(piece.done), "upload");
    memcpy(piece.pinned, static_cast<const char*>(source) + at, count);
    ALUDEL_RETURN_IF_CUDA_ERROR(cudaMemcpyAsync(static_cast<char*>(target) + at, piece.pinned, count, cudaMemcpyHostToDevice, stream),
                                "upload");
    ALUDEL_RETURN_IF_CUDA_ERROR(cudaEventRecord(piece.done, stream), "upload");
  }
  return {};
}

Status Staging::download(void* target, const void* source, int64_t bytes, cudaStream_t stream) {
  ALUDEL_RETURN_IF_ERROR(open());
  const auto size_at = [&](int64_t at) { return static_cast<size_t>(std::min(kPieceBytes, bytes - at)); };
  const auto begin = [&](int64_t at) -> Status {
    Piece& piece = pieces_[at / kPieceBytes % 2];
    ALUDEL_RETURN_IF_CUDA_ERROR(cudaEventSynchronize(piece.done), "download");  // of an upload that still reads it
    ALUDEL_RETURN_IF_CUDA_ERROR(
        cudaMemcpyAsync(piece.pinned, static_cast<const char*>(source) + at, size_at(at), cudaMemcpyDeviceToHost, stream), "download");
    ALUDEL_RETURN_IF_CUDA_ERROR(cudaEventRecord(piece.done, stream), "download");
    return {};
  };
  if (bytes > 0) ALUDEL_RETURN_IF_ERROR(begin(0));
  for (int64_t at = 0; at < bytes; at += kPieceBytes) {
    if (at + kPieceBytes < bytes) ALUDEL_RETURN_IF_ERROR(begin(at + kPieceBytes));
    Piece& piece = pieces_[at / kPieceBytes % 2];
    ALUDEL_RETURN_IF_CUDA_ERROR(cudaEventSynchronize(piece.done), "download");
    memcpy(static_cast<char*>(target) + at, piece.pinned, size_at(at));
  }
  return {};
}

}  // namespace aludel::cuda
