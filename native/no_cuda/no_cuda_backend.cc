// The absent backend says what is missing and how to get it.
#include "native/cuda/cuda_backend.h"

namespace aludel::cuda {

Survey survey() {
  Survey found;
  found.built = false;
  found.reason =
      "this build computes on the CPU only; build with CUDA where nvcc is installed (`npm run build -- --cuda`, of an installed package "
      "`npx aludel build --cuda`)";
  return found;
}

std::vector<FoundLibrary> survey_libraries() { return {}; }

Status create_backend(const Options&, LibraryUse, KernelTable, int, std::function<Status(std::unique_ptr<Backend>*)>,
                      std::unique_ptr<Backend>*) {
  return fail(Code::unavailable, "%s", survey().reason.c_str());
}

}  // namespace aludel::cuda
