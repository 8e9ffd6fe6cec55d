// Pinned host memory for uploads that overlap runs. Pinning takes milliseconds, so blocks are kept. Any thread.
#pragma once
#include <map>
#include <memory>
#include <mutex>

namespace aludel::cuda {

class PinnedPool : public std::enable_shared_from_this<PinnedPool> {
 public:
  PinnedPool() = default;
  ~PinnedPool();
  PinnedPool(const PinnedPool&) = delete;
  PinnedPool& operator=(const PinnedPool&) = delete;

  // Null when more is pinned already than a process should take, or none is given: the caller has another way. The device in use is the
  // calling thread's.
  std::shared_ptr<void> allocate(int64_t bytes);
  // Unpins the blocks nobody holds.
  void release();

 private:
  void give_back(void* block, int64_t size);

  static constexpr int64_t kMostBytes = int64_t{256} << 20;
  std::mutex mutex_;
  std::multimap<int64_t, void*> cached_;
  int64_t pinned_ = 0;
};

}  // namespace aludel::cuda
