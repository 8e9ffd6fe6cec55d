// Transfers. They queue with the runs, so a read after a run sees its result and a write before it is what it uses.
#include "native/addon/buffer_wrap.h"

#include <cstring>

#include "native/addon/args.h"
#include "native/addon/environment.h"

namespace aludel::addon {
namespace {

class WriteTask final : public Task {
 public:
  using Task::Task;
  Status execute() override { return begun ? memory->end_upload() : memory->upload(offset, staging.get(), bytes); }

  std::shared_ptr<DeviceMemory> memory;
  bool begun = false;
  Block staging;  // else: copied at the call, so that the caller may reuse or transfer its array at once
  int64_t offset = 0;
  int64_t bytes = 0;
};

class ReadTask final : public Task {
 public:
  ReadTask(Napi::Env env, std::shared_ptr<DeviceMemory> source, int64_t at, int64_t count)
      : Task(env), memory(std::move(source)), offset(at), bytes(count) {
    Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, static_cast<size_t>(count));
    target = buffer.Data();
    reference = Napi::Persistent(buffer);
  }
  Status execute() override { return memory->download(offset, target, bytes); }
  Napi::Value result(Napi::Env) override { return reference.Value(); }
  void abandon() override { reference.SuppressDestruct(); }

  std::shared_ptr<DeviceMemory> memory;
  int64_t offset;
  int64_t bytes;
  void* target;  // memory of `reference`, which nobody else has seen yet
  Napi::Reference<Napi::ArrayBuffer> reference;
};

class CopyTask final : public Task {
 public:
  using Task::Task;
  Status execute() override { return target->copy_from(*source, source->bytes); }

  std::shared_ptr<DeviceMemory> source, target;
};

}  // namespace

BufferWrap::BufferWrap(const Napi::CallbackInfo& info) : TaggedWrap(info) {
  const State& state = constructor_state<State>(info);
  core_ = state.core;
  memory_ = state.memory;
  core_->add(this);
  Napi::MemoryManagement::AdjustExternalMemory(info.Env(), memory_->bytes);
}

BufferWrap::~BufferWrap() { release(Env()); }

Napi::Function BufferWrap::define(Napi::Env env) {
  return DefineClass(env, kName,
                     {InstanceMethod<&BufferWrap::write>("write"), InstanceMethod<&BufferWrap::read>("read"),
                      InstanceMethod<&BufferWrap::copy_from>("copyFrom"), InstanceMethod<&BufferWrap::dispose>("dispose")});
}

void BufferWrap::release(Napi::Env env) {
  if (!memory_) return;
  Napi::MemoryManagement::AdjustExternalMemory(env, -memory_->bytes);
  memory_.reset();
  core_->remove(this);
}

DeviceMemory& BufferWrap::alive(Napi::Env env) const { return *memory_on(env, *core_); }

const std::shared_ptr<DeviceMemory>& BufferWrap::memory_on(Napi::Env env, const DeviceCore& core) const {
  if (!memory_) {
    Napi::Error error = Napi::Error::New(env, "the array was used after dispose");
    error.Set("code", Napi::String::New(env, "disposed"));
    throw error;
  }
  if (core_.get() != &core) throw_status(env, fail(Code::invalid_argument, "the array belongs to another device"));
  return memory_;
}

Napi::Value BufferWrap::write(const Napi::CallbackInfo& info) {
  const DeviceMemory& memory = alive(info.Env());
  const int64_t offset = whole_number(info[0], "offset", 0, memory.bytes);
  const Bytes source = bytes_argument(info, 1, "data");
  if (source.size > static_cast<size_t>(memory.bytes - offset)) {
    throw_status(info.Env(), fail(Code::invalid_argument, "data: expected at most %lld bytes from offset %lld but received %zu",
                                  static_cast<long long>(memory.bytes - offset), static_cast<long long>(offset), source.size));
  }
  auto task = std::make_unique<WriteTask>(info.Env());
  task->memory = memory_;
  task->offset = offset;
  task->bytes = static_cast<int64_t>(source.size);
  // Every task that uses the memory holds it until it is settled here, on this thread: two owners, this and the new task, mean that none
  // is under way.
  task->begun = source.size > 0 && memory_.use_count() == 2 && memory_->begin_upload(offset, source.data, task->bytes);
  if (!task->begun) {
    throw_if_error(info.Env(), allocate_block(task->bytes, "the copy of the data to write", &task->staging));
    if (source.size > 0) memcpy(task->staging.get(), source.data, source.size);
  }
  return core_->submit(info.Env(), std::move(task));
}

Napi::Value BufferWrap::read(const Napi::CallbackInfo& info) {
  const DeviceMemory& memory = alive(info.Env());
  const int64_t offset = whole_number(info[0], "offset", 0, memory.bytes);
  const int64_t bytes = whole_number(info[1], "bytes", 0, memory.bytes - offset);
  return core_->submit(info.Env(), std::make_unique<ReadTask>(info.Env(), memory_, offset, bytes));
}

Napi::Value BufferWrap::copy_from(const Napi::CallbackInfo& info) {
  const DeviceMemory& memory = alive(info.Env());
  const BufferWrap* other = from(info[0]);
  if (other == nullptr) throw_status(info.Env(), fail(Code::invalid_argument, "source: expected a Buffer"));
  const auto& source = other->memory_on(info.Env(), *core_);
  if (source->bytes != memory.bytes) {
    throw_status(info.Env(), fail(Code::invalid_argument, "source: expected %lld bytes but received %lld",
                                  static_cast<long long>(memory.bytes), static_cast<long long>(source->bytes)));
  }
  auto task = std::make_unique<CopyTask>(info.Env());
  task->source = source;
  task->target = memory_;
  return core_->submit(info.Env(), std::move(task));
}

}  // namespace aludel::addon
