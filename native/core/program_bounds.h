// The proof that a decoded program cannot leave its storage.
#pragma once
#include "native/core/program.h"

namespace aludel {

// Finds the loops, checks every operand for every slice, lane and slot, and fills loops, argument_bytes and commit.
Status prove_bounds(Program* program);

}  // namespace aludel
