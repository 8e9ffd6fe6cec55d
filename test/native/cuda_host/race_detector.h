// Races between threads of a kernel, by the rules of CUDA: within a block only __syncthreads and __syncwarp order accesses, between blocks
// nothing does. Fed by the calls that `g++ -fsanitize=thread` puts into kernels; libtsan itself is not linked.
#pragma once
#include <cstddef>

#include "test/native/cuda_host/scheduler.h"

namespace cuda_host {

extern bool race_detector_on __attribute__((visibility("hidden")));  // some linked kernel is instrumented

// An asynchronous copy is pending in its target from async_begin to async_end: nobody may touch that meanwhile.
enum class Touch { read, write, atomic, async_begin, async_end };
void race_access_of(const Fiber& f, const volatile void* address, size_t bytes, Touch touch, void* pc);
void next_launch();
void begin_block(Block& b);
void join_clocks(Fiber* lanes, unsigned mask);            // after a __syncwarp
void forget_accesses(const void* address, size_t bytes);  // of freed memory

}  // namespace cuda_host
