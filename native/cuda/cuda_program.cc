// How a step comes to run: loading, memory, replay. What a step consists of is in cuda_record.cc.
#include "native/cuda/cuda_program.h"

#include <algorithm>
#include <set>
#include <string>

#include "native/cuda/step_ring.h"

namespace aludel::cuda {
namespace {

constexpr int64_t kAlignment = 256;
constexpr size_t kMostGraphs = 4;  // sets of arrays that a program alternates between; a graph holds some KB for each of its kernels

constexpr int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

CudaProgram::CudaProgram(Program program, std::shared_ptr<Device> device) : program_(std::move(program)), device_(std::move(device)) {}

CudaProgram::~CudaProgram() {
  if (reserved_ >= 0) device_->workspace().release(reserved_);
  cudaSetDevice(device_->info().ordinal);
  for (const Captured& captured : captured_) cudaGraphExecDestroy(captured.graph);
}

Status CudaProgram::create(Program program, KernelTable checks, std::shared_ptr<Device> device, std::shared_ptr<LoadedProgram>* loaded) {
  ALUDEL_RETURN_IF_ERROR(device->use());
  std::shared_ptr<CudaProgram> made(new CudaProgram(std::move(program), std::move(device)));
  ALUDEL_RETURN_IF_ERROR(made->check_kernels(checks));
  made->find_stand_ins();
  ALUDEL_RETURN_IF_ERROR(made->device_->seen(made->reserve()));
  *loaded = std::move(made);
  return {};
}

Status CudaProgram::check_kernels(KernelTable checks) {
  const Kernel* const* table = kernel_table();
  size_t most_operands = 0;
  std::vector<TensorRef> operands;
  for (uint32_t i = 0; i < program_.instructions.size(); ++i) {
    const Instruction& instruction = program_.instructions[i];
    if (instruction.opcode == Opcode::loop) continue;
    const auto number = static_cast<size_t>(instruction.opcode);
    const Kernel* kernel = table[number];
    if (kernel == nullptr || checks[number] == nullptr)
      return at_instruction(fail(Code::invalid_program, "this backend has no such kernel"), i, instruction.opcode);
    operands.clear();
    for (int k = 0; k < instruction.nin + instruction.nout; ++k)
      operands.push_back(program_.values[program_.inputs(instruction)[k]].ref(nullptr));
    most_operands = std::max(most_operands, operands.size());
    const KernelArgs args = args_of(program_, instruction, operands.data());
    Status status = checks[number]->check(args);
    if (status.ok() && kernel->check != nullptr) status = kernel->check(args);
    if (!status.ok()) return at_instruction(status, i, instruction.opcode);
    int64_t bytes = kernel->workspace_bytes == nullptr ? 0 : kernel->workspace_bytes(args, device_->info());
    bytes = std::max(bytes, find_library_call(i, args));
    if (bytes < 0 || bytes > (int64_t{1} << 40))
      return at_instruction(fail(Code::invalid_program, "its workspace would pass 2^40 bytes"), i, instruction.opcode);
    kernel_bytes_ = std::max(kernel_bytes_, aligned(bytes));
  }
  operands_.resize(most_operands);
  real_operands_.resize(most_operands);
  return {};
}

// Workspace that a library wants, once it is found that it computes the instruction. A library does not know of refused steps: what goes to
// an argument is the own kernels'.
int64_t CudaProgram::find_library_call(uint32_t index, const KernelArgs& args) {
  const uint32_t* names = program_.inputs(program_.instructions[index]);
  for (int k = 0; k < args.nout; ++k)
    if (program_.values[names[args.nin + k]].storage == Storage::argument) return 0;
  const bool aligned = std::all_of(names, names + args.nin + args.nout, [&](uint32_t name) {
    const Value& value = program_.values[name];
    return value.offset % 16 == 0 && value.slice_stride % 16 == 0 && value.lane_stride % 16 == 0;
  });
  std::unique_ptr<LibraryCall> call = device_->libraries().find(args, aligned, device_->info());
  if (call == nullptr) return 0;
  const int64_t bytes = call->workspace_bytes();
  library_calls_[index] = std::move(call);
  return bytes;
}

// Bits depend on the versions, on the model of GPU and on what is left to the libraries:
// cuBLASLt 13.1.0, cuDNN 9.10.2 (132 multiprocessors; instructions 3, 17).
std::string CudaProgram::libraries() const {
  std::set<std::string> names;
  for (const auto& [index, call] : library_calls_) names.insert(call->library());
  std::string all, computed;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  for (const auto& [index, call] : library_calls_) computed += (computed.empty() ? "" : ", ") + std::to_string(index);
  if (all.empty()) return all;
  return all + " (" + std::to_string(device_->info().multiprocessors) + " multiprocessors; instructions " + computed + ")";
}

Status CudaProgram::reserve() {
  need_.arena_bytes = aligned(program_.arena_bytes);
  need_.local_bytes = aligned(program_.local_bytes);
  int64_t stand_ins = 0;
  for (StandIn& stand_in : stand_ins_) {
    stand_in.place = need_.arena_bytes + need_.local_bytes + stand_ins;
    stand_ins += aligned(stand_in.copy.bytes);
  }
  need_.scratch_bytes = stand_ins + kernel_bytes_;
  need_.constant_bytes = program_.constant_bytes;
  const int64_t total = need_.arena_bytes + need_.local_bytes + need_.scratch_bytes;
  ALUDEL_RETURN_IF_ERROR(device_->workspace().reserve(total));
  reserved_ = total;
  const int64_t fixed = aligned(program_.constant_bytes) + static_cast<int64_t>(sizeof(RunState));
  return device_->pool().allocate(fixed, "the program's constants", &fixed_);
}

Status CudaProgram::run(const RunRequest& request, int64_t* completed) {
  *completed = 0;
  ALUDEL_RETURN_IF_ERROR(check_arguments(program_, request));
  ALUDEL_RETURN_IF_ERROR(device_->use());
  request_ = &request;
  block_ = device_->workspace().block();
  state_ = reinterpret_cast<RunState*>(static_cast<char*>(fixed_.get()) + aligned(program_.constant_bytes));
  Status status = prepare(request);
  if (status.ok()) status = run_steps(request);
  // Even after a failure: what was put on the stream uses memory that its owners may free once this returns.
  RunState end{};
  const Status waited = device_->staging().download(&end, state_, sizeof end, device_->stream());
  if (waited.ok()) {
    *completed = end.completed;
    if (end.fault != 0) status = fault(end);
  } else if (status.ok() || waited.code == Code::device_lost) {
    status = waited;
  }
  request_ = nullptr;
  block_.reset();
  return device_->seen(status);
}

Status CudaProgram::prepare(const RunRequest& request) {
  Staging& staging = device_->staging();
  if (!uploaded_ && program_.constant_bytes > 0)
    ALUDEL_RETURN_IF_ERROR(staging.upload(fixed_.get(), program_.constants.get(), program_.constant_bytes, device_->stream()));
  uploaded_ = true;
  for (const auto& argument : request.arguments) ALUDEL_RETURN_IF_ERROR(static_cast<const Memory&>(*argument).settle());
  for (StandIn& stand_in : stand_ins_) {
    stand_in.copy.ring = static_cast<char*>(request.arguments[stand_in.argument]->data()) + stand_in.offset;
    stand_in.copy.stand_in = static_cast<char*>(block_.get()) + stand_in.place;
  }
  RunState begin{};
  begin.step = request.start_step;
  return staging.upload(state_, &begin, sizeof begin, device_->stream());
}

Status CudaProgram::run_steps(const RunRequest& request) {
  StepRing ring;
  for (int64_t k = 0; k < request.steps; ++k) {
    if (is_cancelled(request)) return fail(Code::cancelled, "the run was cancelled");
    ALUDEL_RETURN_IF_ERROR(ring.wait());
    ALUDEL_RETURN_IF_ERROR(put_step(request.start_step + static_cast<uint32_t>(k)));
    ALUDEL_RETURN_IF_ERROR(ring.put(device_->stream()));
  }
  return {};
}

Status CudaProgram::put_step(uint32_t step) {
  if (!warm_) {
    ALUDEL_RETURN_IF_ERROR(record(step));
    warm_ = true;
    return {};
  }
  std::vector<const void*> key{block_.get()};
  for (const auto& argument : request_->arguments) key.push_back(argument->data());
  auto found = std::find_if(captured_.begin(), captured_.end(), [&](const Captured& c) { return c.key == key; });
  if (found == captured_.end()) {
    Captured made{std::move(key), nullptr};
    ALUDEL_RETURN_IF_ERROR(capture(step, &made.graph));
    if (captured_.size() == kMostGraphs) {
      cudaGraphExecDestroy(captured_.back().graph);
      captured_.pop_back();
    }
    found = captured_.insert(captured_.begin(), std::move(made));
  } else {
    std::rotate(captured_.begin(), found, found + 1);  // most recent first
    found = captured_.begin();
  }
  return to_status(cudaGraphLaunch(found->graph, device_->stream()), "a graph launch");
}

Status CudaProgram::capture(uint32_t step, cudaGraphExec_t* graph) {
  const cudaStream_t stream = device_->stream();
  // Thread-local: other threads may allocate meanwhile.
  ALUDEL_RETURN_IF_CUDA_ERROR(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capturing a step");
  const Status recorded = record(step);
  cudaGraph_t made = nullptr;
  const cudaError_t ended = cudaStreamEndCapture(stream, &made);
  cudaError_t error = ended;
  if (recorded.ok() && ended == cudaSuccess) error = cudaGraphInstantiate(graph, made, 0);
  if (made != nullptr) cudaGraphDestroy(made);
  return recorded.ok() ? to_status(error, "capturing a step") : recorded;
}

Status CudaProgram::fault(const RunState& state) const {
  const auto index = static_cast<uint32_t>(state.instruction);
  const Opcode opcode = program_.instructions[index].opcode;
  const char* name = opcode_name(static_cast<uint32_t>(opcode));
  const auto position = static_cast<long long>(state.position), limit = static_cast<long long>(state.limit);
  const Status found = state.position == kAllTaken ? fail(Code::invalid_index, "%s: all %lld rows were taken", name, limit)
                                                   : fail(Code::invalid_index, "%s: index %d at position %lld is outside 0..%lld", name,
                                                          state.value, position, limit - 1);
  return at_instruction(found, index, opcode);
}

}  // namespace aludel::cuda
