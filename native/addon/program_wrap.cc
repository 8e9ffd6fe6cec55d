// Running: one crossing submits n replays, one promise comes back.
#include "native/addon/program_wrap.h"

#include "native/addon/args.h"
#include "native/addon/buffer_wrap.h"
#include "native/addon/cancel_token.h"
#include "native/addon/environment.h"

namespace aludel::addon {
namespace {

class RunTask final : public Task {
 public:
  using Task::Task;
  Status execute() override { return program->run(request, &completed); }
  Napi::Value result(Napi::Env env) override { return Napi::Number::New(env, static_cast<double>(completed)); }
  void describe_failure(Napi::Error& error) override {
    error.Set("completed", Napi::Number::New(error.Env(), static_cast<double>(completed)));
  }

  std::shared_ptr<LoadedProgram> program;
  std::shared_ptr<std::atomic<bool>> cancel;
  RunRequest request;
  int64_t completed = 0;
};

}  // namespace

ProgramWrap::ProgramWrap(const Napi::CallbackInfo& info) : TaggedWrap(info) {
  const State& state = constructor_state<State>(info);
  core_ = state.core;
  program_ = state.program;
  core_->add(this);
  Napi::MemoryManagement::AdjustExternalMemory(info.Env(), program_->memory().constant_bytes);
}

ProgramWrap::~ProgramWrap() { release(Env()); }

Napi::Function ProgramWrap::define(Napi::Env env) {
  return DefineClass(env, kName,
                     {InstanceMethod<&ProgramWrap::run>("run"), InstanceMethod<&ProgramWrap::memory>("memory"),
                      InstanceMethod<&ProgramWrap::libraries>("libraries"), InstanceMethod<&ProgramWrap::dispose>("dispose")});
}

void ProgramWrap::release(Napi::Env env) {
  if (!program_) return;
  Napi::MemoryManagement::AdjustExternalMemory(env, -program_->memory().constant_bytes);
  program_.reset();
  core_->remove(this);
}

LoadedProgram& ProgramWrap::alive(Napi::Env env) const {
  if (!program_) {
    Napi::Error error = Napi::Error::New(env, "the program was used after dispose");
    error.Set("code", Napi::String::New(env, "disposed"));
    throw error;
  }
  return *program_;
}

Napi::Value ProgramWrap::run(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  alive(env);
  const Napi::Object options = object_argument(info, 0, "run");
  const Napi::Value args = options.Get("args");
  if (!args.IsArray()) throw_status(env, fail(Code::invalid_argument, "args: expected an array of Buffers"));
  auto task = std::make_unique<RunTask>(env);
  task->program = program_;
  task->request.steps = whole_property(options, "n", 0, int64_t{1} << 32, 1);
  task->request.start_step = static_cast<uint32_t>(whole_property(options, "startStep", 0, UINT32_MAX, 0));
  task->request.stop = &core_->stop();
  const auto list = args.As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const BufferWrap* buffer = BufferWrap::from(list.Get(i));
    if (buffer == nullptr) throw_status(env, fail(Code::invalid_argument, "args[%u]: expected a Buffer", i));
    task->request.arguments.push_back(buffer->memory_on(env, *core_));
  }
  const Napi::Value token = options.Get("token");
  if (!token.IsUndefined()) {
    const CancelToken* cancel = CancelToken::from(token);
    if (cancel == nullptr) throw_status(env, fail(Code::invalid_argument, "token: expected a CancelToken"));
    task->cancel = cancel->flag();
    task->request.cancel = task->cancel.get();
  }
  return core_->submit(env, std::move(task));
}

Napi::Value ProgramWrap::libraries(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), alive(info.Env()).libraries()); }

Napi::Value ProgramWrap::memory(const Napi::CallbackInfo& info) {
  const MemoryNeed need = alive(info.Env()).memory();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("arenaBytes", static_cast<double>(need.arena_bytes));
  object.Set("scratchBytes", static_cast<double>(need.scratch_bytes));
  object.Set("localBytes", static_cast<double>(need.local_bytes));
  object.Set("constantBytes", static_cast<double>(need.constant_bytes));
  return object;
}

}  // namespace aludel::addon
