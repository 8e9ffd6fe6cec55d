// Versions, properties, errors and planned faults of the emulated devices.
#include "test/native/cuda_host/devices.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "cuda_host/control.h"
#include "cuda_host/runtime_api.h"
#include "test/native/cuda_host/calls.h"
#include "test/native/cuda_host/memory.h"

namespace cuda_host {
namespace {

constexpr int kRuntimeVersion = CUDART_VERSION;
constexpr int kOldestImage = 80;  // the least capability that the backend is compiled for
constexpr int kSharedDefault = 48 << 10, kReservedShared = 1 << 10;

DeviceState states[kMostDevices];
uint64_t kernels = 0, allocations_made = 0;
constinit thread_local int current = 0;
constinit thread_local cudaError_t last_error = cudaSuccess;

cudaError_t machine_error() {
  if (config().driver / 1000 < kRuntimeVersion / 1000) return cudaErrorInsufficientDriver;
  return config().devices < 1 ? cudaErrorNoDevice : cudaSuccess;
}

// Calls that ask about the machine work even when the current device is lost.
template <class F>
cudaError_t machine_call(F body) {
  const std::lock_guard lock(runtime_lock());
  const cudaError_t error = machine_error();
  return remember(error != cudaSuccess ? error : body());
}

int shared_per_multiprocessor() {
  const int c = config().capability;
  return (c >= 90 ? 228 : c == 86 || c == 89 ? 100 : c >= 80 ? 164 : c == 75 ? 64 : 96) << 10;
}

}  // namespace

std::recursive_mutex& runtime_lock() {
  static auto& lock = *new std::recursive_mutex;
  return lock;
}

cudaError_t standing_error() {
  const cudaError_t error = machine_error();
  return error != cudaSuccess ? error : states[current].lost;
}

cudaError_t remember(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

DeviceState& device_state(int device) { return states[device]; }
int current_device() { return current; }
bool is_device(int device) { return device >= 0 && device < std::min(config().devices, kMostDevices); }
bool has_kernel_image() { return config().capability >= kOldestImage; }
int shared_per_block_limit() { return shared_per_multiprocessor() - (config().capability >= 80 ? kReservedShared : 0); }

bool kernel_loses_device() { return ++kernels == config().lose_at; }
bool allocation_fails() { return ++allocations_made == config().fail_malloc_at; }

void restore_devices() {
  for (DeviceState& s : states) s.lost = cudaSuccess;
  kernels = allocations_made = 0;
  last_error = cudaSuccess;
}

}  // namespace cuda_host

using namespace cuda_host;

cudaError_t cudaDriverGetVersion(int* version) {
  *version = config().driver;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = kRuntimeVersion;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  return machine_call([&] {
    *count = std::min(config().devices, kMostDevices);
    return cudaSuccess;
  });
}

cudaError_t cudaGetDevice(int* device) {
  return machine_call([&] {
    *device = current;
    return cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int device) {
  return machine_call([&] {
    if (!is_device(device)) return cudaErrorInvalidDevice;
    current = device;
    return states[device].lost;
  });
}

// A lost device answers again. What it held is not freed here: the product has let go of it before.
cudaError_t cudaDeviceReset() {
  return machine_call([] {
    states[current].lost = cudaSuccess;
    return cudaSuccess;
  });
}

cudaError_t cudaInitDevice(int device, unsigned, unsigned) {
  return machine_call([&] { return is_device(device) ? states[device].lost : cudaErrorInvalidDevice; });
}

cudaError_t cudaSetDeviceFlags(unsigned) {
  return machine_call([] { return cudaSuccess; });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  return machine_call([&] {
    if (!is_device(device)) return cudaErrorInvalidDevice;
    *p = {};
    snprintf(p->name, sizeof p->name, "Emulated CUDA device");
    p->uuid.bytes[15] = static_cast<char>(device);
    p->totalGlobalMem = config().memory;
    p->sharedMemPerBlock = kSharedDefault;
    p->sharedMemPerBlockOptin = static_cast<size_t>(shared_per_block_limit());
    p->sharedMemPerMultiprocessor = static_cast<size_t>(shared_per_multiprocessor());
    p->reservedSharedMemPerBlock = kReservedShared;
    p->regsPerBlock = p->regsPerMultiprocessor = 65536;
    p->warpSize = 32;
    p->maxThreadsPerBlock = p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
    p->maxThreadsDim[2] = 64;
    p->maxGridSize[0] = 0x7fffffff;
    p->maxGridSize[1] = p->maxGridSize[2] = 65535;
    p->totalConstMem = 65536;
    p->major = config().capability / 10;
    p->minor = config().capability % 10;
    p->multiProcessorCount = config().multiprocessors;
    p->canMapHostMemory = p->concurrentKernels = p->unifiedAddressing = p->asyncEngineCount = 1;
    p->pciBusID = device + 1;
    p->memoryBusWidth = 4096;
    p->l2CacheSize = 4 << 20;
    p->maxThreadsPerMultiProcessor = 2048;
    p->maxBlocksPerMultiProcessor = 32;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp p;
  if (const cudaError_t error = cudaGetDeviceProperties(&p, device); error != cudaSuccess) return error;
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      *value = p.maxThreadsPerBlock;
      break;
    case cudaDevAttrMaxGridDimX:
      *value = p.maxGridSize[0];
      break;
    case cudaDevAttrMaxGridDimY:
      *value = p.maxGridSize[1];
      break;
    case cudaDevAttrMaxGridDimZ:
      *value = p.maxGridSize[2];
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = kSharedDefault;
      break;
    case cudaDevAttrWarpSize:
      *value = p.warpSize;
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = p.multiProcessorCount;
      break;
    case cudaDevAttrIntegrated:
      *value = p.integrated;
      break;
    case cudaDevAttrL2CacheSize:
      *value = p.l2CacheSize;
      break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      *value = p.maxThreadsPerMultiProcessor;
      break;
    case cudaDevAttrAsyncEngineCount:
      *value = p.asyncEngineCount;
      break;
    case cudaDevAttrUnifiedAddressing:
      *value = p.unifiedAddressing;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = p.major;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = p.minor;
      break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *value = shared_per_multiprocessor();
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = shared_per_block_limit();
      break;
    case cudaDevAttrMaxBlocksPerMultiprocessor:
      *value = p.maxBlocksPerMultiProcessor;
      break;
    case cudaDevAttrReservedSharedMemoryPerBlock:
      *value = kReservedShared;
      break;
    case cudaDevAttrMemoryPoolsSupported:
      *value = 1;
      break;
    default:
      return remember(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char* id, int length, int device) {
  return machine_call([&] {
    if (!is_device(device)) return cudaErrorInvalidDevice;
    return snprintf(id, static_cast<size_t>(length), "0000:%02x:00.0", device + 1) < length ? cudaSuccess : cudaErrorInvalidValue;
  });
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  return machine_call([&] {
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  return machine_call([&] {
    if (!is_device(device) || !is_device(peer)) return cudaErrorInvalidDevice;
    *can = 0;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned) {
  return machine_call([&] { return is_device(peer) ? cudaErrorPeerAccessUnsupported : cudaErrorInvalidDevice; });
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  return call([&] {
    *total = config().memory;
    *free = config().memory - device_bytes_in_use(current);
    return cudaSuccess;
  });
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  last_error = cudaSuccess;
  return error;
}

cudaError_t cudaPeekAtLastError() {
  const std::lock_guard lock(runtime_lock());
  const cudaError_t standing = standing_error();
  return standing != cudaSuccess ? standing : last_error;
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define CUDA_HOST_NAME(name, number, text) \
  case name:                               \
    return #name;
    CUDA_HOST_ERRORS(CUDA_HOST_NAME)
#undef CUDA_HOST_NAME
  }
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
#define CUDA_HOST_TEXT(name, number, text) \
  case name:                               \
    return text;
    CUDA_HOST_ERRORS(CUDA_HOST_TEXT)
#undef CUDA_HOST_TEXT
  }
  return "unrecognized error code";
}
