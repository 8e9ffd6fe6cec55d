// 64-byte aligned blocks of host memory. The only place that allocates tensor storage, so that a failing allocation is one Status.
#pragma once
#include <cstdint>
#include <memory>

#include "native/core/status.h"

namespace aludel {

constexpr int64_t kBlockAlignment = 64;

struct BlockDeleter {
  int64_t mapped = 0;  // bytes of a mapping of its own; 0: from the heap
  void operator()(void* block) const;
};
using Block = std::unique_ptr<void, BlockDeleter>;

// Filled with zeros, so that nothing old can be read from it. Zero bytes give a valid, distinct block. `what` names the purpose in the
// out_of_memory message.
Status allocate_block(int64_t bytes, const char* what, Block* block);

// Test hook: the n-th allocation from now (1 = the next) fails once; 0 switches the hook off.
void fail_allocation_after(int64_t n);

}  // namespace aludel
