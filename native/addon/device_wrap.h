// A device as JavaScript holds it: makes buffers and programs, closes with everything it made.
#pragma once
#include "native/addon/device_core.h"
#include "native/addon/type_tags.h"

namespace aludel::addon {

class DeviceWrap final : public TaggedWrap<DeviceWrap> {
 public:
  static constexpr napi_type_tag kTag = kDeviceTag;
  static constexpr const char* kName = "Device";

  explicit DeviceWrap(const Napi::CallbackInfo& info);
  static Napi::Function define(Napi::Env env);
  // createDevice({ threads, isa? })
  static Napi::Value create(const Napi::CallbackInfo& info);

 private:
  Napi::Value buffer(const Napi::CallbackInfo& info);
  Napi::Value load(const Napi::CallbackInfo& info);
  // Keeps the run thread waiting until released: { entered: Promise, release(), left: Promise }.
  Napi::Value hold(const Napi::CallbackInfo& info);
  // symmetricEigen({ matrix, values, n, token? })
  Napi::Value symmetric_eigen(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info) { return core_->close(info.Env()); }
  Napi::Value isa(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), core_->backend().isa()); }
  Napi::Value threads(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), core_->backend().threads()); }
  Napi::Value workspace_bytes(const Napi::CallbackInfo& info);
  Napi::Value free_bytes(const Napi::CallbackInfo& info);
  void check_open(Napi::Env env) const;

  std::shared_ptr<DeviceCore> core_;
};

}  // namespace aludel::addon
