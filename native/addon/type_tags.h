// One tag per wrapped class. Without them a borrowed method (`program.run.call(buffer)`) would reinterpret a pointer.
#pragma once
#include "native/addon/napi_config.h"

namespace aludel::addon {

inline constexpr napi_type_tag kDeviceTag = {0x6f1d0a6d3c1b4e01, 0x9b2f5c7d8e4a1001};
inline constexpr napi_type_tag kBufferTag = {0x6f1d0a6d3c1b4e02, 0x9b2f5c7d8e4a1002};
inline constexpr napi_type_tag kProgramTag = {0x6f1d0a6d3c1b4e03, 0x9b2f5c7d8e4a1003};
inline constexpr napi_type_tag kCancelTokenTag = {0x6f1d0a6d3c1b4e04, 0x9b2f5c7d8e4a1004};

// Adds to ObjectWrap what it lacks: every receiver and argument is checked before it is unwrapped, and only native code constructs.
template <typename T>
class TaggedWrap : public Napi::ObjectWrap<T> {
 public:
  explicit TaggedWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<T>(info) {
    info.This().template As<Napi::Object>().TypeTag(&T::kTag);
  }

  // Hides ObjectWrap::Unwrap; the method wrappers of node-addon-api call it for `this`.
  static T* Unwrap(Napi::Object object) {
    T* self = from(object);
    if (self == nullptr) throw Napi::TypeError::New(object.Env(), std::string("receiver: expected a ") + T::kName);
    return self;
  }
  // Null when `value` is anything but a T.
  static T* from(Napi::Value value) {
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&T::kTag)) return nullptr;
    return Napi::ObjectWrap<T>::Unwrap(value.As<Napi::Object>());
  }
};

}  // namespace aludel::addon
