#include "native/cuda/pinned_pool.h"

#include <cuda_runtime.h>

namespace aludel::cuda {

PinnedPool::~PinnedPool() { release(); }

std::shared_ptr<void> PinnedPool::allocate(int64_t bytes) {
  int64_t size = 4096;
  while (size < bytes && size <= kMostBytes) size *= 2;
  const std::lock_guard<std::mutex> lock(mutex_);
  void* block = nullptr;
  const auto found = cached_.find(size);
  if (found != cached_.end()) {
    block = found->second;
    cached_.erase(found);
  } else {
    if (pinned_ + size > kMostBytes) return nullptr;
    if (cudaMallocHost(&block, static_cast<size_t>(size)) != cudaSuccess) {
      cudaGetLastError();
      return nullptr;
    }
    pinned_ += size;
  }
  return std::shared_ptr<void>(block, [pool = shared_from_this(), size](void* freed) { pool->give_back(freed, size); });
}

void PinnedPool::give_back(void* block, int64_t size) {
  const std::lock_guard<std::mutex> lock(mutex_);
  cached_.emplace(size, block);
}

void PinnedPool::release() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [size, block] : cached_) {
    cudaFreeHost(block);
    pinned_ -= size;
  }
  cached_.clear();
}

}  // namespace aludel::cuda
