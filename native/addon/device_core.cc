// Order of ends. Normal: close task -> children disposed -> run thread joined -> completions released. Environment torn down mid-run:
// hooks run last-in first-out and ours is added after the completion function's own, so the run thread is joined while that
// function still accepts calls; undelivered tasks are then handed back with a null environment and dropped.
#include "native/addon/device_core.h"

#include "native/addon/args.h"

namespace aludel::addon {
namespace {

class CloseTask final : public Task {
 public:
  using Task::Task;
  Status execute() override { return {}; }
  Napi::Value result(Napi::Env env) override {
    core->finish_close();
    return env.Undefined();
  }
};

}  // namespace

DeviceCore::DeviceCore(std::unique_ptr<Backend> backend) : backend_(std::move(backend)) {}

std::shared_ptr<DeviceCore> DeviceCore::open(Napi::Env env, std::unique_ptr<Backend> backend) {
  auto core = std::make_shared<DeviceCore>(std::move(backend));
  const Napi::String name = Napi::String::New(env, "aludel device");
  if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, nullptr, on_complete, &core->completions_) !=
      napi_ok) {
    throw_status(env, fail(Code::internal, "device: the completion function could not be created"));
  }
  core->env_ = env;
  napi_unref_threadsafe_function(env, core->completions_);
  napi_add_env_cleanup_hook(env, on_environment_end, core.get());
  return core;
}

DeviceCore::~DeviceCore() {
  if (!shut_ && env_ != nullptr) napi_remove_env_cleanup_hook(env_, on_environment_end, this);
  shut_down();
}

void DeviceCore::on_environment_end(void* self) {
  auto* core = static_cast<DeviceCore*>(self);
  core->closing_ = true;
  core->stop_.store(true);
  core->shut_down();
}

// Joins the run thread; after it nothing calls completions_ from another thread.
void DeviceCore::shut_down() {
  if (shut_) return;
  shut_ = true;
  queue_.close();
  if (completions_ != nullptr) napi_release_threadsafe_function(completions_, napi_tsfn_release);
}

Napi::Promise DeviceCore::submit(Napi::Env env, std::unique_ptr<Task> task) {
  if (closing_) {
    Napi::Error error = Napi::Error::New(env, "the device is closed");
    error.Set("code", Napi::String::New(env, "disposed"));
    task->deferred.Reject(error.Value());
    return task->deferred.Promise();
  }
  return enqueue(env, std::move(task));
}

Napi::Promise DeviceCore::close(Napi::Env env) {
  auto task = std::make_unique<CloseTask>(env);
  if (shut_) {
    task->deferred.Resolve(env.Undefined());
    return task->deferred.Promise();
  }
  closing_ = true;
  return enqueue(env, std::move(task));
}

void DeviceCore::finish_close() {
  if (shut_) return;
  const auto children = children_;  // each removes itself
  for (DeviceChild* child : children) child->dispose_from_parent();
  napi_remove_env_cleanup_hook(env_, on_environment_end, this);
  shut_down();
  backend_->close();  // now, not when JavaScript's collector comes by
}

Napi::Promise DeviceCore::enqueue(Napi::Env env, std::unique_ptr<Task> owned) {
  const Napi::Promise promise = owned->deferred.Promise();
  owned->core = shared_from_this();
  // Work in flight keeps the process alive, an idle device does not.
  if (pending_++ == 0) napi_ref_threadsafe_function(env, completions_);
  Task* task = owned.release();
  const bool accepted = queue_.submit([task, completions = completions_, &stop = stop_] {
    task->status = stop.load() ? fail(Code::cancelled, "the environment is ending") : task->execute();
    // Ownership goes to the JavaScript thread. Refused only when that thread is gone, and then so is the right place to destroy it.
    napi_call_threadsafe_function(completions, task, napi_tsfn_nonblocking);
  });
  if (!accepted) {
    task->status = fail(Code::cancelled, "the device is closed");
    on_complete(env, nullptr, nullptr, task);
  }
  return promise;
}

void DeviceCore::on_complete(napi_env env, napi_value, void*, void* data) {
  std::unique_ptr<Task> task(static_cast<Task*>(data));
  if (env == nullptr) {
    task->abandon();
    return;
  }
  const std::shared_ptr<DeviceCore> core = task->core;  // outlives the task whatever result() does
  core->settle(env, *task);
}

void DeviceCore::settle(Napi::Env env, Task& task) {
  if (--pending_ == 0 && !shut_) napi_unref_threadsafe_function(env, completions_);
  // Called from C: nothing may leave. Any call into a worker that is being terminated fails, so does the rejection; nobody is left to
  // hear of either, and the promise goes with the worker.
  try {
    const Napi::HandleScope scope(env);
    try {
      if (task.status.ok()) {
        task.deferred.Resolve(task.result(env));
      } else {
        Napi::Error error = to_error(env, task.status);
        task.describe_failure(error);
        task.deferred.Reject(error.Value());
      }
    } catch (const Napi::Error& error) {
      task.deferred.Reject(error.Value());
    }
  } catch (...) {
  }
}

}  // namespace aludel::addon
