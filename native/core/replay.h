// What replaying a program means, whatever the memory it lies in: where a value is, which operands may share bytes, what a run must bind.
#pragma once
#include "native/core/backend.h"
#include "native/core/kernel.h"
#include "native/core/program.h"

namespace aludel {

struct Place {  // where an instruction runs
  int64_t slice = 0;
  int64_t lane = 0;
  bool first_slice = true;
};

// What a kernel is told: operands are the instruction's inputs, then its outputs.
inline KernelArgs args_of(const Program& program, const Instruction& instruction, const TensorRef* operands) {
  return {static_cast<int>(instruction.opcode), operands,         instruction.nin,
          operands + instruction.nin,           instruction.nout, program.attrs.data() + instruction.attrs,
          static_cast<int>(instruction.nattrs)};
}

// clear(instruction, value) for what a slice that is left out would have written: zeros. A sum of the lane is cleared once; later slices
// that are left out add nothing to it.
template <typename Clear>
Status clear_slice(const Program& program, const Loop& loop, const Place& place, const Clear& clear) {
  for (uint32_t i = loop.instruction + 1; i < loop.end; ++i) {
    const Instruction& instruction = program.instructions[i];
    for (int k = 0; k < instruction.nout; ++k) {
      const Value& value = program.values[program.outputs(instruction)[k]];
      const bool sum = instruction.opcode == Opcode::accumulate;
      if (value.storage != Storage::local && (!sum || place.first_slice)) ALUDEL_RETURN_IF_ERROR(clear(i, value));
    }
  }
  return {};
}

// Bytes from the base of the value's storage.
uint64_t offset_of(const Value& value, const Place& place, uint32_t step);

// True when the operands' addresses break what kernels rely on: outputs overlap nothing, except that ops which read element i before they
// write element i may work in place. Inputs come first in `operands`.
bool overlaps_forbidden(Opcode opcode, const TensorRef* operands, int nin, int nout);
inline const char* overlap_message() { return "an output overlaps another operand; bind different arrays to different arguments"; }

// The status with the instruction's number and name in front.
Status at_instruction(const Status& status, uint32_t index, Opcode opcode);

// invalid_argument when a run binds too few arrays or too small ones.
Status check_arguments(const Program& program, const RunRequest& request);

inline bool is_cancelled(const RunRequest& request) {
  const bool cancel = request.cancel != nullptr && request.cancel->load(std::memory_order_relaxed);
  return cancel || (request.stop != nullptr && request.stop->load(std::memory_order_relaxed));
}

}  // namespace aludel
