// Remembers for every 4 bytes the last write and the last reads by two threads, and when they were: launch, block, barriers passed, and the
// thread's own clock, which its __syncwarp calls advance and spread. An access races with a remembered one that it is not ordered after.
// Between blocks one idiom orders: __threadfence and an atomic here, an atomic on the same word and perhaps a barrier there.
#include "test/native/cuda_host/race_detector.h"

#include <algorithm>
#include <bit>
#include <bitset>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>

#include "test/native/cuda_host/memory.h"
#include "test/native/cuda_host/report.h"

namespace cuda_host {

constinit bool race_detector_on = false;

namespace {

struct Access {
  uint32_t launch = 0;  // 0: none yet
  uint32_t epoch, clock;
  uint16_t thread;
  uint8_t bytes;  // one bit each of the four
  Touch touch;
  uint64_t block;
  void* pc;
};
struct Cell {
  Access write, read, other_read;
};
constexpr uintptr_t kPageBits = 12;
struct Page {
  bool global;  // device memory: other blocks see it
  Cell cells[(1 << kPageBits) / 4];
};

uint32_t launch_number = 0;
std::unordered_map<uintptr_t, std::unique_ptr<Page>>& pages() {
  static auto& all = *new std::unordered_map<uintptr_t, std::unique_ptr<Page>>;
  return all;
}
uintptr_t last_page = 0;
Page* last = nullptr;

Page& page_of(uintptr_t address) {
  if (last && address >> kPageBits == last_page) return *last;
  last_page = address >> kPageBits;
  auto& page = pages()[last_page];
  if (!page) {
    page = std::make_unique<Page>();
    page->global = visible_to_all_blocks(reinterpret_cast<const void*>(address));
  }
  last = page.get();
  return *last;
}

// What blocks have handed over through the words of this launch. Blocks run one after the other, so that all of it came before.
struct HandOver {
  uint32_t epoch = 0;                // what any thread wrote before this barrier
  std::bitset<kMaxThreads> threads;  // and what these wrote
};
using Word = std::unordered_map<uint64_t, HandOver>;  // by block
struct TakeOver {                                     // by the block that runs
  const Word* word;
  uint32_t epoch;  // by all threads after this barrier
  uint16_t thread;
};
std::unordered_map<uintptr_t, Word>& words() {
  static auto& all = *new std::unordered_map<uintptr_t, Word>;
  return all;
}
std::vector<TakeOver>& taken_over() {
  static auto& all = *new std::vector<TakeOver>;
  return all;
}

void order_through(const Fiber& f, const volatile void* address) {
  Word& word = words()[reinterpret_cast<uintptr_t>(address)];
  taken_over().push_back({&word, block->epoch, static_cast<uint16_t>(f.linear)});
  if (!f.fenced) return;
  HandOver& own = word[block->linear];
  own.epoch = std::max(own.epoch, f.fenced - 1);
  own.threads.set(f.linear);
}

bool handed_over(const Access& a, const Access& now) {
  for (const TakeOver& t : taken_over()) {
    if (now.thread != t.thread && now.epoch == t.epoch) continue;
    const auto from = t.word->find(a.block);
    if (from != t.word->end() && (a.epoch < from->second.epoch || from->second.threads[a.thread])) return true;
  }
  return false;
}

void report_race(const char* what, const void* address, const Access& before, const char* earlier, const Access& now, const char* later) {
  static auto& seen = *new std::map<std::pair<void*, void*>, uint32_t>;  // each pair of places is reported once per launch
  ++counters.races;
  if (std::exchange(seen[{now.pc, before.pc}], launch_number) == launch_number) return;
  report(text("%s at %p: %s by %s (%s) after %s by block %llu thread %u (%s)", what, address, later, running_thread().c_str(),
              source_lines(now.pc).c_str(), earlier, static_cast<unsigned long long>(before.block), before.thread,
              source_lines(before.pc).c_str()));
  block->error = cudaErrorLaunchFailure;
}

void check(const Fiber& f, bool global, Cell& cell, const void* address, const Access& now) {
  const bool write = now.touch != Touch::read;
  const auto races = [&](const Access& a) {
    if (a.launch != now.launch || !(a.bytes & now.bytes) || (a.touch == Touch::atomic && now.touch == Touch::atomic)) return false;
    if (a.block != now.block) return global && !handed_over(a, now);
    return a.thread != now.thread && a.epoch == now.epoch && (a.thread / 32 != now.thread / 32 || f.clocks[a.thread & 31] < a.clock);
  };
  const bool own = cell.write.launch == now.launch && cell.write.block == now.block && cell.write.thread == now.thread;
  if (cell.write.touch == Touch::async_begin && cell.write.launch == now.launch && cell.write.block == now.block &&
      (cell.write.bytes & now.bytes) && !(own && now.touch == Touch::async_end))
    report_race("race", address, cell.write, "cp.async that is not waited for", now, write ? "write" : "read");
  else if (races(cell.write))
    report_race("race", address, cell.write, "write", now, write ? "write" : "read");
  else if (!write && !global && cell.write.launch == now.launch && cell.write.block != now.block && cell.write.touch != Touch::atomic)
    report_race("stale shared memory", address, cell.write, "write", now, "read before any write of its own block,");
  if (write) {
    if (races(cell.read))
      report_race("race", address, cell.read, "read", now, "write");
    else if (races(cell.other_read))
      report_race("race", address, cell.other_read, "read", now, "write");
    cell.write = now;
  } else {
    if (cell.read.launch != now.launch || cell.read.block != now.block || cell.read.thread != now.thread) cell.other_read = cell.read;
    cell.read = now;
  }
}

}  // namespace

void race_access_of(const Fiber& f, const volatile void* where, size_t bytes, Touch touch, void* pc) {
  if (!race_detector_on) return;
  uintptr_t p = reinterpret_cast<uintptr_t>(where);
  const uintptr_t end = p + bytes, own = reinterpret_cast<uintptr_t>(&running);
  if (block->stacks.contains(where) || p - own < sizeof running) return;  // a thread's locals, threadIdx and the like
  while (p < end) {
    const uintptr_t next = std::min(end, (p | 3) + 1);
    Page& page = page_of(p);
    const auto mask = static_cast<uint8_t>(((1u << (next - p)) - 1) << (p & 3));
    const Access now{launch_number, block->epoch, f.clocks[f.linear & 31], static_cast<uint16_t>(f.linear), mask, touch, block->linear, pc};
    check(f, page.global, page.cells[p >> 2 & ((1 << kPageBits) / 4 - 1)], reinterpret_cast<const void*>(p), now);
    p = next;
  }
}

void race_atomic(const volatile void* address, size_t bytes) {
  if (!race_detector_on || !inside_kernel) return;
  race_access_of(*block->current, address, bytes, Touch::atomic, __builtin_return_address(0));
  order_through(*block->current, address);
}

void fence() {
  if (race_detector_on && inside_kernel) block->current->fenced = block->epoch + 1;
}

void next_launch() {
  ++launch_number;
  if (race_detector_on) words().clear();
}

void begin_block(Block& b) {
  taken_over().clear();
  for (unsigned i = 0; i < b.threads; ++i) {
    b.fibers[i].fenced = 0;
    std::fill_n(b.fibers[i].clocks, 32, 0u);
    b.fibers[i].clocks[i & 31] = 1;
  }
}

void join_clocks(Fiber* lanes, unsigned mask) {
  uint32_t newest[32] = {};
  for (unsigned left = mask; left; left &= left - 1)
    for (int j = 0; j < 32; ++j) newest[j] = std::max(newest[j], lanes[std::countr_zero(left)].clocks[j]);
  for (unsigned left = mask; left; left &= left - 1) {
    const int i = std::countr_zero(left);
    std::copy(newest, newest + 32, lanes[i].clocks);
    ++lanes[i].clocks[i];
  }
}

void forget_accesses(const void* address, size_t bytes) {
  const uintptr_t first = reinterpret_cast<uintptr_t>(address) >> kPageBits;
  const uintptr_t end = ((reinterpret_cast<uintptr_t>(address) + bytes) >> kPageBits) + 1;
  if (pages().empty()) return;
  for (uintptr_t p = first; p < end; ++p) pages().erase(p);
  last = nullptr;
}

}  // namespace cuda_host

// What the compiler calls.
using cuda_host::block;
using cuda_host::inside_kernel;
using cuda_host::race_access_of;

#define CUDA_HOST_ACCESS(name, bytes, touch)                                                                            \
  extern "C" void __tsan_##name(void* p) {                                                                              \
    if (inside_kernel) race_access_of(*block->current, p, bytes, cuda_host::Touch::touch, __builtin_return_address(0)); \
  }
#define CUDA_HOST_ACCESSES(bytes)                        \
  CUDA_HOST_ACCESS(read##bytes, bytes, read)             \
  CUDA_HOST_ACCESS(write##bytes, bytes, write)           \
  CUDA_HOST_ACCESS(unaligned_read##bytes, bytes, read)   \
  CUDA_HOST_ACCESS(unaligned_write##bytes, bytes, write) \
  CUDA_HOST_ACCESS(volatile_read##bytes, bytes, read)    \
  CUDA_HOST_ACCESS(volatile_write##bytes, bytes, write)
CUDA_HOST_ACCESSES(1)
CUDA_HOST_ACCESSES(2)
CUDA_HOST_ACCESSES(4)
CUDA_HOST_ACCESSES(8)
CUDA_HOST_ACCESSES(16)

extern "C" {
void __tsan_init() { cuda_host::race_detector_on = true; }
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_read_range(void* p, unsigned long bytes) {
  if (inside_kernel) race_access_of(*block->current, p, bytes, cuda_host::Touch::read, __builtin_return_address(0));
}
void __tsan_write_range(void* p, unsigned long bytes) {
  if (inside_kernel) race_access_of(*block->current, p, bytes, cuda_host::Touch::write, __builtin_return_address(0));
}
// std::function and shared_ptr in host code of instrumented files.
#define CUDA_HOST_TSAN_ATOMIC(bits, T)                                                                              \
  T __tsan_atomic##bits##_load(const volatile T* p, int) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }           \
  void __tsan_atomic##bits##_store(volatile T* p, T v, int) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }           \
  T __tsan_atomic##bits##_exchange(volatile T* p, T v, int) { return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); } \
  T __tsan_atomic##bits##_fetch_add(volatile T* p, T v, int) { return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); } \
  T __tsan_atomic##bits##_fetch_sub(volatile T* p, T v, int) { return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST); } \
  T __tsan_atomic##bits##_fetch_or(volatile T* p, T v, int) { return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST); }   \
  T __tsan_atomic##bits##_fetch_and(volatile T* p, T v, int) { return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST); } \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile T* p, T* c, T v, int, int) {                           \
    return __atomic_compare_exchange_n(p, c, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                         \
  }                                                                                                                 \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile T* p, T* c, T v, int, int) {                             \
    return __atomic_compare_exchange_n(p, c, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                         \
  }
CUDA_HOST_TSAN_ATOMIC(8, uint8_t)
CUDA_HOST_TSAN_ATOMIC(16, uint16_t)
CUDA_HOST_TSAN_ATOMIC(32, uint32_t)
CUDA_HOST_TSAN_ATOMIC(64, uint64_t)
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) {}
}
