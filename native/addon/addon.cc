// Exports of the addon: info(), surveyCuda(), surveyCudaLibraries(), createDevice(), CancelToken, readRows(). Everything else hangs on a
// device.
#include "native/addon/buffer_wrap.h"
#include "native/addon/cancel_token.h"
#include "native/addon/device_wrap.h"
#include "native/addon/environment.h"
#include "native/addon/program_wrap.h"
#include "native/addon/row_reader.h"
#include "native/core/opcodes.h"
#include "native/cpu/cpu_backend.h"
#include "native/cpu/isa.h"
#include "native/cuda/cuda_backend.h"

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
  return result;
}

// Apart from info(): asking the driver takes a tenth of a second where there is one.
Napi::Value survey_cuda(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  const cuda::Survey found = cuda::survey();
  Napi::Object result = Napi::Object::New(env);
  result.Set("built", found.built);
  result.Set("reason", found.reason);
  result.Set("driver", found.driver);
  result.Set("toolkit", found.toolkit);
  Napi::Array devices = Napi::Array::New(env);
  for (uint32_t i = 0; i < found.devices.size(); ++i) {
    Napi::Object device = Napi::Object::New(env);
    device.Set("name", found.devices[i].name);
    device.Set("architecture", found.devices[i].architecture);
    device.Set("bytes", static_cast<double>(found.devices[i].total_bytes));
    devices.Set(i, device);
  }
  result.Set("devices", devices);
  return result;
}

Napi::Value survey_cuda_libraries(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  Napi::Array result = Napi::Array::New(env);
  uint32_t count = 0;
  for (const cuda::FoundLibrary& found : cuda::survey_libraries()) {
    Napi::Object library = Napi::Object::New(env);
    library.Set("name", found.name);
    library.Set("version", found.version);
    library.Set("missing", found.missing);
    result.Set(count++, library);
  }
  return result;
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  auto* environment = new Environment;
  env.SetInstanceData(environment);  // deleted with the environment
  environment->device = Napi::Persistent(DeviceWrap::define(env));
  environment->buffer = Napi::Persistent(BufferWrap::define(env));
  environment->program = Napi::Persistent(ProgramWrap::define(env));
  exports.Set("info", Napi::Function::New<info>(env, "info"));
  exports.Set("surveyCuda", Napi::Function::New<survey_cuda>(env, "surveyCuda"));
  exports.Set("surveyCudaLibraries", Napi::Function::New<survey_cuda_libraries>(env, "surveyCudaLibraries"));
  exports.Set("createDevice", Napi::Function::New<DeviceWrap::create>(env, "createDevice"));
  exports.Set("CancelToken", CancelToken::define(env));
  exports.Set("readRows", Napi::Function::New<read_rows>(env, "readRows"));
  return exports;
}

}  // namespace

NODE_API_MODULE(aludel, initialise)

}  // namespace aludel::addon
