// Exports of the addon: info(), createDevice(), CancelToken, readRows(). Everything else hangs on a device.
#include "native/addon/buffer_wrap.h"
#include "native/addon/cancel_token.h"
#include "native/addon/device_wrap.h"
#include "native/addon/environment.h"
#include "native/addon/program_wrap.h"
#include "native/addon/row_reader.h"
#include "native/core/opcodes.h"
#include "native/cpu/cpu_backend.h"
#include "native/cpu/isa.h"
#include "native/no_cuda/no_cuda_backend.h"

namespace aludel::addon {
namespace {

Napi::Value info(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Object result = Napi::Object::New(env);
  Napi::Array names = Napi::Array::New(env);
  uint32_t count = 0;
  for (const cpu::Isa& isa : cpu::isas()) {
    if (isa.supported) names.Set(count++, isa.name);
  }
  const cpu::Isa* best = nullptr;
  cpu::choose_isa("", &best);  // portable at least
  result.Set("isas", names);
  result.Set("isa", best->name);
  result.Set("cores", cpu::available_cores());
  result.Set("opcodeHash", kOpcodeHash);
  Napi::Object cuda = Napi::Object::New(env);
  cuda.Set("built", cuda::kBuilt);
  cuda.Set("reason", cuda::unavailable_reason());
  result.Set("cuda", cuda);
  return result;
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  auto* environment = new Environment;
  env.SetInstanceData(environment);  // deleted with the environment
  environment->device = Napi::Persistent(DeviceWrap::define(env));
  environment->buffer = Napi::Persistent(BufferWrap::define(env));
  environment->program = Napi::Persistent(ProgramWrap::define(env));
  exports.Set("info", Napi::Function::New<info>(env, "info"));
  exports.Set("createDevice", Napi::Function::New<DeviceWrap::create>(env, "createDevice"));
  exports.Set("CancelToken", CancelToken::define(env));
  exports.Set("readRows", Napi::Function::New<read_rows>(env, "readRows"));
  return exports;
}

}  // namespace

NODE_API_MODULE(aludel, initialise)

}  // namespace aludel::addon
