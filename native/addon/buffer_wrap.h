// Device memory as JavaScript holds it. A task in flight shares the memory, so dispose() never pulls it from under a run.
#pragma once
#include "native/addon/device_core.h"
#include "native/addon/type_tags.h"

namespace aludel::addon {

class BufferWrap final : public TaggedWrap<BufferWrap>, public DeviceChild {
 public:
  static constexpr napi_type_tag kTag = kBufferTag;
  static constexpr const char* kName = "Buffer";
  struct State {
    std::shared_ptr<DeviceCore> core;
    std::shared_ptr<DeviceMemory> memory;
  };

  explicit BufferWrap(const Napi::CallbackInfo& info);
  ~BufferWrap();
  static Napi::Function define(Napi::Env env);

  void dispose_from_parent() override { release(Env()); }
  // The memory; throws when disposed or of another device.
  const std::shared_ptr<DeviceMemory>& memory_on(Napi::Env env, const DeviceCore& core) const;

 private:
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value copy_from(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info) { release(info.Env()); }
  void release(Napi::Env env);
  DeviceMemory& alive(Napi::Env env) const;

  std::shared_ptr<DeviceCore> core_;
  std::shared_ptr<DeviceMemory> memory_;
};

}  // namespace aludel::addon
