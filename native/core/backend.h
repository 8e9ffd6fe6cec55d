// What the addon asks of a backend. All data calls and run() come from the device's one run thread; load() and allocate() from any.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "native/core/program.h"

namespace aludel {

// Storage of one array on the device. Freed with its last owner, on any thread.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;
  virtual Status upload(int64_t offset, const void* source, int64_t bytes) = 0;
  // begin_upload(offset, source, bytes) begins an upload on the calling thread, beside whatever the run thread does; the bytes are taken
  // before it returns. Only while nothing that was submitted uses this memory. What is submitted next must be end_upload(). False: not now,
  // use upload().
  virtual bool begin_upload(int64_t, const void*, int64_t) { return false; }
  // On the run thread: returns when the bytes are there.
  virtual Status end_upload() { return {}; }
  virtual Status download(int64_t offset, void* target, int64_t bytes) = 0;
  virtual Status copy_from(const DeviceMemory& source, int64_t bytes) = 0;
  virtual void* data() const = 0;
  int64_t bytes = 0;
};

struct MemoryNeed {
  int64_t arena_bytes = 0;
  int64_t scratch_bytes = 0;  // all workers, and what the tasks of an instruction share
  int64_t local_bytes = 0;    // all workers
  int64_t constant_bytes = 0;
};

struct RunRequest {
  std::vector<std::shared_ptr<DeviceMemory>> arguments;
  int64_t steps = 1;
  uint32_t start_step = 0;
  const std::atomic<bool>* cancel = nullptr;  // may be null
  const std::atomic<bool>* stop = nullptr;    // the device is being torn down; may be null
};

class LoadedProgram {
 public:
  virtual ~LoadedProgram() = default;
  // Replays the program. `completed` counts the steps whose effects are there; a cancelled or refused step has changed nothing.
  virtual Status run(const RunRequest& request, int64_t* completed) = 0;
  virtual MemoryNeed memory() const = 0;
  // Libraries that compute a part of it and that its bits depend on, with their versions; empty: the backend's own kernels do everything.
  virtual std::string libraries() const { return {}; }
};

struct EigenRequest {
  std::shared_ptr<DeviceMemory> matrix;  // float64 [n, n]
  std::shared_ptr<DeviceMemory> values;  // float64 [n]
  int64_t n = 0;
  const std::atomic<bool>* cancel = nullptr;  // may be null
  const std::atomic<bool>* stop = nullptr;    // may be null
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual Status allocate(int64_t bytes, std::shared_ptr<DeviceMemory>* memory) = 0;
  virtual Status load(const uint8_t* bytes, size_t size, std::shared_ptr<LoadedProgram>* program) = 0;
  // Eigenvalues, ascending, and unit eigenvectors as rows in place of the symmetric matrix. A cancelled call leaves the matrix undefined.
  virtual Status symmetric_eigen(const EigenRequest& request) = 0;
  virtual const char* isa() const = 0;
  virtual int threads() const = 0;
  // Gives back what the backend holds of the machine. The run thread has ended, arrays and programs are gone; nothing but isa() and
  // threads() is called afterwards.
  virtual void close() {}
  // Working memory shared by the loaded programs, as it stands.
  virtual int64_t workspace_bytes() const = 0;
  // Bytes that allocate() and load() may still take; -1: this backend takes the system's memory. Any thread.
  virtual int64_t free_bytes() const { return -1; }
};

}  // namespace aludel
