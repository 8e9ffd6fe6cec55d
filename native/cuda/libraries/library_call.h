// An instruction as a library computes it.
#pragma once
#include <string>

#include "native/cuda/kernel.h"

namespace aludel::cuda {

// Made while a program is loaded: what it needs and which algorithm runs is settled then, as a pure function of shape, precision, library
// and model of GPU.
class LibraryCall {
 public:
  virtual ~LibraryCall() = default;
  virtual std::string library() const = 0;  // cuBLASLt 13.1.0
  virtual int64_t workspace_bytes() const = 0;
  // Puts it on the context's stream. A library cannot look at the guard: only where a refused step may write the output.
  virtual Status launch(const KernelArgs& args, const Context& context) const = 0;
};

// A call that failed, of a `product` or a `convolution`.
inline Status refused(const LibraryCall& call, const char* what, int status) {
  return fail(Code::internal, "%s refuses a %s (status %d); ALUDEL_CUDA_LIBS=off computes without it", call.library().c_str(), what,
              status);
}

}  // namespace aludel::cuda
