// A flag that JavaScript sets and the executor reads. One token may serve several runs.
#pragma once
#include <atomic>
#include <memory>

#include "native/addon/type_tags.h"

namespace aludel::addon {

class CancelToken final : public TaggedWrap<CancelToken> {
 public:
  static constexpr napi_type_tag kTag = kCancelTokenTag;
  static constexpr const char* kName = "CancelToken";

  explicit CancelToken(const Napi::CallbackInfo& info) : TaggedWrap(info) {}
  static Napi::Function define(Napi::Env env) { return DefineClass(env, kName, {InstanceMethod<&CancelToken::cancel>("cancel")}); }
  const std::shared_ptr<std::atomic<bool>>& flag() const { return flag_; }

 private:
  void cancel(const Napi::CallbackInfo&) { flag_->store(true); }

  std::shared_ptr<std::atomic<bool>> flag_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace aludel::addon
