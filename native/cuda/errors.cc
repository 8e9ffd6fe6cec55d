// What the CUDA runtime answers, in the project's codes.
#include "native/cuda/kernel.h"

namespace aludel::cuda {
namespace {

// Errors after which every call on the device fails until its context is made anew.
bool ends_context(cudaError_t error) {
  switch (error) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorMisalignedAddress:
    case cudaErrorIllegalInstruction:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorHardwareStackError:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorDevicesUnavailable:
    case cudaErrorContextIsDestroyed:
    case cudaErrorUnknown:
      return true;
    default:
      return false;
  }
}

}  // namespace

Status to_status(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return {};
  const char* said = cudaGetErrorString(error);
  const int number = static_cast<int>(error);
  cudaGetLastError();  // an error that does not end the context must not be taken for that of a later call
  if (error == cudaErrorMemoryAllocation) return fail(Code::out_of_memory, "%s: the device has not enough memory", what);
  if (error == cudaErrorNoKernelImageForDevice) {
    return fail(Code::unavailable, "%s: this build has no code for this GPU; it needs compute capability 8.0 or above", what);
  }
  if (error == cudaErrorInsufficientDriver || error == cudaErrorNoDevice) return fail(Code::unavailable, "%s: %s", what, said);
  if (ends_context(error)) {
    return fail(Code::device_lost, "%s: %s (CUDA error %d); close this device and open it again, a run directory resumes", what, said,
                number);
  }
  return fail(Code::internal, "%s: %s (CUDA error %d)", what, said, number);
}

}  // namespace aludel::cuda
