// Executor: loops, lanes, slots, the step scalar, cancel, failures, and equal bits for any number of threads.
#include "native/core/executor.h"

#include <algorithm>
#include <thread>

#include "native/cpu/thread_pool.h"
#include "test/native/check.h"
#include "test/native/fake_kernels.h"
#include "test/native/program_writer.h"

namespace aludel::test {
namespace {

struct Floats final : DeviceMemory {
  explicit Floats(std::vector<float> v) : values(std::move(v)) { bytes = static_cast<int64_t>(values.size() * 4); }
  Status upload(int64_t, const void*, int64_t) override { return {}; }
  Status download(int64_t, void*, int64_t) override { return {}; }
  Status copy_from(const DeviceMemory&, int64_t) override { return {}; }
  void* data() const override { return const_cast<float*>(values.data()); }
  std::vector<float> values;
};

std::shared_ptr<Floats> floats(std::vector<float> values) { return std::make_shared<Floats>(std::move(values)); }

Status load(const ProgramSpec& spec, Workers& workers, Workspace& workspace, std::shared_ptr<LoadedProgram>* out) {
  const std::vector<uint8_t> bytes = encode(spec);
  Program program;
  ALUDEL_RETURN_IF_ERROR(decode_program(bytes.data(), bytes.size(), &program));
  return Executor::create(std::move(program), fake_table(), workers, workspace, out);
}

// sum over slices of (x[slice] + 1), 7 slices of 2 elements in 3 lanes; step scalar into argument 2.
ProgramSpec lane_program() {
  ProgramSpec p;
  p.arguments = 3;
  p.arena_bytes = 192;
  p.local_bytes = 64;
  p.constants = {1, 1};
  p.values = {
      {DType::f32, {2}, Storage::constant},
      {DType::f32, {2}, Storage::argument, 0, 0, 8},
      {DType::f32, {2}, Storage::local},
      {DType::f32, {2}, Storage::arena, 0, 0, 0, 8},
      {DType::f32, {3, 2}, Storage::arena},
      {DType::f32, {2}, Storage::argument, 1},
      {DType::u32, {1}, Storage::argument, 0, 0, 0, 0, 0, 0, 0, true},
      {DType::f32, {1}, Storage::argument, 2, 0, 0, 0, 4, 3, -1},
  };
  p.instructions = {{Opcode::loop, {}, {}, {2, 7, 3}},
                    {Opcode::add, {1, 0}, {2}, {}},
                    {Opcode::accumulate, {2}, {3}, {}},
                    {Opcode::lane_sum, {4}, {5}, {}},
                    {Opcode::cast, {6}, {7}, {}}};
  return p;
}

void loops_lanes_slots(int threads) {
  cpu::ThreadPool pool(threads);
  Workspace workspace;
  std::shared_ptr<LoadedProgram> program;
  CHECK_OK(load(lane_program(), pool, workspace, &program));
  const MemoryNeed need = program->memory();
  CHECK(need.arena_bytes == 192 && need.local_bytes == 64 * threads && need.scratch_bytes == 64 * threads && need.constant_bytes == 8);
  std::vector<float> x;
  for (int i = 0; i < 14; ++i) x.push_back(static_cast<float>(i));
  const auto sums = floats({0, 0}), steps = floats({-1, -1, -1, -1});
  RunRequest request;
  request.arguments = {floats(x), sums, steps};
  request.steps = 3;
  request.start_step = 5;
  int64_t completed = 0;
  CHECK_OK(program->run(request, &completed));
  CHECK(completed == 3);
  CHECK(sums->values[0] == 0 + 2 + 4 + 6 + 8 + 10 + 12 + 7 && sums->values[1] == 1 + 3 + 5 + 7 + 9 + 11 + 13 + 7);
  // slot = (3 step - 1) mod 4: steps 5, 6, 7 -> 2, 1, 0
  CHECK(steps->values[2] == 5 && steps->values[1] == 6 && steps->values[0] == 7 && steps->values[3] == -1);
  program.reset();
  CHECK(workspace.bytes() == 0);
}

// A [40] turned round as a whole, then a [6, 20] slice by slice in three lanes.
void shared_memory(int threads) {
  cpu::ThreadPool pool(threads);
  Workspace workspace;
  ProgramSpec spec;
  spec.arguments = 4;
  spec.values = {{DType::f32, {40}, Storage::argument, 0},
                 {DType::f32, {40}, Storage::argument, 1},
                 {DType::f32, {20}, Storage::argument, 2, 0, 80},
                 {DType::f32, {20}, Storage::argument, 3, 0, 80}};
  spec.instructions = {{Opcode::reverse, {0}, {1}, {}}, {Opcode::loop, {}, {}, {1, 6, 3}}, {Opcode::reverse, {2}, {3}, {}}};
  std::shared_ptr<LoadedProgram> program;
  CHECK_OK(load(spec, pool, workspace, &program));
  // One area of 160 bytes in whole blocks, or one of 80 for each worker.
  CHECK(program->memory().scratch_bytes == std::max(192, 128 * threads));
  std::vector<float> x(40), slices(120);
  for (size_t i = 0; i < 40; ++i) x[i] = static_cast<float>(i);
  for (size_t i = 0; i < 120; ++i) slices[i] = static_cast<float>(i);
  const auto y = floats(std::vector<float>(40)), turned = floats(std::vector<float>(120));
  RunRequest request;
  request.arguments = {floats(x), y, floats(slices), turned};
  int64_t completed = 0;
  CHECK_OK(program->run(request, &completed));
  for (size_t i = 0; i < 40; ++i) CHECK(y->values[i] == x[39 - i]);
  for (size_t i = 0; i < 120; ++i) CHECK(turned->values[i] == slices[i / 20 * 20 + 19 - i % 20]);
}

void negative_slots_and_wrapping_steps() {
  cpu::ThreadPool pool(1);
  Workspace workspace;
  ProgramSpec spec = lane_program();
  spec.values[7].slot_mul = -1;
  spec.values[7].slot_add = INT32_MIN;
  std::shared_ptr<LoadedProgram> program;
  CHECK_OK(load(spec, pool, workspace, &program));
  const auto steps = floats({-1, -1, -1, -1});
  RunRequest request;
  request.arguments = {floats(std::vector<float>(14)), floats({0, 0}), steps};
  request.steps = 2;
  request.start_step = UINT32_MAX;
  int64_t completed = 0;
  CHECK_OK(program->run(request, &completed));
  CHECK(steps->values[1] == 4294967295.0f && steps->values[0] == 0);
}

void bindings_are_checked() {
  cpu::ThreadPool pool(2);
  Workspace workspace;
  std::shared_ptr<LoadedProgram> program;
  CHECK_OK(load(lane_program(), pool, workspace, &program));
  int64_t completed = 0;
  RunRequest request;
  CHECK(program->run(request, &completed).code == Code::invalid_argument);
  request.arguments = {floats(std::vector<float>(13)), floats({0, 0}), floats({0, 0, 0, 0})};
  CHECK(program->run(request, &completed).code == Code::invalid_argument);
  // One array for two arguments where an output would lie over the input of the same kernel.
  ProgramSpec spec;
  spec.arguments = 2;
  spec.values = {{DType::f32, {4}, Storage::argument, 0}, {DType::f32, {4}, Storage::argument, 1, 8}};
  spec.instructions = {{Opcode::copy, {0}, {1}, {}}};
  CHECK_OK(load(spec, pool, workspace, &program));
  const auto both = floats(std::vector<float>(8));
  request.arguments = {both, both};
  CHECK(program->run(request, &completed).code == Code::invalid_argument);
  CHECK(completed == 0);
}

// Two slow copies in the arena, then the write: a run cancelled before the write has changed nothing.
void cancel_changes_nothing_or_everything() {
  cpu::ThreadPool pool(2);
  Workspace workspace;
  ProgramSpec spec;
  spec.arguments = 2;
  spec.arena_bytes = 128;
  spec.values = {{DType::f32, {4}, Storage::argument, 0},
                 {DType::f32, {4}},
                 {DType::f32, {4}, Storage::arena, 0, 64},
                 {DType::f32, {4}, Storage::argument, 1}};
  spec.instructions = {{Opcode::loop, {}, {}, {1, 400, 1}}, {Opcode::neg, {0}, {1}, {}}, {Opcode::copy, {1}, {3}, {}}};
  std::shared_ptr<LoadedProgram> program;
  CHECK_OK(load(spec, pool, workspace, &program));
  const auto out = floats({9, 9, 9, 9});
  std::atomic<bool> cancel{true};
  RunRequest request;
  request.arguments = {floats({1, 2, 3, 4}), out};
  request.cancel = &cancel;
  int64_t completed = 0;
  CHECK(program->run(request, &completed).code == Code::cancelled && completed == 0);
  cancel = false;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    cancel = true;
  });
  CHECK(program->run(request, &completed).code == Code::cancelled && completed == 0);
  later.join();
  CHECK(out->values[0] == 9 && out->values[3] == 9);
  cancel = false;
  spec.instructions = {{Opcode::copy, {0}, {1}, {}}, {Opcode::copy, {1}, {3}, {}}};
  CHECK_OK(load(spec, pool, workspace, &program));
  CHECK_OK(program->run(request, &completed));
  CHECK(completed == 1 && out->values[3] == 4);
}

void kernel_failures_name_the_instruction() {
  cpu::ThreadPool pool(2);
  Workspace workspace;
  ProgramSpec spec;
  spec.arguments = 2;
  spec.values = {{DType::f32, {1}, Storage::argument, 0, 0, 4}, {DType::f32, {1}, Storage::argument, 1, 0, 4}};
  spec.instructions = {{Opcode::loop, {}, {}, {1, 8, 4}}, {Opcode::abs, {0}, {1}, {}}};
  std::shared_ptr<LoadedProgram> program;
  CHECK_OK(load(spec, pool, workspace, &program));
  RunRequest request;
  request.arguments = {floats({1, 1, 1, -1, 1, -1, 1, 1}), floats(std::vector<float>(8))};
  int64_t completed = 0;
  const Status status = program->run(request, &completed);
  CHECK(status.code == Code::invalid_index && status.instruction == 1);
  spec.instructions = {{Opcode::tanh, {0}, {1}, {}}};
  CHECK(load(spec, pool, workspace, &program).code == Code::invalid_program);
}

// Every allocation of a load may fail; each failure is a Status and leaves the workspace usable.
void every_allocation_may_fail() {
  cpu::ThreadPool pool(2);
  Workspace workspace;
  std::shared_ptr<LoadedProgram> program;
  int64_t n = 1;
  for (; n < 10; ++n) {
    fail_allocation_after(n);
    const Status status = load(lane_program(), pool, workspace, &program);
    fail_allocation_after(0);
    if (status.ok()) break;
    CHECK(status.code == Code::out_of_memory);
    CHECK(workspace.bytes() == 0);
  }
  CHECK(n == 3);  // constants and working memory were refused once each
  Block block;
  CHECK(allocate_block(-1, "test", &block).code == Code::out_of_memory);
  CHECK(allocate_block(int64_t{1} << 60, "test", &block).code == Code::out_of_memory);
}

// Slices 2 to 4 of the seven: the lanes are 0-1, 2-3 and 4-6, so that one has none of them and one a part.
void a_part_of_the_slices(int threads) {
  cpu::ThreadPool pool(threads);
  Workspace workspace;
  std::vector<float> x(14, 1e9f);
  for (int i = 4; i < 10; ++i) x[static_cast<size_t>(i)] = static_cast<float>(i);
  for (const bool none : {false, true}) {
    ProgramSpec spec = lane_program();
    spec.instructions[0].attrs = none ? std::vector<double>{2, 7, 3, 7, 7} : std::vector<double>{2, 7, 3, 2, 5};
    std::shared_ptr<LoadedProgram> program;
    CHECK_OK(load(spec, pool, workspace, &program));
    const auto sums = floats({-1, -1}), steps = floats({0, 0, 0, 0});
    RunRequest request;
    request.arguments = {floats(x), sums, steps};
    request.steps = 2;
    int64_t completed = 0;
    CHECK_OK(program->run(request, &completed));
    CHECK(sums->values[0] == (none ? 0 : 4 + 6 + 8 + 3) && sums->values[1] == (none ? 0 : 5 + 7 + 9 + 3));
  }
}

void workspace_is_the_largest_need() {
  Workspace workspace;
  CHECK_OK(workspace.reserve(100));
  CHECK_OK(workspace.reserve(8 << 20));
  CHECK(workspace.bytes() == 8 << 20);
  CHECK(static_cast<char*>(workspace.block().get())[(8 << 20) - 1] == 0);
  workspace.release(8 << 20);
  CHECK(workspace.bytes() == 100);
  workspace.release(100);
  CHECK(workspace.bytes() == 0);
}

}  // namespace
}  // namespace aludel::test

int main() {
  using namespace aludel::test;
  for (const int threads : {1, 2, 3, 5}) loops_lanes_slots(threads), shared_memory(threads), a_part_of_the_slices(threads);
  negative_slots_and_wrapping_steps();
  bindings_are_checked();
  cancel_changes_nothing_or_everything();
  kernel_failures_name_the_instruction();
  every_allocation_may_fail();
  workspace_is_the_largest_need();
  std::puts("executor_test: ok");
}
