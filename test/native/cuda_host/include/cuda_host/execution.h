// What a running kernel asks of the scheduler: who am I, barriers, warp collectives; and the entry through which launch.cuh starts a grid.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <source_location>

#include "cuda_host/errors.h"
#include "cuda_host/handles.h"
#include "cuda_host/keywords.h"
#include "cuda_host/vector_types.h"

namespace cuda_host {

using Location = std::source_location;

// The thread that runs. One for the process: kernels run one at a time under the runtime's lock.
struct Running {
  uint3 thread;
  unsigned linear;  // index of the thread in its block
  uint3 block;
  dim3 block_dim, grid_dim;
  void* dynamic_shared;
};
extern __attribute__((visibility("hidden"))) Running running;

inline int lane() { return static_cast<int>(running.linear & 31); }
inline void* dynamic_shared() { return running.dynamic_shared; }

// What the lanes of a warp do together. Each leaves a pointer to its operands; the last to arrive runs the operation over those in `mask`.
struct Operation {
  const char* name;
  void (*run)(void* const* operands, unsigned mask);
  bool orders_memory;  // only __syncwarp does
};
void collective(const Operation& operation, unsigned mask, void* operands, Location place);

enum class Barrier { plain, count, all, any };
int barrier(Barrier kind, int predicate, Location place);

void yield();           // lets another ready thread of the block go first
unsigned live_lanes();  // of the running warp
uint64_t clock();

// Ends the kernel with a report and cudaErrorLaunchFailure.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Checks the shape as CUDA does, then runs, queues or captures the grid. `body` is one thread's call of the kernel with its arguments.
cudaError_t launch(const void* kernel, dim3 grid, dim3 block, size_t dynamic_shared, cudaStream_t stream, std::function<void()> body);

// Told by atomics, which the compiler's instrumentation does not report as such. Nothing where no kernel is built for the race detector.
void race_atomic(const volatile void* address, size_t bytes);
// __threadfence: an atomic operation after it hands what this block has written to the blocks that touch the same word later.
void fence();

}  // namespace cuda_host

#define threadIdx (::cuda_host::running.thread)
#define blockIdx (::cuda_host::running.block)
#define blockDim (::cuda_host::running.block_dim)
#define gridDim (::cuda_host::running.grid_dim)
constexpr int warpSize = 32;

// The caller's place, for reports.
#define CUDA_HOST_PLACE ::cuda_host::Location place = ::cuda_host::Location::current()

inline void __syncthreads(CUDA_HOST_PLACE) { cuda_host::barrier(cuda_host::Barrier::plain, 0, place); }
inline int __syncthreads_count(int p, CUDA_HOST_PLACE) { return cuda_host::barrier(cuda_host::Barrier::count, p, place); }
inline int __syncthreads_and(int p, CUDA_HOST_PLACE) { return cuda_host::barrier(cuda_host::Barrier::all, p, place); }
inline int __syncthreads_or(int p, CUDA_HOST_PLACE) { return cuda_host::barrier(cuda_host::Barrier::any, p, place); }

inline void __threadfence() { cuda_host::fence(); }
inline void __threadfence_block() {}
inline void __threadfence_system() { cuda_host::fence(); }
inline void __nanosleep(unsigned) { cuda_host::yield(); }
inline void __trap() { cuda_host::fail("__trap()"); }
inline long long clock64() { return static_cast<long long>(cuda_host::clock()); }
