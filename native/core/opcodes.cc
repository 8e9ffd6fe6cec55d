// Names of opcodes, for messages.
#include "native/core/opcodes.h"

namespace aludel {

const char* opcode_name(uint32_t number) {
  switch (number) {
#define ALUDEL_NAME(name, n) \
  case n:                    \
    return #name;
    ALUDEL_OPCODES(ALUDEL_NAME)
#undef ALUDEL_NAME
    default:
      return "unknown";
  }
}

}  // namespace aludel
