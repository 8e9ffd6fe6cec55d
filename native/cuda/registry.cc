// The kernels by opcode number. A kernel that nobody wrote is a link error: hidden symbols may not stay open.
#include "native/core/opcodes.inc"
#include "native/cuda/kernel.h"

namespace aludel::cuda {

#define ALUDEL_DECLARE(name, number) extern const Kernel kernel_##name __attribute__((visibility("hidden")));
ALUDEL_KERNEL_OPCODES(ALUDEL_DECLARE)
#undef ALUDEL_DECLARE
extern const Kernel kernel_elementwise __attribute__((visibility("hidden")));

namespace {

struct Table {
  const Kernel* kernels[ALUDEL_OPCODE_COUNT];
};

constexpr Table table = [] {
  Table filled{};
#define ALUDEL_OWN(name, number) filled.kernels[number] = &kernel_##name;
  ALUDEL_KERNEL_OPCODES(ALUDEL_OWN)
#undef ALUDEL_OWN
#define ALUDEL_SHARED(name, number) filled.kernels[number] = &kernel_elementwise;
  ALUDEL_ELEMENTWISE_OPCODES(ALUDEL_SHARED)
#undef ALUDEL_SHARED
  return filled;
}();

}  // namespace

const Kernel* const* kernel_table() { return table.kernels; }

}  // namespace aludel::cuda
