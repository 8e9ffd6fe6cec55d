// Growing and shrinking of the shared scratch block.
#include "native/core/workspace.h"

namespace aludel {

Workspace::Workspace()
    : allocate_([](int64_t bytes, std::shared_ptr<void>* block) -> Status {
        Block made;
        ALUDEL_RETURN_IF_ERROR(allocate_block(bytes, "the program's working memory", &made));
        *block = std::shared_ptr<void>(std::move(made));
        return {};
      }) {}

Status Workspace::reserve(int64_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (bytes > bytes_) {
    std::shared_ptr<void> block;
    ALUDEL_RETURN_IF_ERROR(allocate_(bytes, &block));
    block_ = std::move(block);
    bytes_ = bytes;
  }
  needs_.insert(bytes);
  return {};
}

void Workspace::release(int64_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  needs_.erase(needs_.find(bytes));
  const int64_t largest = needs_.empty() ? 0 : *needs_.rbegin();
  // Shrink only by half or more: a smaller block costs page faults, and a failed allocation here keeps the larger one.
  if (largest > bytes_ / 2) return;
  std::shared_ptr<void> block;
  if (largest > 0 && !allocate_(largest, &block).ok()) return;
  block_ = std::move(block);
  bytes_ = largest;
}

std::shared_ptr<void> Workspace::block() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return block_;
}

int64_t Workspace::bytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return bytes_;
}

}  // namespace aludel
