// For tests: settings, counters and reports of the emulated runtime. Every setting starts as the environment variable in brackets says.
#pragma once
#include <cstddef>
#include <cstdint>

namespace cuda_host {

struct Config {
  // Schedules: what a right program does not depend on.
  unsigned seed = 0;           // [CUDA_HOST_SEED] order of blocks, warps, lanes, graph nodes: 0 ascending, 1 descending, else random
  int cp_async = -1;           // [CUDA_HOST_CP_ASYNC] 0 copies at once, 1 at the wait, -1 at the wait for even seeds
  bool lazy = false;           // [CUDA_HOST_LAZY] work in streams runs only when something waits for it
  bool strict = false;         // [CUDA_HOST_STRICT] host code that touches device memory faults
  bool round_to_zero = false;  // [CUDA_HOST_MMA_RZ] tensor core sums round toward zero instead of to nearest
  bool poison = true;          // [CUDA_HOST_POISON] fresh device and dynamic shared memory holds NaN bits
  bool quiet = false;          // [CUDA_HOST_QUIET] reports are kept, not printed to stderr as well
  // The machine.
  int driver = 13000;                // [CUDA_HOST_DRIVER] version; 0: no driver
  int devices = 1;                   // [CUDA_HOST_DEVICES]
  int capability = 90;               // [CUDA_HOST_CAPABILITY] 10 major + minor; below 80 there is no kernel image
  int multiprocessors = 2;           // [CUDA_HOST_MULTIPROCESSORS]
  size_t memory = size_t{16} << 30;  // [CUDA_HOST_MEMORY] bytes per device
  // Faults.
  uint64_t lose_at = 0;         // [CUDA_HOST_LOSE_AT] the n-th kernel from the last reset() on loses its device; 0: none
  uint64_t fail_malloc_at = 0;  // [CUDA_HOST_FAIL_MALLOC_AT] likewise the n-th cudaMalloc fails once
};
struct Stats {
  uint64_t launches, blocks, threads, switches, collectives, mmas, races;
  uint64_t allocations, allocated_bytes;  // of device memory, now
};

Config& config();
Stats stats();
const char* last_report();  // what was found wrong since the last reset(), "" if nothing
bool race_detector();       // some kernel is compiled for it
void reset();               // forgets reports and sticky errors, gives lost devices back, counts launches from 0

}  // namespace cuda_host
