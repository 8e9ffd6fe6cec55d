// The inner loop of everything: resolve addresses, call kernels, spread lanes over workers, honour cancel up to the commit point.
#include "native/core/executor.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace aludel {
namespace {

constexpr int64_t round_up(int64_t bytes) { return (bytes + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment; }

}  // namespace

struct Executor::Worker final : Exec {
  Executor* executor;
  int index;
  bool in_loop = false;
  char* scratch = nullptr;
  char* locals = nullptr;
  uint32_t step_scalar = 0;
  std::vector<TensorRef> operands;  // inputs then outputs of the instruction at hand

  Worker(Executor* owner, int number, size_t operand_count) : executor(owner), index(number), operands(operand_count) {
    parallel = [](Exec* self, int64_t tasks, void (*body)(void*, int64_t, void*), void* context) {
      auto* worker = static_cast<Worker*>(self);
      if (worker->in_loop) {
        for (int64_t task = 0; task < tasks; ++task) body(context, task, worker->scratch);
        return;
      }
      struct Call {
        Executor* executor;
        void (*body)(void*, int64_t, void*);
        void* context;
      } call{worker->executor, body, context};
      worker->executor->workers_.parallel(
          tasks,
          [](void* argument, int64_t task, int on) {
            auto* c = static_cast<Call*>(argument);
            c->body(c->context, task, c->executor->worker_state_[static_cast<size_t>(on)]->scratch);
          },
          &call);
    };
    first_slice = true;
  }
};

struct Executor::LoopState {
  Executor* executor;
  const Loop* loop;
  bool cancellable;
  std::mutex mutex;
  int64_t failed_lane = INT64_MAX;  // the lowest one reports, whatever the order was
  Status status;
};

Executor::Executor(Program program, KernelTable table, Workers& workers, Workspace& workspace)
    : program_(std::move(program)), table_(table), workers_(workers), workspace_(workspace) {}

Executor::~Executor() {
  if (reserved_ >= 0) workspace_.release(reserved_);
}

Status Executor::create(Program program, KernelTable table, Workers& workers, Workspace& workspace,
                        std::shared_ptr<LoadedProgram>* executor) {
  std::shared_ptr<Executor> made(new Executor(std::move(program), table, workers, workspace));
  ALUDEL_RETURN_IF_ERROR(made->check_kernels());
  ALUDEL_RETURN_IF_ERROR(made->reserve());
  *executor = std::move(made);
  return {};
}

Status Executor::check_kernels() {
  size_t most_operands = 0;
  int64_t shared = 0;
  auto next_loop = program_.loops.begin();
  const auto measure = [&](uint32_t index, int64_t (*bytes_of)(const KernelArgs&), const KernelArgs& args, int64_t* largest) -> Status {
    if (bytes_of == nullptr) return {};
    const int64_t bytes = bytes_of(args);
    if (bytes < 0 || bytes > (int64_t{1} << 40))
      return at_instruction(fail(Code::invalid_program, "its scratch would pass 2^40 bytes"), index, program_.instructions[index].opcode);
    *largest = std::max(*largest, round_up(bytes));
    return {};
  };
  std::vector<TensorRef> operands;
  for (uint32_t i = 0; i < program_.instructions.size(); ++i) {
    const Instruction& instruction = program_.instructions[i];
    if (instruction.opcode == Opcode::loop) continue;
    const Kernel* kernel = table_[static_cast<size_t>(instruction.opcode)];
    if (kernel == nullptr) return at_instruction(fail(Code::invalid_program, "this backend has no such kernel"), i, instruction.opcode);
    operands.clear();
    for (int k = 0; k < instruction.nin + instruction.nout; ++k)
      operands.push_back(program_.values[program_.inputs(instruction)[k]].ref(nullptr));
    most_operands = std::max(most_operands, operands.size());
    const KernelArgs args = args_of(program_, instruction, operands.data());
    const Status status = kernel->check(args);
    if (!status.ok()) return at_instruction(status, i, instruction.opcode);
    while (next_loop != program_.loops.end() && next_loop->end <= i) ++next_loop;
    const bool in_loop = next_loop != program_.loops.end() && next_loop->instruction < i;
    ALUDEL_RETURN_IF_ERROR(measure(i, kernel->scratch_bytes, args, &scratch_bytes_));
    ALUDEL_RETURN_IF_ERROR(measure(i, kernel->shared_bytes, args, in_loop ? &loop_shared_bytes_ : &shared));
  }
  need_.scratch_bytes = scratch_bytes_ * workers_.count() + std::max(shared, loop_shared_bytes_ * workers_.count());
  for (int w = 0; w < workers_.count(); ++w) worker_state_.push_back(std::make_unique<Worker>(this, w, most_operands));
  return {};
}

Status Executor::reserve() {
  const int64_t workers = workers_.count();
  need_.arena_bytes = round_up(program_.arena_bytes);
  need_.local_bytes = round_up(program_.local_bytes) * workers;
  need_.constant_bytes = program_.constant_bytes;
  const int64_t total = need_.arena_bytes + need_.local_bytes + need_.scratch_bytes;
  ALUDEL_RETURN_IF_ERROR(workspace_.reserve(total));
  reserved_ = total;
  return {};
}

MemoryNeed Executor::memory() const { return need_; }

bool Executor::cancelled() const { return is_cancelled(*request_); }

Status Executor::run(const RunRequest& request, int64_t* completed) {
  *completed = 0;
  ALUDEL_RETURN_IF_ERROR(check_arguments(program_, request));
  request_ = &request;
  block_ = workspace_.block();
  const int64_t workers = workers_.count();
  char* base = static_cast<char*>(block_.get());
  for (int64_t w = 0; w < workers; ++w) {
    Worker& worker = *worker_state_[static_cast<size_t>(w)];
    worker.locals = base + need_.arena_bytes + w * (need_.local_bytes / workers);
    worker.scratch = base + need_.arena_bytes + need_.local_bytes + w * scratch_bytes_;
    worker.shared = base + need_.arena_bytes + need_.local_bytes + workers * scratch_bytes_ + w * loop_shared_bytes_;
  }
  Status status;
  for (int64_t k = 0; k < request.steps && status.ok(); ++k) {
    status = run_step(request.start_step + static_cast<uint32_t>(k));
    if (status.ok()) ++*completed;
  }
  request_ = nullptr;
  block_.reset();
  return status;
}

Status Executor::run_step(uint32_t step) {
  step_ = step;
  for (auto& worker : worker_state_) worker->step_scalar = step;
  size_t next_loop = 0;
  bool cancellable = true;
  for (uint32_t i = 0; i < program_.instructions.size();) {
    if (cancellable && cancelled()) return fail(Code::cancelled, "the run was cancelled");
    if (i >= program_.commit) cancellable = false;
    if (next_loop < program_.loops.size() && program_.loops[next_loop].instruction == i) {
      const Loop& loop = program_.loops[next_loop++];
      ALUDEL_RETURN_IF_ERROR(run_loop(loop, cancellable));
      i = loop.end;
    } else {
      ALUDEL_RETURN_IF_ERROR(run_instruction(i, *worker_state_[0], Place{}));
      ++i;
    }
  }
  return {};
}

Status Executor::run_loop(const Loop& loop, bool cancellable) {
  LoopState state{this, &loop, cancellable, {}, INT64_MAX, {}};
  workers_.parallel(
      loop.lanes,
      [](void* context, int64_t lane, int on) {
        auto& s = *static_cast<LoopState*>(context);
        s.executor->run_lane(s, lane, *s.executor->worker_state_[static_cast<size_t>(on)]);
      },
      &state);
  return state.status;
}

void Executor::run_lane(LoopState& state, int64_t lane, Worker& worker) {
  const Loop& loop = *state.loop;
  const int64_t first = loop.first_slice(lane);
  const int64_t end = loop.first_slice(lane + 1);
  worker.in_loop = true;
  Status status;
  for (int64_t slice = first; slice < end && status.ok(); ++slice) {
    if (state.cancellable && cancelled()) status = fail(Code::cancelled, "the run was cancelled");
    const Place place{slice, lane, slice == first};
    if (slice < loop.first_run || slice >= loop.end_run) {
      status = clear_slice(program_, loop, place, [&](uint32_t, const Value& value) -> Status {
        memset(address(value, worker, place), 0, static_cast<size_t>(value.bytes));
        return {};
      });
      continue;
    }
    for (uint32_t i = loop.instruction + 1; i < loop.end && status.ok(); ++i) status = run_instruction(i, worker, place);
  }
  worker.in_loop = false;
  if (status.ok()) return;
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (lane < state.failed_lane) {
    state.failed_lane = lane;
    state.status = status;
  }
}

void* Executor::address(const Value& value, const Worker& worker, const Place& place) const {
  char* base = nullptr;
  switch (value.storage) {
    case Storage::arena:
      base = static_cast<char*>(block_.get());
      break;
    case Storage::constant:
      base = static_cast<char*>(program_.constants.get());
      break;
    case Storage::local:
      base = worker.locals;
      break;
    case Storage::argument:
      if (value.step_scalar) return const_cast<uint32_t*>(&worker.step_scalar);
      base = static_cast<char*>(request_->arguments[value.argument]->data());
      break;
  }
  return base + offset_of(value, place, step_);
}

Status Executor::run_instruction(uint32_t index, Worker& worker, const Place& place) {
  const Instruction& instruction = program_.instructions[index];
  const uint32_t* names = program_.inputs(instruction);
  const int operands = instruction.nin + instruction.nout;
  for (int k = 0; k < operands; ++k) {
    const Value& value = program_.values[names[k]];
    worker.operands[static_cast<size_t>(k)] = value.ref(address(value, worker, place));
  }
  TensorRef* refs = worker.operands.data();
  if (overlaps_forbidden(instruction.opcode, refs, instruction.nin, instruction.nout)) {
    return at_instruction(fail(Code::invalid_argument, "%s", overlap_message()), index, instruction.opcode);
  }
  worker.first_slice = place.first_slice;
  const KernelArgs args = args_of(program_, instruction, refs);
  const Status status = table_[static_cast<size_t>(instruction.opcode)]->run(args, worker);
  return status.ok() ? status : at_instruction(status, index, instruction.opcode);
}

}  // namespace aludel
