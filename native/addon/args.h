// Checked readers of JavaScript arguments, and Status as a JavaScript error: { code, message, instruction?, completed? }.
#pragma once
#include <string>

#include "native/addon/napi_config.h"
#include "native/core/status.h"

namespace aludel::addon {

// The code's name as TypeScript knows it ("invalid_program", ...).
const char* code_name(Code code);

Napi::Error to_error(Napi::Env env, const Status& status);
[[noreturn]] void throw_status(Napi::Env env, const Status& status);
inline void throw_if_error(Napi::Env env, const Status& status) {
  if (!status.ok()) throw_status(env, status);
}

// A whole number in [low, high]; throws "<what>: expected ... but received ...".
int64_t whole_number(Napi::Value value, const char* what, int64_t low, int64_t high);
// The property as a whole number, or `otherwise` when it is undefined.
int64_t whole_property(Napi::Object object, const char* name, int64_t low, int64_t high, int64_t otherwise);
Napi::Object object_argument(const Napi::CallbackInfo& info, size_t index, const char* what);

struct Bytes {
  const uint8_t* data;
  size_t size;
};
// The bytes under a typed array; throws for anything else.
Bytes bytes_argument(const Napi::CallbackInfo& info, size_t index, const char* what);

}  // namespace aludel::addon
