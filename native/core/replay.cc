#include "native/core/replay.h"

namespace aludel {
namespace {

// Ops whose kernels read element i of an input before they write element i of an output.
bool allows_in_place(Opcode opcode) {
  switch (opcode) {
#define ALUDEL_CASE(name, number) case Opcode::name:
    ALUDEL_ELEMENTWISE_OPCODES(ALUDEL_CASE)
#undef ALUDEL_CASE
    case Opcode::map:
    case Opcode::accumulate:
    case Opcode::copy:
    case Opcode::reshape:
      return true;
    default:
      return false;
  }
}

}  // namespace

uint64_t offset_of(const Value& value, const Place& place, uint32_t step) {
  uint64_t offset =
      value.offset + static_cast<uint64_t>(place.slice) * value.slice_stride + static_cast<uint64_t>(place.lane) * value.lane_stride;
  if (value.slots > 0) {
    // |step * mul + add| < 2^32 * 2^31 + 2^31 fits in 64 bits; the remainder is made non-negative.
    const int64_t slots = value.slots;
    const int64_t slot = ((static_cast<int64_t>(step) * value.slot_mul + value.slot_add) % slots + slots) % slots;
    offset += static_cast<uint64_t>(slot * value.bytes);
  }
  return offset;
}

// Kernels rely on outputs not overlapping anything: an index checked and then overwritten would leave the buffer. Two arguments bound
// to one array make this possible for any program, so it is looked at when the addresses are known.
bool overlaps_forbidden(Opcode opcode, const TensorRef* operands, int nin, int nout) {
  for (int o = nin; o < nin + nout; ++o) {
    const char* begin = operands[o].as<char>();
    const char* end = begin + operands[o].bytes();
    for (int i = 0; i < o; ++i) {
      const char* other = operands[i].as<char>();
      const char* other_end = other + operands[i].bytes();
      if (begin >= other_end || other >= end) continue;
      if (i < nin && other == begin && other_end == end && allows_in_place(opcode)) continue;
      return true;
    }
  }
  return false;
}

Status at_instruction(const Status& status, uint32_t index, Opcode opcode) {
  Status named = fail(status.code, "instruction %u (%s): %s", index, opcode_name(static_cast<uint32_t>(opcode)), status.message);
  named.instruction = static_cast<int32_t>(index);
  return named;
}

Status check_arguments(const Program& program, const RunRequest& request) {
  if (request.arguments.size() != program.argument_bytes.size()) {
    return fail(Code::invalid_argument, "run: expected %zu arguments but received %zu", program.argument_bytes.size(),
                request.arguments.size());
  }
  for (size_t a = 0; a < request.arguments.size(); ++a) {
    if (request.arguments[a]->bytes < program.argument_bytes[a]) {
      return fail(Code::invalid_argument, "run: argument %zu needs %lld bytes but the array has %lld", a,
                  static_cast<long long>(program.argument_bytes[a]), static_cast<long long>(request.arguments[a]->bytes));
    }
  }
  return {};
}

}  // namespace aludel
