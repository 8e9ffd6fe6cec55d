// Settings from the environment and the counters that tests read.
#include "cuda_host/control.h"

#include <cstdlib>

#include "test/native/cuda_host/calls.h"
#include "test/native/cuda_host/devices.h"
#include "test/native/cuda_host/memory.h"
#include "test/native/cuda_host/race_detector.h"
#include "test/native/cuda_host/report.h"
#include "test/native/cuda_host/scheduler.h"

namespace cuda_host {
namespace {

template <class T>
void read(const char* name, T* value) {
  const char* s = getenv(name);
  if (s && *s) *value = static_cast<T>(strtoll(s, nullptr, 10));
}

Config from_environment() {
  Config c;
  read("CUDA_HOST_SEED", &c.seed);
  read("CUDA_HOST_CP_ASYNC", &c.cp_async);
  read("CUDA_HOST_LAZY", &c.lazy);
  read("CUDA_HOST_STRICT", &c.strict);
  read("CUDA_HOST_MMA_RZ", &c.round_to_zero);
  read("CUDA_HOST_POISON", &c.poison);
  read("CUDA_HOST_QUIET", &c.quiet);
  read("CUDA_HOST_DRIVER", &c.driver);
  read("CUDA_HOST_DEVICES", &c.devices);
  read("CUDA_HOST_CAPABILITY", &c.capability);
  read("CUDA_HOST_MULTIPROCESSORS", &c.multiprocessors);
  read("CUDA_HOST_MEMORY", &c.memory);
  read("CUDA_HOST_LOSE_AT", &c.lose_at);
  read("CUDA_HOST_FAIL_MALLOC_AT", &c.fail_malloc_at);
  return c;
}

}  // namespace

Config& config() {
  static Config c = from_environment();
  return c;
}

Stats stats() {
  const std::lock_guard lock(runtime_lock());
  Stats s = counters;
  memory_in_use(&s.allocations, &s.allocated_bytes);
  return s;
}

bool race_detector() { return race_detector_on; }

void reset() {
  const std::lock_guard lock(runtime_lock());
  clear_report();
  restore_devices();
}

}  // namespace cuda_host
