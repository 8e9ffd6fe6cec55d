// Tasks are handed out by one counter, so the split does not depend on who works; results must not either.
#include "native/cpu/thread_pool.h"

#if defined(__linux__)
#include <pthread.h>
#endif

namespace aludel::cpu {
namespace {

// About two microseconds: the gap between two instructions of a step, not a way to wait for work.
constexpr int kSpins = 64;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until `value` is no longer `old`.
template <typename T>
void wait_while(const std::atomic<T>& value, T old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load() != old) return;
    relax();
  }
  value.wait(old);
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  threads_.reserve(static_cast<size_t>(threads > 1 ? threads - 1 : 0));
  for (int w = 1; w < threads; ++w) threads_.emplace_back([this, w] { work(w); });
}

ThreadPool::~ThreadPool() {
  stopping_.store(true);
  epoch_.fetch_add(1);
  epoch_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void ThreadPool::work(int worker) {
#if defined(__linux__)
  pthread_setname_np(pthread_self(), "aludel-worker");
#endif
  uint32_t seen = 0;
  for (;;) {
    wait_while(epoch_, seen);
    seen = epoch_.load();
    if (stopping_.load()) return;
    active_.fetch_add(1);
    if (open_.load()) take_tasks(worker);
    // The caller may sleep on active_; only the last one out has to wake it.
    if (active_.fetch_sub(1) == 1) active_.notify_one();
  }
}

void ThreadPool::take_tasks(int worker) {
  for (int64_t task = next_.fetch_add(1); task < tasks_; task = next_.fetch_add(1)) body_(context_, task, worker);
}

void ThreadPool::parallel(int64_t tasks, void (*body)(void* context, int64_t task, int worker), void* context) {
  if (tasks <= 1 || threads_.empty()) {
    for (int64_t task = 0; task < tasks; ++task) body(context, task, 0);
    return;
  }
  body_ = body;
  context_ = context;
  tasks_ = tasks;
  next_.store(0);
  open_.store(true);
  epoch_.fetch_add(1);
  if (tasks - 1 >= static_cast<int64_t>(threads_.size())) {
    epoch_.notify_all();
  } else {
    for (int64_t i = 1; i < tasks; ++i) epoch_.notify_one();
  }
  take_tasks(0);
  open_.store(false);
  for (uint32_t active = active_.load(); active != 0; active = active_.load()) wait_while(active_, active);
}

}  // namespace aludel::cpu
