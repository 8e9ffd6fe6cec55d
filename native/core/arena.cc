// Aligned allocation. Large blocks ask for huge pages: a step touches its whole arena, and 4 KiB pages cost it TLB misses.
#include "native/core/arena.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#if defined(__linux__)
#include <sys/mman.h>
#endif

// The address sanitizer guards heap blocks only, so its builds map nothing.
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
#define ALUDEL_MAP_BLOCKS 1
#else
#define ALUDEL_MAP_BLOCKS 0
#endif

namespace aludel {
namespace {

constexpr int64_t kHugePage = int64_t{2} << 20;
std::atomic<int64_t> countdown_to_failure{0};

bool must_fail() {
  int64_t left = countdown_to_failure.load(std::memory_order_relaxed);
  while (left > 0) {
    if (countdown_to_failure.compare_exchange_weak(left, left - 1)) return left == 1;
  }
  return false;
}

Block small_block(int64_t bytes) {
  const auto rounded = static_cast<size_t>(((bytes > 0 ? bytes : 1) + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment);
  void* memory = std::aligned_alloc(kBlockAlignment, rounded);
  if (memory != nullptr) memset(memory, 0, rounded);
  return Block(memory);
}

#if ALUDEL_MAP_BLOCKS
// Fresh pages are zero already, so that a large array costs the calling thread nothing until it is touched.
Block large_block(int64_t bytes) {
  const int64_t rounded = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  void* mapping = mmap(nullptr, static_cast<size_t>(rounded + kHugePage), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return {};
  const auto address = reinterpret_cast<uintptr_t>(mapping);
  const uintptr_t aligned = (address + kHugePage - 1) / kHugePage * kHugePage;
  const size_t before = aligned - address;
  const size_t after = static_cast<size_t>(kHugePage) - before;
  if (before > 0) munmap(mapping, before);
  if (after > 0) munmap(reinterpret_cast<void*>(aligned + static_cast<uintptr_t>(rounded)), after);
  void* memory = reinterpret_cast<void*>(aligned);
#if defined(MADV_HUGEPAGE)
  madvise(memory, static_cast<size_t>(rounded), MADV_HUGEPAGE);
#endif
  return Block(memory, BlockDeleter{rounded});
}
#else
Block large_block(int64_t bytes) { return small_block(bytes); }
#endif

}  // namespace

void BlockDeleter::operator()(void* block) const {
#if ALUDEL_MAP_BLOCKS
  if (mapped > 0) {
    munmap(block, static_cast<size_t>(mapped));
    return;
  }
#endif
  std::free(block);
}

void fail_allocation_after(int64_t n) { countdown_to_failure.store(n); }

Status allocate_block(int64_t bytes, const char* what, Block* block) {
  block->reset();
  // Above 2^47 the rounding would come near overflow, and no address space of today holds it.
  if (bytes >= 0 && bytes <= (int64_t{1} << 47) && !must_fail()) *block = bytes >= 2 * kHugePage ? large_block(bytes) : small_block(bytes);
  if (*block) return {};
  return fail(Code::out_of_memory, "%s needs %lld bytes, which the system does not give; use a smaller batch or close other programs", what,
              static_cast<long long>(bytes));
}

}  // namespace aludel
