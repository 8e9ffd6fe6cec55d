// Readers never trust types: this surface is reachable without the TypeScript above it.
#include "native/addon/args.h"

#include <cmath>

namespace aludel::addon {
namespace {

constexpr int64_t kMaxSafe = (int64_t{1} << 53) - 1;

std::string shown(Napi::Value value) {
  if (value.IsNumber() || value.IsBoolean() || value.IsUndefined() || value.IsNull()) return value.ToString().Utf8Value();
  if (value.IsString()) return "a string";
  return value.IsObject() ? "an object" : "another type";
}

}  // namespace

const char* code_name(Code code) {
  switch (code) {
    case Code::ok:
      return "ok";
    case Code::invalid_program:
      return "invalid_program";
    case Code::invalid_argument:
      return "invalid_argument";
    case Code::invalid_index:
      return "invalid_index";
    case Code::out_of_memory:
      return "out_of_memory";
    case Code::cancelled:
      return "cancelled";
    case Code::unavailable:
      return "unavailable";
    case Code::device_lost:
      return "device_lost";
    case Code::internal:
      return "internal";
  }
  return "internal";
}

Napi::Error to_error(Napi::Env env, const Status& status) {
  Napi::Error error = Napi::Error::New(env, status.message);
  error.Set("code", Napi::String::New(env, code_name(status.code)));
  if (status.instruction >= 0) error.Set("instruction", Napi::Number::New(env, status.instruction));
  return error;
}

void throw_status(Napi::Env env, const Status& status) { throw to_error(env, status); }

int64_t whole_number(Napi::Value value, const char* what, int64_t low, int64_t high) {
  const double x = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  // The comparison in double is exact: both limits are at most 2^53.
  if (!(x >= static_cast<double>(low) && x <= static_cast<double>(high < kMaxSafe ? high : kMaxSafe)) || x != std::floor(x)) {
    throw_status(value.Env(), fail(Code::invalid_argument, "%s: expected a whole number from %lld to %lld but received %s", what,
                                   static_cast<long long>(low), static_cast<long long>(high), shown(value).c_str()));
  }
  return static_cast<int64_t>(x);
}

int64_t whole_property(Napi::Object object, const char* name, int64_t low, int64_t high, int64_t otherwise) {
  const Napi::Value value = object.Get(name);
  return value.IsUndefined() ? otherwise : whole_number(value, name, low, high);
}

Napi::Object object_argument(const Napi::CallbackInfo& info, size_t index, const char* what) {
  if (!info[index].IsObject()) {
    throw_status(info.Env(), fail(Code::invalid_argument, "%s: expected an object but received %s", what, shown(info[index]).c_str()));
  }
  return info[index].As<Napi::Object>();
}

Bytes bytes_argument(const Napi::CallbackInfo& info, size_t index, const char* what) {
  if (!info[index].IsTypedArray()) {
    throw_status(info.Env(), fail(Code::invalid_argument, "%s: expected a typed array but received %s", what, shown(info[index]).c_str()));
  }
  const auto array = info[index].As<Napi::TypedArray>();
  if (array.ByteLength() == 0) return {nullptr, 0};
  return {static_cast<const uint8_t*>(array.ArrayBuffer().Data()) + array.ByteOffset(), array.ByteLength()};
}

}  // namespace aludel::addon
