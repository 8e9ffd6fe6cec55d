// A loaded program as JavaScript holds it. Runs in flight share it and their arrays.
#pragma once
#include "native/addon/device_core.h"
#include "native/addon/type_tags.h"

namespace aludel::addon {

class ProgramWrap final : public TaggedWrap<ProgramWrap>, public DeviceChild {
 public:
  static constexpr napi_type_tag kTag = kProgramTag;
  static constexpr const char* kName = "Program";
  struct State {
    std::shared_ptr<DeviceCore> core;
    std::shared_ptr<LoadedProgram> program;
  };

  explicit ProgramWrap(const Napi::CallbackInfo& info);
  ~ProgramWrap();
  static Napi::Function define(Napi::Env env);

  void dispose_from_parent() override { release(Env()); }

 private:
  Napi::Value run(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  Napi::Value libraries(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info) { release(info.Env()); }
  void release(Napi::Env env);
  LoadedProgram& alive(Napi::Env env) const;

  std::shared_ptr<DeviceCore> core_;
  std::shared_ptr<LoadedProgram> program_;
};

}  // namespace aludel::addon
