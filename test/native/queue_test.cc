// Threads: FIFO order, drain on close, and a pool that runs every task exactly once under any mixture of short regions.
#include <atomic>
#include <chrono>
#include <vector>

#include "native/core/run_queue.h"
#include "native/cpu/thread_pool.h"
#include "test/native/check.h"

namespace aludel::test {
namespace {

void fifo_and_drain() {
  std::vector<int> order;
  {
    RunQueue queue;
    for (int i = 0; i < 1000; ++i) CHECK(queue.submit([&order, i] { order.push_back(i); }));
  }
  CHECK(order.size() == 1000);
  for (int i = 0; i < 1000; ++i) CHECK(order[static_cast<size_t>(i)] == i);
  RunQueue closed;
  closed.close();
  closed.close();
  CHECK(!closed.submit([] { std::abort(); }));
}

void submit_from_many_threads() {
  std::atomic<int> ran{0};
  {
    RunQueue queue;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 500; ++i) queue.submit([&] { ++ran; });
      });
    }
    for (auto& thread : threads) thread.join();
  }
  CHECK(ran == 2000);
}

void every_task_once(int threads) {
  cpu::ThreadPool pool(threads);
  CHECK(pool.count() == threads);
  std::vector<int> hits(257);  // plain ints: the thread sanitizer must see that the pool orders them
  struct Context {
    std::vector<int>* hits;
    int threads;
  } context{&hits, threads};
  int64_t expected[257] = {};
  for (int round = 0; round < 3000; ++round) {
    const int64_t tasks = (round * 37) % 257;
    pool.parallel(
        tasks,
        [](void* c, int64_t task, int worker) {
          auto* x = static_cast<Context*>(c);
          CHECK(worker >= 0 && worker < x->threads);
          ++(*x->hits)[static_cast<size_t>(task)];
        },
        &context);
    for (int64_t t = 0; t < tasks; ++t) ++expected[t];
  }
  for (size_t t = 0; t < 257; ++t) CHECK(hits[t] == expected[t]);
}

void report_cost(int threads) {
  cpu::ThreadPool pool(threads);
  const int rounds = 2000;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < rounds; ++i)
    pool.parallel(
        4, [](void*, int64_t, int) {}, nullptr);
  const std::chrono::duration<double, std::micro> spent = std::chrono::steady_clock::now() - begin;
  std::printf("parallel(): %.2f us with %d threads\n", spent.count() / rounds, threads);
}

}  // namespace
}  // namespace aludel::test

int main() {
  using namespace aludel::test;
  fifo_and_drain();
  submit_from_many_threads();
  for (const int threads : {1, 2, 3, 8}) every_task_once(threads);
  for (const int threads : {1, 2, 4}) report_cost(threads);
  std::puts("queue_test: ok");
}
