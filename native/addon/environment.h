// What one JavaScript environment (main thread or worker) keeps of this addon: the constructors of classes that are not exported.
#pragma once
#include "native/addon/napi_config.h"

namespace aludel::addon {

struct Environment {
  Napi::FunctionReference device;
  Napi::FunctionReference buffer;
  Napi::FunctionReference program;

  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }
};

// Native code passes its own state to a constructor as an external; JavaScript cannot make one.
template <typename State>
State& constructor_state(const Napi::CallbackInfo& info) {
  if (!info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "illegal constructor: this object is made by its parent");
  return *info[0].As<Napi::External<State>>().Data();
}

}  // namespace aludel::addon
