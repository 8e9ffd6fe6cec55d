// FIFO by one mutex: submissions are per step, not per op, so contention does not matter.
#include "native/core/run_queue.h"

#include <utility>
#if defined(__linux__)
#include <pthread.h>
#endif

namespace aludel {

RunQueue::RunQueue() : thread_([this] { work(); }) {}

RunQueue::~RunQueue() { close(); }

bool RunQueue::submit(Task task) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) return false;
    tasks_.push_back(std::move(task));
  }
  wake_.notify_one();
  return true;
}

void RunQueue::close() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void RunQueue::work() {
#if defined(__linux__)
  pthread_setname_np(pthread_self(), "aludel-run");
#endif
  for (;;) {
    Task task;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return closed_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace aludel
