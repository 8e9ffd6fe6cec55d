#include "native/cuda/memory_pool.h"

#include <cuda_runtime.h>

#include "native/cuda/kernel.h"

namespace aludel::cuda {
namespace {

constexpr int64_t kSmallest = 512, kLarge = int64_t{1} << 20, kLargeStep = int64_t{2} << 20;

// Few sizes, so that blocks fit again: at most an eighth more than asked for above 1 MB.
int64_t size_class(int64_t bytes) {
  if (bytes < kSmallest) return kSmallest;
  if (bytes > kLarge) return (bytes + kLargeStep - 1) / kLargeStep * kLargeStep;
  int64_t size = kSmallest;
  while (size < bytes) size *= 2;
  return size;
}

}  // namespace

MemoryPool::~MemoryPool() { release(); }

void MemoryPool::release() {
  const std::lock_guard<std::mutex> lock(mutex_);
  cudaSetDevice(ordinal_);
  release_cached();
}

Status MemoryPool::allocate(int64_t bytes, const char* what, std::shared_ptr<void>* block) {
  const int64_t size = size_class(bytes);
  void* found = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto cached = cached_.find(size);
    if (cached != cached_.end()) {
      found = cached->second;
      cached_.erase(cached);
    } else {
      const cudaError_t set = cudaSetDevice(ordinal_);
      if (set != cudaSuccess) return to_status(set, what);
      if (limit_ > 0 && taken_ + size > limit_) release_cached();
      if (limit_ > 0 && taken_ + size > limit_) return refuse(size, what);
      cudaError_t error = cudaMalloc(&found, static_cast<size_t>(size));
      if (error == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        release_cached();
        error = cudaMalloc(&found, static_cast<size_t>(size));
      }
      if (error == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        return refuse(size, what);
      }
      if (error != cudaSuccess) return to_status(error, what);
      taken_ += size;
    }
  }
  *block = std::shared_ptr<void>(found, [pool = shared_from_this(), size](void* freed) { pool->give_back(freed, size); });
  return {};
}

void MemoryPool::give_back(void* block, int64_t size) {
  const std::lock_guard<std::mutex> lock(mutex_);
  cached_.emplace(size, block);
}

// cudaFree waits until nothing on the device uses the block.
void MemoryPool::release_cached() {
  for (const auto& [size, block] : cached_) {
    cudaFree(block);
    taken_ -= size;
  }
  cached_.clear();
}

int64_t MemoryPool::free_bytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  int64_t bytes = free_beyond_cached();
  for (const auto& [size, block] : cached_) bytes += size;
  return bytes;
}

int64_t MemoryPool::free_beyond_cached() const {
  size_t free = 0, total = 0;
  if (cudaSetDevice(ordinal_) != cudaSuccess || cudaMemGetInfo(&free, &total) != cudaSuccess) free = 0;
  cudaGetLastError();
  const auto left = static_cast<int64_t>(free);
  return limit_ > 0 && limit_ - taken_ < left ? limit_ - taken_ : left;
}

Status MemoryPool::refuse(int64_t bytes, const char* what) const {
  const int64_t left = free_beyond_cached();
  size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) total = 0;
  cudaGetLastError();
  const auto whole = limit_ > 0 ? limit_ : static_cast<int64_t>(total);
  return fail(Code::out_of_memory, "%s: needs %lld bytes, %lld of %lld %s are free; use a smaller batch or fewer images at a time", what,
              static_cast<long long>(bytes), static_cast<long long>(left), static_cast<long long>(whole),
              limit_ > 0 ? "bytes of the memory limit" : "bytes of the device");
}

}  // namespace aludel::cuda
