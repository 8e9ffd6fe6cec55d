// Device memory. cudaFree waits for the whole device and both calls take longer than a small kernel, so blocks that are freed are kept and
// handed out again; what nobody needs goes back when an allocation would otherwise fail. Any thread.
#pragma once
#include <map>
#include <memory>
#include <mutex>

#include "native/core/status.h"

namespace aludel::cuda {

class MemoryPool : public std::enable_shared_from_this<MemoryPool> {
 public:
  // limit: bytes that this pool takes at most, 0 for what the device has.
  MemoryPool(int ordinal, int64_t limit) : ordinal_(ordinal), limit_(limit) {}
  ~MemoryPool();
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

  // 256-byte aligned, contents undefined. The pool outlives its blocks. `what` names the purpose in the out_of_memory message, which says
  // what is needed, what is free and what the limit is. A block must not be freed while work on it is under way.
  Status allocate(int64_t bytes, const char* what, std::shared_ptr<void>* block);
  // Gives the blocks nobody holds back to the device.
  void release();
  // What may still be had, blocks that are kept for later included.
  int64_t free_bytes() const;

 private:
  void give_back(void* block, int64_t size);
  void release_cached();               // with the lock held
  int64_t free_beyond_cached() const;  // with the lock held
  Status refuse(int64_t bytes, const char* what) const;

  const int ordinal_;
  const int64_t limit_;
  mutable std::mutex mutex_;
  std::multimap<int64_t, void*> cached_;
  int64_t taken_ = 0;  // from CUDA, cached blocks included
};

}  // namespace aludel::cuda
