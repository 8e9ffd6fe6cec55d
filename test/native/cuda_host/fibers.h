// Stacks and switching between them. Threads that have not yet waited for others share one stack; each that waits keeps the one it is on.
#pragma once
#include <cstddef>
#include <vector>
#if defined(__x86_64__) && !defined(CUDA_HOST_UCONTEXT)
#define CUDA_HOST_OWN_SWITCH 1
#else
#define CUDA_HOST_OWN_SWITCH 0
#include <ucontext.h>
#endif

namespace cuda_host {

constexpr int kMaxThreads = 1024;  // of a block
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kStackBytes = 256 << 10;
#else
constexpr size_t kStackBytes = 64 << 10;
#endif

// True on the OS thread that runs a kernel. In the static TLS block: the race detector asks at every access.
extern thread_local bool inside_kernel __attribute__((tls_model("initial-exec"), visibility("hidden")));

struct Context {
#if CUDA_HOST_OWN_SWITCH
  void* stack_pointer;
#else
  ucontext_t state;
#endif
  // For AddressSanitizer.
  void* fake_stack;
  const void* low;
  size_t size;
};

struct Stack {
  Context context;
  char* low;  // the page below is inaccessible
  char* top;
};

class StackPool {
 public:
  StackPool();
  Stack* take() {
    Stack* stack = free_.back();
    free_.pop_back();
    return stack;
  }
  void give_back(Stack* stack) { free_.push_back(stack); }
  void reset();  // all stacks are free, whatever was on them
  bool contains(const volatile void* p) const { return p >= memory_ && p < memory_ + kMaxThreads * kStackBytes; }
  bool guards(const void* p) const;  // p is just below some stack

 private:
  char* memory_;
  std::vector<Stack> stacks_;
  std::vector<Stack*> free_;  // the last one was used last: its memory is in the cache
};

// The next switch to the stack calls `entry`, which must never return.
void prepare(Stack& stack, void (*entry)());

// Goes on in `to`. With `from_ends` nobody will come back to `from`.
void switch_context(Context& from, Context& to, bool from_ends);
// First thing in an entry function: `main` is the context of the OS thread if the switch came from there, else null.
void entered(Context* main);

}  // namespace cuda_host
