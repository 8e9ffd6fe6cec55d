// A pool for short parallel regions: the caller works too, sleeping workers are woken by futex, nobody spins beyond a few microseconds.
#pragma once
#include <atomic>
#include <thread>
#include <vector>

#include "native/core/workers.h"

namespace aludel::cpu {

class ThreadPool final : public Workers {
 public:
  // threads >= 1, the calling thread included.
  explicit ThreadPool(int threads);
  ~ThreadPool() override;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int count() const override { return static_cast<int>(threads_.size()) + 1; }
  void parallel(int64_t tasks, void (*body)(void* context, int64_t task, int worker), void* context) override;

 private:
  void work(int worker);
  void take_tasks(int worker);

  // The region at hand. Written by the caller only while open_ is false and active_ is 0; read by a worker only after it has counted
  // itself in active_ and then seen open_ true. Both orders are sequentially consistent, so the caller cannot miss such a worker.
  void (*body_)(void*, int64_t, int) = nullptr;
  void* context_ = nullptr;
  int64_t tasks_ = 0;

  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<uint32_t> active_{0};
  std::atomic<bool> open_{false};
  alignas(64) std::atomic<uint32_t> epoch_{0};
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

}  // namespace aludel::cpu
