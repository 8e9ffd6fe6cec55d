// The absent backend says what is missing and how to get it.
#include "native/no_cuda/no_cuda_backend.h"

namespace aludel::cuda {

const char* unavailable_reason() { return "this build has no CUDA backend: this version computes on the CPU only"; }

Status create_backend(int, std::unique_ptr<Backend>*) { return fail(Code::unavailable, "%s", unavailable_reason()); }

}  // namespace aludel::cuda
