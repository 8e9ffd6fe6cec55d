// What the interpreter of elementwise programs runs: a micro-program (program contract, section 4) with its registers mapped to slots.
// A value that only the next step reads never leaves the thread's registers; any other lives in a slot, which is used again as soon as the
// value is dead. All host code, run once per launch.
#pragma once
#include <algorithm>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "native/core/opcodes.h"
#include "native/cuda/kernel.h"

namespace aludel::cuda {

constexpr uint16_t kNone = 0xffff;      // no such operand, slot or output
constexpr uint16_t kPrevious = 0xfffe;  // operand: the result of the step before
constexpr uint16_t kCopyStep = 0xfffd;  // code of a step that hands its operand on

// Read by every thread at once, as one 16-byte load from constant memory.
struct alignas(16) Step {
  uint16_t code = kNone;
  uint16_t operand[3] = {kNone, kNone, kNone};
  uint16_t slot = kNone, output = kNone;  // where else the result goes
};

struct SlotProgram {
  std::vector<Step> steps;
  std::vector<uint16_t> input_slot;  // kNone: nothing reads the input
  int slots = 0;
};

inline int operand_count(int opcode) {
  if (opcode >= static_cast<int>(Opcode::neg) && opcode <= static_cast<int>(Opcode::is_finite)) return 1;
  return opcode == static_cast<int>(Opcode::select) ? 3 : 2;
}

// Values: the inputs, then one for each step.
struct ValueStep {
  uint16_t code;
  int operand[3] = {-1, -1, -1};
  int value = -1;  // what it makes, or (a copy) hands on
  uint16_t output = kNone;
};

// Registers may be written more than once, so a register is replaced by the value it holds at that point.
inline std::vector<ValueStep> steps_of_map(const KernelArgs& args) {
  std::vector<ValueStep> steps;
  std::vector<int> held(args.nin);
  for (int i = 0; i < args.nin; ++i) held[static_cast<size_t>(i)] = i;
  const int nops = static_cast<int>(args.attrs[0]);
  for (int i = 0; i < nops; ++i) {
    const double* op = args.attrs + 1 + 5 * i;
    ValueStep step{static_cast<uint16_t>(op[0])};
    for (int k = 0; k < operand_count(step.code); ++k) step.operand[k] = held[static_cast<size_t>(op[2 + k])];
    step.value = args.nin + i;
    const size_t dst = static_cast<size_t>(op[1]);
    if (dst >= held.size()) held.resize(dst + 1, -1);
    held[dst] = step.value;
    steps.push_back(step);
  }
  for (int o = 0; o < args.nout; ++o) {
    const int value = held[static_cast<size_t>(args.attrs[2 + 5 * nops + o])];
    if (value >= args.nin && steps[static_cast<size_t>(value - args.nin)].output == kNone) {
      steps[static_cast<size_t>(value - args.nin)].output = static_cast<uint16_t>(o);
    } else {  // an input, or a value that is an output already
      ValueStep copy{kCopyStep};
      copy.operand[0] = copy.value = value;
      copy.output = static_cast<uint16_t>(o);
      steps.push_back(copy);
    }
  }
  return steps;
}

inline std::vector<ValueStep> steps_of_op(const KernelArgs& args) {
  ValueStep step{static_cast<uint16_t>(args.opcode)};
  for (int k = 0; k < args.nin; ++k) step.operand[k] = k;
  step.value = args.nin;
  step.output = 0;
  return {step};
}

inline SlotProgram slot_program(const KernelArgs& args) {
  const bool is_map = args.opcode == static_cast<int>(Opcode::map);
  const std::vector<ValueStep> source = is_map ? steps_of_map(args) : steps_of_op(args);
  const int values = args.nin + static_cast<int>(source.size()), count = static_cast<int>(source.size());
  // The last step that needs a value in a slot: not through the result of the step before it.
  std::vector<int> last_use(static_cast<size_t>(values), -1);
  for (int s = 0; s < count; ++s)
    for (int v : source[static_cast<size_t>(s)].operand)
      if (v >= 0 && (s == 0 || source[static_cast<size_t>(s - 1)].value != v)) last_use[static_cast<size_t>(v)] = s;

  SlotProgram program;
  std::vector<uint16_t> slot(static_cast<size_t>(values), kNone), unused;
  const auto take = [&](int value) {
    uint16_t& taken = slot[static_cast<size_t>(value)];
    if (unused.empty()) {
      taken = static_cast<uint16_t>(program.slots++);
    } else {
      taken = unused.back();
      unused.pop_back();
    }
    return taken;
  };
  for (int i = 0; i < args.nin; ++i) program.input_slot.push_back(last_use[static_cast<size_t>(i)] < 0 ? kNone : take(i));
  for (int s = 0; s < count; ++s) {
    const ValueStep& from = source[static_cast<size_t>(s)];
    Step step;
    step.code = from.code;
    step.output = from.output;
    for (int k = 0; k < 3; ++k) {
      const int v = from.operand[k];
      if (v < 0) continue;
      const bool previous = s > 0 && source[static_cast<size_t>(s - 1)].value == v;
      step.operand[k] = previous ? kPrevious : slot[static_cast<size_t>(v)];
    }
    for (int v : from.operand)  // a step reads its operands before it writes: the result may take the place of one
      if (v >= 0 && last_use[static_cast<size_t>(v)] == s && slot[static_cast<size_t>(v)] != kNone) {
        unused.push_back(slot[static_cast<size_t>(v)]);
        slot[static_cast<size_t>(v)] = kNone;
      }
    if (from.code != kCopyStep && last_use[static_cast<size_t>(from.value)] > s) step.slot = take(from.value);
    program.steps.push_back(step);
  }
  return program;
}

}  // namespace aludel::cuda
