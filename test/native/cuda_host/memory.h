// Device and pinned memory: who owns which addresses, and who may touch them now.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cuda_host/errors.h"

namespace cuda_host {

struct Place {
  enum Kind { pageable, pinned, device } kind = pageable;
  int device_number = -1;
  size_t left = SIZE_MAX;  // bytes from the address to the end of its allocation
  const char* start = nullptr;
};
Place place_of(const volatile void* address);
bool visible_to_all_blocks(const volatile void* address);  // device or pinned memory

cudaError_t allocate_device(int device, size_t bytes, void** address);
cudaError_t free_device(void* address);  // cudaErrorInvalidValue if it is none
cudaError_t allocate_pinned(size_t bytes, void** address);
cudaError_t free_pinned(void* address);
void memory_in_use(uint64_t* allocations, uint64_t* bytes);
uint64_t device_bytes_in_use(int device);

// Makes the memory of the devices in the mask accessible and, where there are several devices or in strict mode, all other inaccessible.
void open_memory(unsigned devices);
void close_memory();  // in strict mode nobody may touch device memory now

// The dynamic shared memory of a block, which ends at an inaccessible page.
void* dynamic_shared_memory(size_t bytes);

// Faults of kernels end the kernel with a report; those of host code that touch device memory end the process with one. Once per OS thread.
void catch_faults();

}  // namespace cuda_host
