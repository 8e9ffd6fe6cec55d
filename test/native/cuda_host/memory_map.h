// The table of device allocations, for memory.cc and the fault handler.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>

#include "cuda_host/errors.h"

namespace cuda_host {

struct Allocation {
  int device;
  char* address;
  size_t bytes;
  char* map;  // from the page in front to the page behind; null with AddressSanitizer
  size_t map_bytes;
  bool open;  // accessible now
};
std::map<uintptr_t, Allocation>& allocations();  // by address

cudaError_t register_pinned(void* address, size_t bytes);
bool unregister_pinned(void* address);

}  // namespace cuda_host
