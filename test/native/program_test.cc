// Decode: what it accepts, what it refuses, and that no mutation of a valid program makes it read outside its bytes.
#include <cstdlib>
#include <random>

#include "native/core/workspace.h"
#include "native/cpu/thread_pool.h"
#include "test/native/check.h"
#include "test/native/fake_kernels.h"
#include "test/native/program_writer.h"

namespace aludel::test {
namespace {

// Everything the format has: constants, slots, step scalar, a loop with lanes, locals, a reshaped view.
ProgramSpec full_program() {
  ProgramSpec p;
  p.arguments = 3;
  p.arena_bytes = 512;
  p.local_bytes = 128;
  p.constants = {1, 2, 3, 4};
  p.values = {
      {DType::f32, {4}, Storage::constant},                             // 0
      {DType::f32, {2, 2}, Storage::argument, 0, 0, 0, 0, 3, 1, -1},    // 1 slots
      {DType::f32, {4}, Storage::arena, 0, 64},                         // 2
      {DType::f32, {4}, Storage::argument, 1, 0, 16},                   // 3 sliced input
      {DType::f32, {4}, Storage::local, 0, 64},                         // 4
      {DType::f32, {4}, Storage::arena, 0, 128, 0, 16},                 // 5 accumulator per lane
      {DType::f32, {2, 4}, Storage::arena, 0, 128},                     // 6 the same bytes as one value
      {DType::f32, {4}, Storage::argument, 2},                          // 7
      {DType::u32, {1}, Storage::argument, 0, 0, 0, 0, 0, 0, 0, true},  // 8
      {DType::f32, {1}, Storage::arena, 0, 256},                        // 9
  };
  p.instructions = {
      {Opcode::add, {0, 1}, {2}, {}}, {Opcode::cast, {8}, {9}, {}},       {Opcode::loop, {}, {}, {2, 4, 2}},
      {Opcode::add, {3, 2}, {4}, {}}, {Opcode::accumulate, {4}, {5}, {}}, {Opcode::lane_sum, {6}, {2}, {}},
      {Opcode::copy, {2}, {7}, {}},
  };
  return p;
}

Status decode(const ProgramSpec& spec) {
  Program program;
  const std::vector<uint8_t> bytes = encode(spec);
  return decode_program(bytes.data(), bytes.size(), &program);
}

template <typename F>
void expect_refused(F&& change) {
  ProgramSpec spec = full_program();
  change(spec);
  const Status status = decode(spec);
  CHECK(status.code == Code::invalid_program);
  CHECK(status.message[0] != 0);
}

void accepts() {
  Program program;
  const std::vector<uint8_t> bytes = encode(full_program());
  CHECK_OK(decode_program(bytes.data(), bytes.size(), &program));
  CHECK(program.loops.size() == 1 && program.loops[0].slices == 4 && program.loops[0].lanes == 2);
  CHECK(program.argument_bytes[0] == 3 * 16);
  CHECK(program.argument_bytes[1] == 4 * 16);
  CHECK(program.commit == 6);
  CHECK(static_cast<float*>(program.constants.get())[3] == 4);
}

void refuses() {
  const std::vector<std::vector<double>> loops = {{2, 4, 2, 0}, {2, 4, 2, 3, 2}, {2, 4, 2, 0, 5}, {2, 4, 2, -1, 2}, {2, 4, 2, 0.5, 2}};
  for (const std::vector<double>& attrs : loops)
    expect_refused([&](ProgramSpec& p) {
      for (auto& instruction : p.instructions)
        if (instruction.opcode == Opcode::loop) instruction.attrs = attrs;
    });
  expect_refused([](ProgramSpec& p) { p.values[2].offset = 512; });              // arena end
  expect_refused([](ProgramSpec& p) { p.values[2].offset = UINT64_MAX - 63; });  // wraps
  expect_refused([](ProgramSpec& p) { p.values[2].offset = 4; });                // alignment
  expect_refused([](ProgramSpec& p) { p.values[5].lane_stride = UINT64_MAX - 3; });
  expect_refused([](ProgramSpec& p) { p.values[5].lane_stride = 0; });  // lanes collide
  expect_refused([](ProgramSpec& p) { p.values[5].lane_stride = 6; });
  expect_refused([](ProgramSpec& p) { p.values[4].offset = 128; });              // local end
  expect_refused([](ProgramSpec& p) { p.values[2].storage = Storage::local; });  // local outside a loop
  expect_refused([](ProgramSpec& p) { p.values[3].argument = 3; });
  expect_refused([](ProgramSpec& p) { p.values[3].slice_stride = uint64_t{1} << 60; });
  expect_refused([](ProgramSpec& p) {
    p.values[1].slots = UINT32_MAX;
    p.values[1].dims = {1u << 30, 1u << 14};
  });
  expect_refused([](ProgramSpec& p) { p.values[0].dims = {0}; });
  expect_refused([](ProgramSpec& p) { p.values[0].dims = {5}; });  // constant end
  expect_refused([](ProgramSpec& p) { p.values[0].dims = std::vector<uint32_t>(8, UINT32_MAX); });
  expect_refused([](ProgramSpec& p) { p.values[0].dims = std::vector<uint32_t>(9, 1); });
  expect_refused([](ProgramSpec& p) { p.values[8].dims = {2}; });       // step scalar shape
  expect_refused([](ProgramSpec& p) { p.instructions[0].out = {0}; });  // writes a constant
  expect_refused([](ProgramSpec& p) { p.instructions[0].out = {8}; });  // writes the step
  expect_refused([](ProgramSpec& p) { p.instructions[0].in = {0, 10}; });
  expect_refused([](ProgramSpec& p) { p.instructions[0].opcode = Opcode::input; });
  expect_refused([](ProgramSpec& p) { p.instructions[0].opcode = static_cast<Opcode>(kOpcodeCount); });
  expect_refused([](ProgramSpec& p) { p.instructions[2].attrs = {5, 4, 2}; });  // body passes the end
  expect_refused([](ProgramSpec& p) { p.instructions[2].attrs = {0, 4, 2}; });
  expect_refused([](ProgramSpec& p) { p.instructions[2].attrs = {2, 4, 5}; });  // more lanes than slices
  expect_refused([](ProgramSpec& p) { p.instructions[2].attrs = {2, 1.5, 1}; });
  expect_refused([](ProgramSpec& p) { p.instructions[2].attrs = {2, NAN, 1}; });
  expect_refused([](ProgramSpec& p) { p.instructions[3] = p.instructions[2]; });  // nested
  expect_refused([](ProgramSpec& p) { p.arguments = 1u << 20; });
  ProgramSpec large = full_program();
  large.arena_bytes = UINT64_MAX;  // well-formed, but no machine holds it
  CHECK(decode(large).code == Code::out_of_memory);
}

void every_prefix_is_refused() {
  const std::vector<uint8_t> bytes = encode(full_program());
  for (size_t n = 0; n < bytes.size(); ++n) {
    const std::vector<uint8_t> cut(bytes.begin(),
                                   bytes.begin() + static_cast<long>(n));  // exact size, so that a sanitizer sees one byte too far
    Program program;
    CHECK(decode_program(cut.data(), cut.size(), &program).code == Code::invalid_program);
  }
}

void mutate(std::mt19937& random, std::vector<uint8_t>& bytes) {
  static const uint32_t words[] = {0, 1, 2, 0x7fffffff, 0x80000000, 0xffffffff, 64, 0x10000};
  for (uint32_t k = random() % 4 + 1; k > 0; --k) {
    const size_t at = random() % bytes.size();
    switch (random() % 4) {
      case 0:
        bytes[at] = static_cast<uint8_t>(random());
        break;
      case 1:
        bytes[at] ^= static_cast<uint8_t>(1u << random() % 8);
        break;
      case 2:
        if (at / 4 * 4 + 4 <= bytes.size()) memcpy(bytes.data() + at / 4 * 4, &words[random() % 8], 4);
        break;
      default:
        if (random() % 8 == 0) bytes.resize(at + 1);
    }
  }
}

// What decode and the kernels accept must also run inside its storage: arguments get exactly the bytes that decode asks for.
void run_mutant(Program program, Workers& workers, Workspace& workspace) {
  int64_t total = program.arena_bytes + program.local_bytes;
  double slices = 0;
  for (const int64_t bytes : program.argument_bytes) total += bytes;
  for (const Loop& loop : program.loops) slices += static_cast<double>(loop.slices);
  if (total > 1 << 20 || slices > 1000) return;
  struct Memory final : DeviceMemory {
    Block block;
    Status upload(int64_t, const void*, int64_t) override { return {}; }
    Status download(int64_t, void*, int64_t) override { return {}; }
    Status copy_from(const DeviceMemory&, int64_t) override { return {}; }
    void* data() const override { return block.get(); }
  };
  RunRequest request;
  for (const int64_t bytes : program.argument_bytes) {
    auto memory = std::make_shared<Memory>();
    CHECK_OK(allocate_block(bytes, "test", &memory->block));
    memory->bytes = bytes;
    request.arguments.push_back(memory);
  }
  request.steps = 3;
  request.start_step = UINT32_MAX - 1;
  std::shared_ptr<LoadedProgram> executor;
  if (!Executor::create(std::move(program), fake_table(), workers, workspace, &executor).ok()) return;
  int64_t completed = 0;
  executor->run(request, &completed);
}

void fuzz(int rounds) {
  std::mt19937 random(7);
  const std::vector<uint8_t> valid = encode(full_program());
  cpu::ThreadPool pool(1);
  Workspace workspace;
  int accepted = 0;
  for (int i = 0; i < rounds; ++i) {
    std::vector<uint8_t> bytes = valid;
    mutate(random, bytes);
    bytes.shrink_to_fit();
    Program program;
    const Status status = decode_program(bytes.data(), bytes.size(), &program);
    CHECK(status.ok() || status.code == Code::invalid_program || status.code == Code::out_of_memory);
    if (!status.ok()) continue;
    ++accepted;
    run_mutant(std::move(program), pool, workspace);
  }
  std::printf("fuzz: %d of %d mutants decoded\n", accepted, rounds);
}

}  // namespace
}  // namespace aludel::test

int main(int argc, char** argv) {
  using namespace aludel::test;
  accepts();
  refuses();
  every_prefix_is_refused();
  fuzz(argc > 1 ? std::atoi(argv[1]) : 40000);
  std::puts("program_test: ok");
}
