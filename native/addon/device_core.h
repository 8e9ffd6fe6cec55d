// The native half of a device: backend, run thread, completions. Shared by the wrapper, its children and every task in flight, so none
// of them can outlive it. Except for Task::execute everything here happens on the JavaScript thread.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <unordered_set>

#include "native/addon/napi_config.h"
#include "native/core/backend.h"
#include "native/core/run_queue.h"

namespace aludel::addon {

class DeviceCore;

// One promise. Made and settled on the JavaScript thread, executed on the run thread in between.
class Task {
 public:
  explicit Task(Napi::Env env) : deferred(Napi::Promise::Deferred::New(env)) {}
  virtual ~Task() = default;
  virtual Status execute() = 0;
  // The promise's value after success.
  virtual Napi::Value result(Napi::Env env) { return env.Undefined(); }
  // Adds to the error of a failed task.
  virtual void describe_failure(Napi::Error&) {}
  // The environment is gone: JavaScript references must be dropped without calling into it.
  virtual void abandon() {}

  Napi::Promise::Deferred deferred;
  std::shared_ptr<DeviceCore> core;
  Status status;
};

// Something that lives on a device and goes with it.
class DeviceChild {
 public:
  virtual void dispose_from_parent() = 0;

 protected:
  ~DeviceChild() = default;
};

class DeviceCore : public std::enable_shared_from_this<DeviceCore> {
 public:
  static std::shared_ptr<DeviceCore> open(Napi::Env env, std::unique_ptr<Backend> backend);
  explicit DeviceCore(std::unique_ptr<Backend> backend);
  ~DeviceCore();

  Backend& backend() { return *backend_; }
  // Set when the environment ends: running steps stop at their next cancellation point.
  const std::atomic<bool>& stop() const { return stop_; }

  // Rejects (as a returned promise) once closing has begun.
  Napi::Promise submit(Napi::Env env, std::unique_ptr<Task> task);
  // Runs what was submitted, then disposes children, then resolves. The second call waits for the same end.
  Napi::Promise close(Napi::Env env);
  bool closing() const { return closing_; }

  void add(DeviceChild* child) { children_.insert(child); }
  void remove(DeviceChild* child) { children_.erase(child); }
  void finish_close();

 private:
  static void on_environment_end(void* self);
  static void on_complete(napi_env env, napi_value, void*, void* task);
  Napi::Promise enqueue(Napi::Env env, std::unique_ptr<Task> task);
  void settle(Napi::Env env, Task& task);
  void shut_down();

  std::unique_ptr<Backend> backend_;
  std::unordered_set<DeviceChild*> children_;
  std::atomic<bool> stop_{false};
  bool closing_ = false;
  bool shut_ = false;
  int64_t pending_ = 0;
  napi_env env_ = nullptr;
  napi_threadsafe_function completions_ = nullptr;
  RunQueue queue_;
};

}  // namespace aludel::addon
