// The absent backend says what is missing and how to get it.
#include "native/no_cuda/no_cuda_backend.h"

namespace aludel::cuda {

const char* unavailable_reason() { return "this build has no CUDA backend; rebuild with `npm run build:native -- --CDALUDEL_CUDA=ON`"; }

Status create_backend(int, std::unique_ptr<Backend>*) { return fail(Code::unavailable, "%s", unavailable_reason()); }

}  // namespace aludel::cuda
