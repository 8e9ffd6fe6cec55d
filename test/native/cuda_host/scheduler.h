// The block that runs: its threads, what each waits for, who goes next. One for the process, guarded by the runtime's lock.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "cuda_host/control.h"
#include "cuda_host/execution.h"
#include "test/native/cuda_host/fibers.h"

namespace cuda_host {

struct AsyncCopy {
  void* target;
  const void* source;
  int bytes, valid;
  bool performed;  // at once; the race detector still waits for the wait
};

struct Fiber {
  uint3 index;
  unsigned linear;
  Stack* stack = nullptr;  // once started
  // What it waits for.
  const Operation* operation = nullptr;
  unsigned mask = 0;
  void* operands = nullptr;
  Location place;
  // cp.async that are not waited for: copies, and the end of each committed group.
  std::vector<AsyncCopy> copies;
  std::vector<size_t> groups;
  uint32_t fenced = 0;  // race detector: the block's epoch at the last __threadfence, plus one
  uint32_t clocks[32];  // race detector: the newest __syncwarp seen of each lane of the warp
};

struct Warp {  // one bit per lane
  unsigned live, ready, started, at_warp, at_block;
};

struct Block {
  StackPool stacks;
  std::vector<Fiber> fibers{kMaxThreads};
  Warp warps[kMaxThreads / 32];
  Fiber* current = nullptr;
  Context main;  // of the OS thread
  bool from_main = false;
  const std::function<void()>* body = nullptr;
  unsigned threads = 0, live = 0, ready_warps = 0, warp = 0;
  // __syncthreads.
  unsigned waiting = 0, predicates = 0;
  Barrier kind = Barrier::plain;
  int result = 0;
  Fiber* first_waiting = nullptr;

  uint32_t epoch = 0;  // block barriers passed
  uint64_t linear = 0;
  cudaError_t error = cudaSuccess;  // ends the grid
  bool defer_copies = false;
  unsigned seed = 0;
  uint64_t random = 1;
};
extern Block* block __attribute__((visibility("hidden")));  // made by the first launch
extern Stats counters __attribute__((visibility("hidden")));

struct Grid {
  int device;
  const void* kernel;
  dim3 grid, block;
  size_t dynamic_shared;
};
// Runs all blocks. An error is one of the kernel and has been reported.
cudaError_t run_grid(const Grid& grid, const std::function<void()>& body);

// Runs one block of the shape that begin_grid() was given. An error means that the threads were abandoned where they stood.
void begin_grid(dim3 grid, dim3 shape, const std::function<void()>& body);
cudaError_t run_block(uint64_t linear, uint3 index, void* dynamic_shared);

// Ends the kernel from within, also from a signal handler.
[[noreturn]] void abandon(cudaError_t error);

}  // namespace cuda_host
