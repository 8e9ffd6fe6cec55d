// The instruction sets that this build holds kernels for, and the choice among them at run time.
#pragma once
#include <string>
#include <vector>

#include "native/core/executor.h"
#include "native/cpu/kernels/symmetric_eigen.h"

namespace aludel::cpu {

struct Isa {
  const char* name;
  bool supported;  // by the processor this runs on
  const Kernel* const* (*table)();
  const EigenKernel* (*symmetric_eigen)();
};

// Best first; "portable" is always the last one that every processor supports.
const std::vector<Isa>& isas();

// The named instruction set, or the best supported one when `name` is empty. Unavailable when not built or not supported.
Status choose_isa(const std::string& name, const Isa** isa);

}  // namespace aludel::cpu
