// The emulated machine: devices with memory and a fate of their own.
#pragma once
#include <cstdint>

#include "cuda_host/errors.h"

namespace cuda_host {

constexpr int kMostDevices = 16;

struct DeviceState {
  cudaError_t lost = cudaSuccess;  // what every later call on this device returns
  uint64_t bytes_in_use = 0;
};
DeviceState& device_state(int device);
int current_device();  // of this thread
bool is_device(int device);
bool has_kernel_image();
int shared_per_block_limit();  // with opting in

// Counts kernels and allocations for the planned faults; true if this one is to fail.
bool kernel_loses_device();
bool allocation_fails();
void restore_devices();

}  // namespace cuda_host
