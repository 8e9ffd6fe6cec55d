// One thread that does a device's work in the order it was given. Tasks are submitted from the JavaScript thread, run here, and hand
// their completion back through their own callback; a task is destroyed on the thread that ran it.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace aludel {

class RunQueue {
 public:
  // The task's body; must not throw.
  using Task = std::function<void()>;

  RunQueue();
  // Drains: everything submitted has run when it returns. Never called on the queue's own thread.
  ~RunQueue();
  RunQueue(const RunQueue&) = delete;
  RunQueue& operator=(const RunQueue&) = delete;

  // False, and the task is dropped, once close() has been called.
  bool submit(Task task);
  // Refuses new tasks, runs those already there, joins the thread. Safe to call twice.
  void close();

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> tasks_;
  bool closed_ = false;
  std::thread thread_;
};

}  // namespace aludel
