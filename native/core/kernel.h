// The contract between the executor and a backend's kernels. Plain C types only: ISA-specific units include this.
#pragma once
#include "native/core/status.h"
#include "native/core/tensor.h"

namespace aludel {

// One instruction with its tensors. During check() the data pointers are null; during run() they are valid and do not overlap,
// except where docs/decisions/0001-program-contract.md says so (map, accumulate).
struct KernelArgs {
  int opcode;  // native/core/opcodes.inc; only kernels that serve several opcodes (elementwise) need it
  const TensorRef* in;
  int nin;
  const TensorRef* out;
  int nout;
  const double* attrs;
  int nattrs;
};

// How a kernel gets work done by several threads. Inside a loop region everything runs on the calling worker.
// Results must not depend on the number of workers: split by shape only, never by worker.
struct Exec {
  // Calls body(context, task, scratch) for task 0..tasks-1, in any order, on any worker; returns when all are done. Not reentrant:
  // a body must not call parallel. scratch: scratch_bytes() of the kernel, 64-byte aligned, this worker's own, contents undefined.
  void (*parallel)(Exec* self, int64_t tasks, void (*body)(void* context, int64_t task, void* scratch), void* context);
  bool first_slice;  // accumulate: this is the lane's first slice
  // shared_bytes() of the kernel, 64-byte aligned: one area for all tasks of the instruction at hand, contents undefined at its start.
  void* shared = nullptr;
};

// f(task, scratch) over tasks; f must not throw.
template <typename F>
ALUDEL_INLINE void parallel_for(Exec& exec, int64_t tasks, const F& f) {
  exec.parallel(
      &exec, tasks, [](void* context, int64_t task, void* scratch) { (*static_cast<const F*>(context))(task, scratch); },
      const_cast<F*>(&f));
}

struct Kernel {
  // Everything that run() relies on: dtypes, ranks, shapes, attributes. Called once when a program is loaded. Never trusts its input.
  Status (*check)(const KernelArgs& args);
  // Scratch bytes one worker needs; a pure function of shapes and attributes. Null: none.
  int64_t (*scratch_bytes)(const KernelArgs& args);
  // Fails only for what cannot be known before (indices in data).
  Status (*run)(const KernelArgs& args, Exec& exec);
  // Bytes that tasks leave for one another within one instruction; a pure function of shapes and attributes. Null: none.
  int64_t (*shared_bytes)(const KernelArgs& args) = nullptr;
};

}  // namespace aludel
