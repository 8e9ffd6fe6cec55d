#include "native/cuda/device.h"

#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>

namespace aludel::cuda {
namespace {

// Errors that end a context end it for the whole process. It can be made anew only when no engine holds anything on it.
struct Contexts {
  struct Entry {
    int engines = 0;
    bool lost = false;
  };
  std::mutex mutex;
  std::map<int, Entry> of;
};
Contexts& contexts() {
  static auto* all = new Contexts;  // never destroyed: devices may outlive static destruction
  return *all;
}

Status lost() { return fail(Code::device_lost, "the device was lost; close it and open it again, a run directory resumes"); }

}  // namespace

Device::Device(const Options& options, LibraryUse libraries)
    : pool_(std::make_shared<MemoryPool>(options.ordinal, options.memory_limit)),
      workspace_(
          [this](int64_t bytes, std::shared_ptr<void>* block) { return pool_->allocate(bytes, "the program's working memory", block); }),
      libraries_(libraries) {
  info_.ordinal = options.ordinal;
  info_.precision = options.precision;
}

Status Device::open(const Options& options, LibraryUse libraries, std::shared_ptr<Device>* device) {
  std::shared_ptr<Device> made(new Device(options, libraries));
  ALUDEL_RETURN_IF_ERROR(made->start());
  *device = std::move(made);
  return {};
}

Status Device::start() {
  int count = 0;
  ALUDEL_RETURN_IF_CUDA_ERROR(cudaGetDeviceCount(&count), "the CUDA devices");
  if (info_.ordinal < 0 || info_.ordinal >= count) {
    return fail(Code::unavailable, "CUDA device %d: there are %d, numbered from 0", info_.ordinal, count);
  }
  {
    const std::lock_guard<std::mutex> lock(contexts().mutex);
    Contexts::Entry& context = contexts().of[info_.ordinal];
    if (context.lost && context.engines > 0) {
      return fail(Code::device_lost, "CUDA device %d was lost: close the %d devices opened on it first", info_.ordinal, context.engines);
    }
    if (context.lost) {
      cudaSetDevice(info_.ordinal);  // still answers with the error that lost it
      ALUDEL_RETURN_IF_CUDA_ERROR(cudaDeviceReset(), "the CUDA device after its loss");
      context.lost = false;
    }
    ALUDEL_RETURN_IF_CUDA_ERROR(cudaSetDevice(info_.ordinal), "the CUDA device");
    ++context.engines;
    counted_ = true;
  }
  const auto attribute = [&](cudaDeviceAttr name, int* value) { return cudaDeviceGetAttribute(value, name, info_.ordinal); };
  int shared = 0;
  ALUDEL_RETURN_IF_CUDA_ERROR(attribute(cudaDevAttrComputeCapabilityMajor, &info_.major), "the CUDA device");
  ALUDEL_RETURN_IF_CUDA_ERROR(attribute(cudaDevAttrComputeCapabilityMinor, &info_.minor), "the CUDA device");
  ALUDEL_RETURN_IF_CUDA_ERROR(attribute(cudaDevAttrMultiProcessorCount, &info_.multiprocessors), "the CUDA device");
  ALUDEL_RETURN_IF_CUDA_ERROR(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, &shared), "the CUDA device");
  info_.shared_bytes = shared;
  snprintf(architecture_, sizeof architecture_, "sm_%d%d", info_.major, info_.minor);
  if (info_.major < 8) {
    return fail(Code::unavailable, "CUDA device %d has compute capability %d.%d: this build has code for 8.0 and above", info_.ordinal,
                info_.major, info_.minor);
  }
  ALUDEL_RETURN_IF_CUDA_ERROR(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "a CUDA stream");
  ALUDEL_RETURN_IF_CUDA_ERROR(cudaStreamCreateWithFlags(&copy_stream_, cudaStreamNonBlocking), "a CUDA stream");
  ALUDEL_RETURN_IF_CUDA_ERROR(cudaEventCreateWithFlags(&transfer_, cudaEventDisableTiming), "a CUDA event");
  staging_ = std::make_unique<Staging>();
  pinned_ = std::make_shared<PinnedPool>();
  return {};
}

Device::~Device() { close(); }

void Device::close() {
  cudaSetDevice(info_.ordinal);
  libraries_.close();
  staging_.reset();
  pool_->release();
  if (pinned_ != nullptr) pinned_->release();
  if (transfer_ != nullptr) cudaEventDestroy(transfer_);
  if (copy_stream_ != nullptr) cudaStreamDestroy(copy_stream_);
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
  transfer_ = nullptr;
  copy_stream_ = stream_ = nullptr;
  if (!counted_) return;
  counted_ = false;
  const std::lock_guard<std::mutex> lock(contexts().mutex);
  --contexts().of[info_.ordinal].engines;
}

Status Device::use() const {
  if (lost_.load()) return lost();
  ALUDEL_RETURN_IF_CUDA_ERROR(cudaSetDevice(info_.ordinal), "the CUDA device");
  return {};
}

Status Device::begin_transfer(cudaStream_t* stream) {
  const std::lock_guard<std::mutex> lock(transfer_mutex_);
  *stream = copy_stream_;
  return to_status(cudaStreamWaitEvent(copy_stream_, transfer_, 0), "a transfer");
}

Status Device::transferred() {
  const std::lock_guard<std::mutex> lock(transfer_mutex_);
  return to_status(cudaEventRecord(transfer_, stream_), "a transfer");
}

Status Device::seen(Status status) {
  if (status.code != Code::device_lost || lost_.exchange(true)) return status;
  const std::lock_guard<std::mutex> lock(contexts().mutex);
  contexts().of[info_.ordinal].lost = true;
  return status;
}

// ---- arrays ---------------------------------------------------------------------------------------------------------------------

Status Memory::allocate(const std::shared_ptr<Device>& device, int64_t bytes, std::shared_ptr<DeviceMemory>* memory) {
  ALUDEL_RETURN_IF_ERROR(device->use());
  std::shared_ptr<Memory> made(new Memory(device, bytes));
  ALUDEL_RETURN_IF_ERROR(device->seen(device->pool().allocate(bytes, "the array", &made->block_)));
  *memory = std::move(made);
  return {};
}

Status Memory::settle() const {
  if (!fresh_) return {};
  ALUDEL_RETURN_IF_CUDA_ERROR(cudaMemsetAsync(block_.get(), 0, static_cast<size_t>(bytes), device_->stream()), "clearing an array");
  fresh_ = false;
  return {};
}

Status Memory::upload(int64_t offset, const void* source, int64_t count) {
  ALUDEL_RETURN_IF_ERROR(device_->use());
  if (count < bytes) ALUDEL_RETURN_IF_ERROR(device_->seen(settle()));
  fresh_ = false;
  ALUDEL_RETURN_IF_ERROR(device_->seen(device_->staging().upload(at(offset), source, count, device_->stream())));
  return device_->seen(device_->transferred());
}

bool Memory::begin_upload(int64_t offset, const void* source, int64_t count) {
  if (!device_->use().ok()) return false;
  begun_from_ = device_->pinned().allocate(count);
  if (begun_from_ == nullptr) return false;
  memcpy(begun_from_.get(), source, static_cast<size_t>(count));
  cudaStream_t stream = nullptr;
  Status status = device_->begin_transfer(&stream);
  if (status.ok()) status = begin(offset, count, stream);
  // What fails here fails again in upload(), which says so.
  if (!device_->seen(status).ok()) begun_from_ = nullptr;
  return begun_from_ != nullptr;
}

Status Memory::begin(int64_t offset, int64_t count, cudaStream_t stream) {
  if (begun_ == nullptr)
    ALUDEL_RETURN_IF_CUDA_ERROR(cudaEventCreateWithFlags(&begun_, cudaEventDisableTiming | cudaEventBlockingSync), "an upload");
  if (fresh_ && count < bytes)
    ALUDEL_RETURN_IF_CUDA_ERROR(cudaMemsetAsync(block_.get(), 0, static_cast<size_t>(bytes), stream), "an upload");
  fresh_ = false;
  ALUDEL_RETURN_IF_CUDA_ERROR(cudaMemcpyAsync(at(offset), begun_from_.get(), static_cast<size_t>(count), cudaMemcpyHostToDevice, stream),
                              "an upload");
  ALUDEL_RETURN_IF_CUDA_ERROR(cudaEventRecord(begun_, stream), "an upload");
  return {};
}

Status Memory::end_upload() {
  ALUDEL_RETURN_IF_ERROR(device_->use());
  const Status status = to_status(cudaEventSynchronize(begun_), "an upload");
  begun_from_ = nullptr;
  return device_->seen(status);
}

Memory::~Memory() {
  if (begun_ != nullptr) cudaEventDestroy(begun_);
}

Status Memory::download(int64_t offset, void* target, int64_t count) {
  ALUDEL_RETURN_IF_ERROR(device_->use());
  ALUDEL_RETURN_IF_ERROR(device_->seen(settle()));
  return device_->seen(device_->staging().download(target, at(offset), count, device_->stream()));
}

Status Memory::copy_from(const DeviceMemory& source, int64_t count) {
  ALUDEL_RETURN_IF_ERROR(device_->use());
  ALUDEL_RETURN_IF_ERROR(device_->seen(static_cast<const Memory&>(source).settle()));
  fresh_ = false;
  if (source.data() == data()) return {};
  const cudaError_t error = cudaMemcpyAsync(data(), source.data(), static_cast<size_t>(count), cudaMemcpyDeviceToDevice, device_->stream());
  ALUDEL_RETURN_IF_ERROR(device_->seen(to_status(error, "copying an array")));
  return device_->seen(device_->transferred());
}

}  // namespace aludel::cuda
