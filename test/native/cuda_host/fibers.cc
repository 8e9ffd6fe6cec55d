// Fibers. On x86-64 a switch is a dozen instructions; elsewhere ucontext, which makes a system call each time.
#include "test/native/cuda_host/fibers.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace cuda_host {
namespace {

constexpr size_t kPage = 4096;

#if CUDA_HOST_OWN_SWITCH
// Saves the registers that a call preserves, exchanges the stacks, and returns on the other one.
__attribute__((naked, noinline)) void exchange(void** /*from: rdi*/, void* /*to: rsi*/) {
  asm("pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15; movq %rsp,(%rdi)\n"
      "movq %rsi,%rsp; popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp; ret");
}
#endif

}  // namespace

constinit thread_local bool inside_kernel = false;

StackPool::StackPool() : stacks_(kMaxThreads) {
  void* p = mmap(nullptr, kMaxThreads * kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) abort();
  memory_ = static_cast<char*>(p);
  free_.reserve(kMaxThreads);
  for (size_t i = 0; i < kMaxThreads; ++i) {
    Stack& s = stacks_[i];
    mprotect(memory_ + i * kStackBytes, kPage, PROT_NONE);
    s.low = memory_ + i * kStackBytes + kPage;
    // Staggered: tops at equal distances would put the hot lines of all stacks into few sets of the cache.
    s.top = memory_ + (i + 1) * kStackBytes - i * 704 % 16384 / 64 * 64;
    s.context.low = s.low;
    s.context.size = static_cast<size_t>(s.top - s.low);
  }
  reset();
}

void StackPool::reset() {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(memory_, kMaxThreads * kStackBytes);
#endif
  free_.clear();
  for (size_t i = kMaxThreads; i-- > 0;) free_.push_back(&stacks_[i]);
}

bool StackPool::guards(const void* p) const { return contains(p) && (static_cast<const char*>(p) - memory_) % kStackBytes < kPage; }

void prepare(Stack& stack, void (*entry)()) {
#if defined(__SANITIZE_ADDRESS__)
  // The frames from which the last fiber switched away for good never returned: their surroundings are still marked.
  __asan_unpoison_memory_region(stack.low, stack.context.size);
#endif
#if CUDA_HOST_OWN_SWITCH
  void** sp = reinterpret_cast<void**>(stack.top) - 8;
  sp[6] = reinterpret_cast<void*>(entry);  // where exchange() returns to; the stack is then aligned as after a call
  sp[7] = nullptr;
  stack.context.stack_pointer = sp;
#else
  getcontext(&stack.context.state);
  stack.context.state.uc_stack.ss_sp = stack.low;
  stack.context.state.uc_stack.ss_size = static_cast<size_t>(stack.top - stack.low);
  makecontext(&stack.context.state, entry, 0);
#endif
}

void switch_context(Context& from, Context& to, [[maybe_unused]] bool from_ends) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(from_ends ? nullptr : &from.fake_stack, to.low, to.size);
#endif
#if CUDA_HOST_OWN_SWITCH
  exchange(&from.stack_pointer, to.stack_pointer);
#else
  swapcontext(&from.state, &to.state);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
}

void entered([[maybe_unused]] Context* main) {
#if defined(__SANITIZE_ADDRESS__)
  if (main)
    __sanitizer_finish_switch_fiber(nullptr, &main->low, &main->size);
  else
    __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

}  // namespace cuda_host
