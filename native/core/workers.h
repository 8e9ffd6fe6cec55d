// What the executor needs of a thread pool.
#pragma once
#include <cstdint>

namespace aludel {

class Workers {
 public:
  virtual ~Workers() = default;
  // Threads that may run tasks, the calling one included. Worker numbers are 0..count()-1.
  virtual int count() const = 0;
  // body(context, task, worker) for task 0..tasks-1 in any order; returns when all are done. Not reentrant, one caller at a time.
  virtual void parallel(int64_t tasks, void (*body)(void* context, int64_t task, int worker), void* context) = 0;
};

}  // namespace aludel
