// Races between threads of a kernel, by the rules of CUDA: within a block only __syncthreads and __syncwarp order accesses, between blocks
// nothing does. Fed by the calls that `g++ -fsanitize=thread` puts into kernels; libtsan itself is not linked.
#pragma once
#include <cstddef>

#include "test/native/cuda_host/scheduler.h"

namespace cuda_host {

extern bool race_detector_on __attribute__((visibility("hidden")));  // some linked kernel is instrumented

void race_access_of(const Fiber& f, const volatile void* address, size_t bytes, bool write, bool atomic, void* pc);
void next_launch();
void reset_clocks(Block& b);
void join_clocks(Fiber* lanes, unsigned mask);            // after a __syncwarp
void forget_accesses(const void* address, size_t bytes);  // of freed memory

}  // namespace cuda_host
