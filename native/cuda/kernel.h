// The contract between the CUDA executor and its kernels. The mirror of native/core/kernel.h: TensorRef::data is a device address. Operands
// have passed the check() of the CPU kernel of the same opcode, so a launch relies on shapes, dtypes and attributes and checks none of them
// again.
#pragma once
#include <cuda_runtime.h>

#include "native/core/kernel.h"
#include "native/cuda/cuda_options.h"
#include "native/cuda/run_state.h"

namespace aludel::cuda {

// What launches may depend on: a pure function of the device model and the options, never of its load.
struct DeviceInfo {
  int ordinal;
  int major, minor;  // compute capability
  int multiprocessors;
  int64_t shared_bytes;  // dynamic shared memory that one block may have
  Precision precision;
};

// Where and how an instruction runs. Everything is put on `stream` and nothing waits: a launch may be captured into a graph and replayed,
// so it never reads device memory on the host, allocates, or depends on anything but its arguments.
struct Context {
  cudaStream_t stream;
  const DeviceInfo* device;
  Guard guard;
  void* workspace;  // workspace_bytes() of the kernel, 256-byte aligned, contents undefined
  RunState* state;  // for check_indices() only
  int32_t instruction;
  bool first_slice;  // accumulate: this is the lane's first slice
};

struct Kernel {
  // Bytes between the launches of one instruction; a pure function of shapes, attributes and device. Null: none.
  int64_t (*workspace_bytes)(const KernelArgs& args, const DeviceInfo& device);
  // Puts the instruction on the stream. Fails when CUDA refuses a launch.
  Status (*launch)(const KernelArgs& args, const Context& context);
  // What this backend refuses although the CPU takes it. Null: nothing.
  Status (*check)(const KernelArgs& args) = nullptr;
};

// Indexed by opcode number; null for structural opcodes. A kernel that nobody wrote is a link error.
const Kernel* const* kernel_table();

// One Status for what the runtime answers: out_of_memory, device_lost for errors that end the context, internal for the rest.
Status to_status(cudaError_t error, const char* what);

#define ALUDEL_RETURN_IF_CUDA_ERROR(call, what)                                              \
  do {                                                                                       \
    const cudaError_t aludel_error_ = (call);                                                \
    if (aludel_error_ != cudaSuccess) return ::aludel::cuda::to_status(aludel_error_, what); \
  } while (0)

}  // namespace aludel::cuda
