// One engine's hold on one GPU: its stream, memory and transfers. Memory may be asked for on any thread; everything else happens on the
// device's run thread.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>

#include "native/core/backend.h"
#include "native/core/workspace.h"
#include "native/cuda/kernel.h"
#include "native/cuda/libraries/libraries.h"
#include "native/cuda/memory_pool.h"
#include "native/cuda/pinned_pool.h"
#include "native/cuda/staging.h"

namespace aludel::cuda {

class Device : public std::enable_shared_from_this<Device> {
 public:
  static Status open(const Options& options, LibraryUse libraries, std::shared_ptr<Device>* device);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // To be called first by everything that touches the device: makes it the calling thread's, and refuses once it is lost.
  Status use() const;
  // Remembers that the device is lost, so that all later use is refused; passes the status on.
  Status seen(Status status);

  const DeviceInfo& info() const { return info_; }
  const char* architecture() const { return architecture_; }  // sm_90
  // Gives everything back. Safe to call twice.
  void close();
  cudaStream_t stream() const { return stream_; }
  MemoryPool& pool() { return *pool_; }
  Workspace& workspace() { return workspace_; }
  Staging& staging() { return *staging_; }
  PinnedPool& pinned() { return *pinned_; }
  Libraries& libraries() { return libraries_; }
  // Uploads that overlap runs have a stream of their own. It waits for what transferred() saw: a block of memory may change hands while a
  // copy that the run thread put on its stream is still on the way.
  Status begin_transfer(cudaStream_t* stream);
  Status transferred();

 private:
  Device(const Options& options, LibraryUse libraries);
  Status start();

  DeviceInfo info_{};
  char architecture_[16] = {0};
  std::shared_ptr<MemoryPool> pool_;
  Workspace workspace_;
  Libraries libraries_;
  std::unique_ptr<Staging> staging_;
  std::shared_ptr<PinnedPool> pinned_;
  cudaStream_t stream_ = nullptr;
  cudaStream_t copy_stream_ = nullptr;
  std::mutex transfer_mutex_;
  cudaEvent_t transfer_ = nullptr;  // after the newest copy on stream_
  std::atomic<bool> lost_{false};
  bool counted_ = false;
};

// An array. Zeros until something is written: made so at first use on the run thread, as the thread that allocates must not wait.
class Memory final : public DeviceMemory {
 public:
  static Status allocate(const std::shared_ptr<Device>& device, int64_t bytes, std::shared_ptr<DeviceMemory>* memory);
  ~Memory() override;

  bool begin_upload(int64_t offset, const void* source, int64_t count) override;
  Status end_upload() override;
  Status upload(int64_t offset, const void* source, int64_t count) override;
  Status download(int64_t offset, void* target, int64_t count) override;
  Status copy_from(const DeviceMemory& source, int64_t count) override;
  void* data() const override { return block_.get(); }
  // Zeros where nothing was written yet. Before any kernel that may read it.
  Status settle() const;

 private:
  Status begin(int64_t offset, int64_t count, cudaStream_t stream);
  Memory(std::shared_ptr<Device> device, int64_t count) : device_(std::move(device)) { bytes = count; }
  char* at(int64_t offset) const { return static_cast<char*>(block_.get()) + offset; }

  const std::shared_ptr<Device> device_;
  std::shared_ptr<void> block_;
  mutable bool fresh_ = true;
  // An upload that was begun: where it comes from, and its end.
  std::shared_ptr<void> begun_from_;
  cudaEvent_t begun_ = nullptr;
};

}  // namespace aludel::cuda
