// Aligned allocation. Large blocks ask for huge pages: a step touches its whole arena, and 4 KiB pages cost it TLB misses.
#include "native/core/arena.h"

#include <atomic>
#include <cstdlib>
#if defined(__linux__)
#include <sys/mman.h>
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

}  // namespace

void BlockDeleter::operator()(void* block) const { std::free(block); }

void fail_allocation_after(int64_t n) { countdown_to_failure.store(n); }

Status allocate_block(int64_t bytes, const char* what, Block* block) {
  block->reset();
  // Above 2^47 the rounding below could overflow, and no address space of today holds it.
  const bool absurd = bytes < 0 || bytes > (int64_t{1} << 47);
  const int64_t alignment = bytes >= 2 * kHugePage ? kHugePage : kBlockAlignment;
  const int64_t rounded = absurd ? 0 : ((bytes > 0 ? bytes : 1) + alignment - 1) / alignment * alignment;
  void* memory = absurd || must_fail() ? nullptr : std::aligned_alloc(static_cast<size_t>(alignment), static_cast<size_t>(rounded));
  if (memory == nullptr) {
    return fail(Code::out_of_memory, "%s needs %lld bytes, which the system does not give; use a smaller batch or close other programs", what,
                static_cast<long long>(bytes));
  }
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  if (alignment == kHugePage) madvise(memory, static_cast<size_t>(rounded), MADV_HUGEPAGE);
#endif
  block->reset(memory);
  return {};
}

}  // namespace aludel
