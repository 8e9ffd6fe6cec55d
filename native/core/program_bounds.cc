// Bounds of every address that a program can form, and the races that a loop region must not have.
#include "native/core/program_bounds.h"

#include <algorithm>
#include <cmath>

namespace aludel {
namespace {

using Wide = unsigned __int128;  // products of untrusted 64-bit fields must not wrap

constexpr double kMaxSlices = 1 << 30;
constexpr Wide kMaxBytes = Wide{1} << 46;

bool whole_between(double x, double low, double high) { return x >= low && x <= high && x == std::floor(x); }

Status find_loops(Program* program) {
  const size_t count = program->instructions.size();
  uint32_t free_from = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const Instruction& instruction = program->instructions[i];
    if (instruction.opcode != Opcode::loop) continue;
    const double* attrs = program->attrs.data() + instruction.attrs;
    if (i < free_from) return fail(Code::invalid_program, "instruction %u: a loop inside a loop", i);
    if (instruction.nin != 0 || instruction.nout != 0 || (instruction.nattrs != 3 && instruction.nattrs != 5) ||
        !whole_between(attrs[0], 1, static_cast<double>(count - i - 1)) || !whole_between(attrs[1], 1, kMaxSlices) ||
        !whole_between(attrs[2], 1, attrs[1])) {
      return fail(Code::invalid_program,
                  "instruction %u: a loop is [bodyInstructions >= 1, slices >= 1, 1 <= lanes <= slices] without operands", i);
    }
    const bool part = instruction.nattrs == 5;
    if (part && (!whole_between(attrs[4], 0, attrs[1]) || !whole_between(attrs[3], 0, attrs[4])))
      return fail(Code::invalid_program, "instruction %u: a loop runs slices [first, end) with 0 <= first <= end <= slices", i);
    Loop loop{i,
              i + 1 + static_cast<uint32_t>(attrs[0]),
              static_cast<int64_t>(attrs[1]),
              static_cast<int64_t>(attrs[2]),
              part ? static_cast<int64_t>(attrs[3]) : 0,
              static_cast<int64_t>(part ? attrs[4] : attrs[1])};
    program->loops.push_back(loop);
    free_from = loop.end;
  }
  return {};
}

Status check_place(const Program& program, uint32_t index) {
  const Value& value = program.values[index];
  const auto element = static_cast<uint64_t>(size_of(value.dtype));
  const uint64_t alignment = value.storage == Storage::argument ? element : kBlockAlignment;
  if (value.offset % alignment != 0 || value.slice_stride % element != 0 || value.lane_stride % element != 0) {
    return fail(Code::invalid_program, "value %u: its offset or strides are not aligned", index);
  }
  return {};
}

// The extent of one value inside a region of `slices` and `lanes` (1 and 1 outside loops).
Status check_extent(Program* program, uint32_t index, int64_t slices, int64_t lanes) {
  const Value& value = program->values[index];
  if (value.step_scalar) return {};
  const uint64_t last_slot = value.slots > 0 ? value.slots - 1 : 0;
  const Wide end = Wide{value.offset} + Wide{value.slice_stride} * static_cast<uint64_t>(slices - 1) +
                   Wide{value.lane_stride} * static_cast<uint64_t>(lanes - 1) +
                   Wide{static_cast<uint64_t>(value.bytes)} * (Wide{last_slot} + 1);
  Wide limit = kMaxBytes;
  if (value.storage == Storage::arena) limit = static_cast<uint64_t>(program->arena_bytes);
  if (value.storage == Storage::constant) limit = static_cast<uint64_t>(program->constant_bytes);
  if (value.storage == Storage::local) limit = static_cast<uint64_t>(program->local_bytes);
  if (end > limit) {
    return fail(Code::invalid_program, "value %u: ends at byte %llu of storage %u, which has %llu", index,
                static_cast<unsigned long long>(std::min(end, Wide{UINT64_MAX})), static_cast<unsigned>(value.storage),
                static_cast<unsigned long long>(limit));
  }
  if (value.storage == Storage::argument) {
    int64_t& needed = program->argument_bytes[value.argument];
    needed = std::max(needed, static_cast<int64_t>(end));
  }
  return {};
}

// Lanes run at the same time: what a body writes outside worker-local storage must not be shared between two lanes.
bool lanes_collide(const Value& value, const Loop& loop) {
  if (loop.lanes == 1 || value.storage == Storage::local) return false;
  const auto bytes = static_cast<uint64_t>(value.bytes);
  const bool by_lane = value.lane_stride >= bytes && value.slice_stride == 0;
  const bool by_slice = value.slice_stride >= bytes && value.lane_stride == 0;
  return !by_lane && !by_slice;
}

Status check_instruction(Program* program, uint32_t index, const Loop* loop) {
  const Instruction& instruction = program->instructions[index];
  const char* name = opcode_name(static_cast<uint32_t>(instruction.opcode));
  for (int k = 0; k < instruction.nin + instruction.nout; ++k) {
    const uint32_t v = program->operands[instruction.operands + static_cast<uint32_t>(k)];
    const Value& value = program->values[v];
    const bool written = k >= instruction.nin;
    if (value.storage == Storage::local && loop == nullptr) {
      return fail(Code::invalid_program, "instruction %u (%s): value %u is local to a loop but used outside", index, name, v);
    }
    if (written && (value.storage == Storage::constant || value.step_scalar)) {
      return fail(Code::invalid_program, "instruction %u (%s): writes value %u, which is read-only", index, name, v);
    }
    if (written && loop != nullptr && lanes_collide(value, *loop)) {
      return fail(Code::invalid_program, "instruction %u (%s): two lanes would write the same bytes of value %u", index, name, v);
    }
    ALUDEL_RETURN_IF_ERROR(check_extent(program, v, loop ? loop->slices : 1, loop ? loop->lanes : 1));
  }
  return {};
}

bool writes_argument(const Program& program, const Instruction& instruction) {
  const uint32_t* outputs = program.outputs(instruction);
  return std::any_of(outputs, outputs + instruction.nout, [&](uint32_t v) { return program.values[v].storage == Storage::argument; });
}

}  // namespace

Status prove_bounds(Program* program) {
  ALUDEL_RETURN_IF_ERROR(find_loops(program));
  for (uint32_t v = 0; v < program->values.size(); ++v) {
    ALUDEL_RETURN_IF_ERROR(check_place(*program, v));
    ALUDEL_RETURN_IF_ERROR(check_extent(program, v, 1, 1));
  }
  program->commit = program->instructions.size();
  size_t next_loop = 0;
  const Loop* loop = nullptr;
  for (uint32_t i = 0; i < program->instructions.size(); ++i) {
    if (loop != nullptr && i >= loop->end) loop = nullptr;
    if (next_loop < program->loops.size() && program->loops[next_loop].instruction == i) {
      loop = &program->loops[next_loop++];
      continue;
    }
    ALUDEL_RETURN_IF_ERROR(check_instruction(program, i, loop));
    if (program->commit == program->instructions.size() && writes_argument(*program, program->instructions[i])) {
      program->commit = loop != nullptr ? loop->instruction : i;
    }
  }
  return {};
}

}  // namespace aludel
