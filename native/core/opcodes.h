// Opcodes as C++ sees them. Numbers and names come from opcodes.inc, which is generated from the TypeScript list.
#pragma once
#include <cstdint>

#include "native/core/opcodes.inc"

namespace aludel {

enum class Opcode : uint16_t {
#define ALUDEL_ENUMERATOR(name, number) name = number,
  ALUDEL_OPCODES(ALUDEL_ENUMERATOR)
#undef ALUDEL_ENUMERATOR
};

constexpr int kOpcodeCount = ALUDEL_OPCODE_COUNT;
constexpr uint32_t kOpcodeHash = ALUDEL_OPCODE_HASH;

// The opcode's one spelling; "unknown" for a number that is none.
const char* opcode_name(uint32_t number);

}  // namespace aludel
