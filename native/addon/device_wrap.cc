// Construction of a device and its children.
#include "native/addon/device_wrap.h"

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "native/addon/args.h"
#include "native/addon/buffer_wrap.h"
#include "native/addon/cancel_token.h"
#include "native/addon/environment.h"
#include "native/addon/program_wrap.h"
#include "native/cpu/cpu_backend.h"
#include "native/cpu/isa.h"
#include "native/cuda/cuda_backend.h"

namespace aludel::addon {
namespace {

// Opened by JavaScript; the run thread waits in front of it.
class Gate {
 public:
  void open() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      open_ = true;
    }
    wake_.notify_all();
  }
  // Looks at `stop` now and then: an environment that ends opens no gates.
  void wait(const std::atomic<bool>& stop) {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!open_ && !stop.load()) wake_.wait_for(lock, std::chrono::milliseconds(20));
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool open_ = false;
};

class EnterTask final : public Task {
 public:
  using Task::Task;
  Status execute() override { return {}; }
};

class GateTask final : public Task {
 public:
  GateTask(Napi::Env env, std::shared_ptr<Gate> gate) : Task(env), gate_(std::move(gate)) {}
  Status execute() override {
    gate_->wait(core->stop());
    return {};
  }

 private:
  std::shared_ptr<Gate> gate_;
};

class EigenTask final : public Task {
 public:
  using Task::Task;
  Status execute() override { return core->backend().symmetric_eigen(request); }

  std::shared_ptr<std::atomic<bool>> cancel;
  EigenRequest request;
};

bool is_true(Napi::Value value) { return value.IsBoolean() && value.As<Napi::Boolean>().Value(); }

// The CPU's kernels say what operands must look like, for this backend too; those of any instruction set say the same.
Status create_cuda(Napi::Object options, int threads, std::unique_ptr<Backend>* backend) {
  cuda::Options chosen;
  chosen.ordinal = static_cast<int>(whole_property(options, "index", 0, 1023, 0));
  chosen.precision = static_cast<cuda::Precision>(whole_property(options, "precision", 0, 3, 1));
  const auto libraries = static_cast<cuda::LibraryUse>(whole_property(options, "libraries", 0, 2, 0));
  chosen.memory_limit = whole_property(options, "memory", 1, int64_t{1} << 46, 0);
  const cpu::Isa* isa = nullptr;
  ALUDEL_RETURN_IF_ERROR(cpu::choose_isa("portable", &isa));
  const Napi::Value wanted = options.Get("isa");
  const auto open_host = [threads](std::unique_ptr<Backend>* host) { return cpu::create_backend(threads, "", host); };
  ALUDEL_RETURN_IF_ERROR(cuda::create_backend(chosen, libraries, isa->table(), threads, open_host, backend));
  const std::string found = (*backend)->isa();
  if (!wanted.IsString() || wanted.As<Napi::String>().Utf8Value() == found) return {};
  return fail(Code::unavailable, "isa: expected a GPU of architecture %s but device %d is %s",
              wanted.As<Napi::String>().Utf8Value().substr(0, 40).c_str(), chosen.ordinal, found.c_str());
}

}  // namespace

DeviceWrap::DeviceWrap(const Napi::CallbackInfo& info) : TaggedWrap(info), core_(constructor_state<std::shared_ptr<DeviceCore>>(info)) {}

Napi::Function DeviceWrap::define(Napi::Env env) {
  return DefineClass(
      env, kName,
      {InstanceMethod<&DeviceWrap::buffer>("buffer"), InstanceMethod<&DeviceWrap::load>("load"), InstanceMethod<&DeviceWrap::hold>("hold"),
       InstanceMethod<&DeviceWrap::symmetric_eigen>("symmetricEigen"), InstanceMethod<&DeviceWrap::close>("close"),
       InstanceAccessor<&DeviceWrap::isa>("isa"), InstanceAccessor<&DeviceWrap::threads>("threads"),
       InstanceAccessor<&DeviceWrap::workspace_bytes>("workspaceBytes"), InstanceAccessor<&DeviceWrap::free_bytes>("freeBytes")});
}

Napi::Value DeviceWrap::create(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Napi::Object options = object_argument(info, 0, "createDevice");
  const auto threads = static_cast<int>(whole_property(options, "threads", 1, cpu::kMaxThreads, cpu::available_cores()));
  const Napi::Value isa = options.Get("isa");
  if (!isa.IsUndefined() && !isa.IsString()) throw_status(env, fail(Code::invalid_argument, "isa: expected a string"));
  const bool is_cuda = is_true(options.Get("cuda"));
  std::unique_ptr<Backend> backend;
  throw_if_error(env, is_cuda ? create_cuda(options, threads, &backend)
                              : cpu::create_backend(threads, isa.IsString() ? isa.As<Napi::String>().Utf8Value() : "", &backend));
  std::shared_ptr<DeviceCore> core = DeviceCore::open(env, std::move(backend));
  return Environment::of(env).device.New({Napi::External<std::shared_ptr<DeviceCore>>::New(env, &core)});
}

void DeviceWrap::check_open(Napi::Env env) const {
  if (!core_->closing()) return;
  Napi::Error error = Napi::Error::New(env, "the device is closed");
  error.Set("code", Napi::String::New(env, "disposed"));
  throw error;
}

Napi::Value DeviceWrap::buffer(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  check_open(env);
  const int64_t bytes = whole_number(info[0], "bytes", 0, int64_t{1} << 46);
  BufferWrap::State state{core_, nullptr};
  throw_if_error(env, core_->backend().allocate(bytes, &state.memory));
  return Environment::of(env).buffer.New({Napi::External<BufferWrap::State>::New(env, &state)});
}

Napi::Value DeviceWrap::load(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  check_open(env);
  const Bytes bytes = bytes_argument(info, 0, "program");
  ProgramWrap::State state{core_, nullptr};
  throw_if_error(env, core_->backend().load(bytes.data, bytes.size, &state.program));
  return Environment::of(env).program.New({Napi::External<ProgramWrap::State>::New(env, &state)});
}

Napi::Value DeviceWrap::hold(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  check_open(env);
  auto gate = std::make_shared<Gate>();
  Napi::Object object = Napi::Object::New(env);
  object.Set("release", Napi::Function::New(
                            env, [gate](const Napi::CallbackInfo&) { gate->open(); }, "release"));
  // Two tasks, since a task tells JavaScript of its end only: the first one's is the moment at which the second one begins.
  object.Set("entered", core_->submit(env, std::make_unique<EnterTask>(env)));
  object.Set("left", core_->submit(env, std::make_unique<GateTask>(env, gate)));
  return object;
}

Napi::Value DeviceWrap::symmetric_eigen(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  check_open(env);
  const Napi::Object options = object_argument(info, 0, "symmetricEigen");
  auto task = std::make_unique<EigenTask>(env);
  EigenRequest& request = task->request;
  request.n = whole_property(options, "n", 1, int64_t{1} << 20, 0);
  const auto memory = [&](const char* name, int64_t elements) {
    const BufferWrap* buffer = BufferWrap::from(options.Get(name));
    if (buffer == nullptr) throw_status(env, fail(Code::invalid_argument, "%s: expected a Buffer", name));
    const std::shared_ptr<DeviceMemory>& found = buffer->memory_on(env, *core_);
    const int64_t bytes = elements * static_cast<int64_t>(sizeof(double));
    if (found->bytes != bytes) {
      throw_status(env, fail(Code::invalid_argument, "%s: expected %lld bytes but received %lld", name, static_cast<long long>(bytes),
                             static_cast<long long>(found->bytes)));
    }
    return found;
  };
  request.matrix = memory("matrix", request.n * request.n);
  request.values = memory("values", request.n);
  if (request.matrix == request.values) throw_status(env, fail(Code::invalid_argument, "values: expected another Buffer than matrix"));
  const Napi::Value token = options.Get("token");
  if (!token.IsUndefined()) {
    const CancelToken* cancel = CancelToken::from(token);
    if (cancel == nullptr) throw_status(env, fail(Code::invalid_argument, "token: expected a CancelToken"));
    task->cancel = cancel->flag();
    request.cancel = task->cancel.get();
  }
  request.stop = &core_->stop();
  return core_->submit(env, std::move(task));
}

Napi::Value DeviceWrap::workspace_bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(core_->backend().workspace_bytes()));
}

Napi::Value DeviceWrap::free_bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(core_->backend().free_bytes()));
}

}  // namespace aludel::addon
