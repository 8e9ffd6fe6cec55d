// Signals. A kernel that touches what it may not is ended and reported as cudaErrorIllegalAddress, and the process goes on, as with a
// device.
#include <signal.h>
#include <stdlib.h>

#include <memory>

#include "test/native/cuda_host/memory.h"
#include "test/native/cuda_host/memory_map.h"
#include "test/native/cuda_host/report.h"
#include "test/native/cuda_host/scheduler.h"
#if defined(__SANITIZE_ADDRESS__)
#include <cstdio>
#endif

namespace cuda_host {
namespace {

#if !defined(__SANITIZE_ADDRESS__)

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
struct sigaction previous[64];

const Allocation* allocation_around(const char* p) {
  for (const auto& [address, a] : allocations())
    if (p >= a.map && p < a.map + a.map_bytes) return &a;
  return nullptr;
}

std::string describe(int number, const char* address) {
  if (number == SIGFPE) return "integer division by zero";
  std::string what = number == SIGILL ? text("illegal instruction at %p", static_cast<const void*>(address))
                                      : text("access of %p", static_cast<const void*>(address));
  if (const Allocation* a = allocation_around(address))
    what += text(": byte %td of an allocation of %zu on device %d%s", address - a->address, a->bytes, a->device,
                 address >= a->address && address < a->address + a->bytes ? ", which may not be touched here" : "");
  else if (block && block->stacks.guards(address))
    what += ": stack overflow";
  return what;
}

void on_signal(int number, siginfo_t* info, void* context) {
  const char* address = static_cast<const char*>(info->si_addr);
  if (inside_kernel) {
    const uint3 b = running.block, t = running.thread;
    report(text("block (%u,%u,%u) thread (%u,%u,%u): ", b.x, b.y, b.z, t.x, t.y, t.z) + describe(number, address));
    abandon(number == SIGSEGV || number == SIGBUS ? cudaErrorIllegalAddress : cudaErrorLaunchFailure);
  }
  if (allocation_around(address)) {
    report("host code: " + describe(number, address));
    signal(number, SIG_DFL);
    return;  // to the same instruction, which now ends the process
  }
  const struct sigaction& old = previous[number];
  if (old.sa_flags & SA_SIGINFO) return old.sa_sigaction(number, info, context);
  if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN) return old.sa_handler(number);
  signal(number, SIG_DFL);
}

// The handler's own stack: a fiber's may be full.
struct SignalStack {
  std::unique_ptr<char[]> memory;
  SignalStack() {
    stack_t old{};
    constexpr size_t bytes = 64 << 10;
    if (sigaltstack(nullptr, &old) == 0 && !(old.ss_flags & SS_DISABLE) && old.ss_size >= bytes) return;
    memory = std::make_unique<char[]>(bytes);
    stack_t own{};
    own.ss_sp = memory.get();
    own.ss_size = bytes;
    sigaltstack(&own, nullptr);
  }
  ~SignalStack() {
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    if (memory) sigaltstack(&none, nullptr);
  }
};
#endif

}  // namespace

void catch_faults() {
#if !defined(__SANITIZE_ADDRESS__)
  static thread_local SignalStack stack;
  static const bool installed = [] {
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (const int number : kSignals) sigaction(number, &action, &previous[number]);
    return true;
  }();
  static_cast<void>(installed), static_cast<void>(stack);
#endif
}

}  // namespace cuda_host

#if defined(__SANITIZE_ADDRESS__)
// Called by the sanitizer before its own report, where it finds the name: in a program, not in a library that is opened later.
extern "C" __attribute__((visibility("default"))) void __asan_on_error() {
  fprintf(stderr, "cuda_host: the error below is in %s\n", cuda_host::running_thread().c_str());
}
#endif
