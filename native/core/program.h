// A decoded program (docs/decisions/0001-program-contract.md, section 2). Immutable after decode, which proves that every address
// the executor can form from it lies inside its storage; so nothing here is checked again at run time.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "native/core/arena.h"
#include "native/core/opcodes.h"
#include "native/core/status.h"
#include "native/core/tensor.h"

namespace aludel {

enum class Storage : uint8_t { arena = 0, constant = 1, argument = 2, local = 3 };

struct Value {
  DType dtype;
  uint8_t rank;
  Storage storage;
  bool step_scalar;  // u32 [1] supplied by the executor: the step's index
  uint32_t argument;
  uint32_t slots;  // 0: the address does not depend on the step
  int32_t slot_mul;
  int32_t slot_add;
  int64_t dims[kMaxRank];
  int64_t bytes;
  uint64_t offset;
  uint64_t slice_stride;
  uint64_t lane_stride;

  TensorRef ref(void* data) const;
};

struct Instruction {
  Opcode opcode;
  uint8_t nin;
  uint8_t nout;
  uint32_t nattrs;
  uint32_t operands;  // first of nin inputs, then nout outputs, in Program::operands
  uint32_t attrs;     // first attribute in Program::attrs
};

// A loop region: instructions [begin, end) run for every slice in [first_run, end_run); what the others would write is zeros. Outside
// regions there is no entry.
struct Loop {
  uint32_t instruction;  // the loop instruction itself; begin = instruction + 1
  uint32_t end;
  int64_t slices;
  int64_t lanes;
  int64_t first_run;
  int64_t end_run;

  // Lane l runs slices [first_slice(l), first_slice(l + 1)).
  int64_t first_slice(int64_t lane) const { return lane * slices / lanes; }
};

struct Program {
  std::vector<Value> values;
  std::vector<Instruction> instructions;
  std::vector<Loop> loops;  // ascending
  std::vector<uint32_t> operands;
  std::vector<double> attrs;
  std::vector<int64_t> argument_bytes;  // largest byte that any value names in each argument
  Block constants;
  int64_t constant_bytes = 0;
  int64_t arena_bytes = 0;
  int64_t local_bytes = 0;
  // First top-level instruction that writes an argument (a loop counts as one instruction); instructions.size() when none does.
  // Up to there a step may be cancelled and has changed nothing.
  size_t commit = 0;

  const uint32_t* inputs(const Instruction& i) const { return operands.data() + i.operands; }
  const uint32_t* outputs(const Instruction& i) const { return operands.data() + i.operands + i.nin; }
};

// Decodes and proves bounds. Fails with invalid_program on anything that is not exactly what the contract says, whatever the bytes are.
Status decode_program(const uint8_t* bytes, size_t size, Program* program);

}  // namespace aludel
