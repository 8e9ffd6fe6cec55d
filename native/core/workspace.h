// Scratch memory of one device, shared by its loaded programs: runs are FIFO and nothing in it outlives a run, so the largest need is
// enough. Thread-safe: programs come and go on one thread while another runs.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <set>

#include "native/core/arena.h"

namespace aludel {

class Workspace {
 public:
  // Where blocks come from; their contents are undefined.
  using Allocate = std::function<Status(int64_t bytes, std::shared_ptr<void>* block)>;

  Workspace();  // host memory
  explicit Workspace(Allocate allocate) : allocate_(std::move(allocate)) {}
  // Grows to hold `bytes`. Every successful reserve must be paired with a release of the same bytes.
  Status reserve(int64_t bytes);
  void release(int64_t bytes);
  // The current block; the caller keeps it alive while it runs, even when a larger one replaces it meanwhile.
  std::shared_ptr<void> block() const;
  int64_t bytes() const;

 private:
  const Allocate allocate_;
  mutable std::mutex mutex_;
  std::multiset<int64_t> needs_;
  std::shared_ptr<void> block_;
  int64_t bytes_ = 0;
};

}  // namespace aludel
