// Every device allocation ends at an inaccessible page, so that a kernel that runs past its end faults; with AddressSanitizer it comes from
// the heap instead, where every byte is watched. Freed addresses are kept inaccessible for a while.
#include "test/native/cuda_host/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#include "cuda_host/control.h"
#include "test/native/cuda_host/devices.h"
#include "test/native/cuda_host/memory_map.h"
#include "test/native/cuda_host/race_detector.h"
#include "test/native/cuda_host/report.h"

namespace cuda_host {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kAlignment = 16;                     // what the widest access of a kernel needs; more would leave a gap before the page
constexpr size_t kMostPoisoned = size_t{64} << 20;    // of an allocation: more would make its untouched pages real
[[maybe_unused]] constexpr size_t kMostFreed = 2048;  // allocations kept inaccessible
[[maybe_unused]] constexpr char kSlack = static_cast<char>(0xa5);

constexpr size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

unsigned accessible = ~0u;  // devices whose memory is open now

struct Mapping {
  char* start;
  size_t bytes;
};
[[maybe_unused]] std::deque<Mapping>& freed() {
  static auto& all = *new std::deque<Mapping>;
  return all;
}
std::map<uintptr_t, size_t>& pinned() {
  static auto& all = *new std::map<uintptr_t, size_t>;
  return all;
}

void set_access(Allocation& a, bool open) {
  if (a.open == open) return;
  a.open = open;
#if defined(__SANITIZE_ADDRESS__)
  if (open)
    __asan_unpoison_memory_region(a.address, a.bytes);
  else
    __asan_poison_memory_region(a.address, a.bytes);
#else
  mprotect(a.map + kPage, a.map_bytes - 2 * kPage, open ? PROT_READ | PROT_WRITE : PROT_NONE);
#endif
}

bool map_allocation(Allocation& a) {
#if defined(__SANITIZE_ADDRESS__)
  void* p = nullptr;
  if (posix_memalign(&p, 256, a.bytes)) return false;
  a.address = static_cast<char*>(p);
#else
  const size_t used = round_up(a.bytes, kAlignment), body = round_up(used + kAlignment, kPage);
  a.map_bytes = body + 2 * kPage;
  void* p = mmap(nullptr, a.map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return false;
  a.map = static_cast<char*>(p);
  mprotect(a.map + kPage, body, PROT_READ | PROT_WRITE);
  a.address = a.map + kPage + body - used;
  std::memset(a.map + kPage, kSlack, static_cast<size_t>(a.address - a.map) - kPage);
  std::memset(a.address + a.bytes, kSlack, used - a.bytes);
#endif
  return true;
}

void unmap_allocation(Allocation& a) {
#if defined(__SANITIZE_ADDRESS__)
  free(a.address);
#else
  const char* end = a.map + a.map_bytes - kPage;
  for (const char* c = a.map + kPage; c < end; ++c) {
    if (c == a.address) c += a.bytes;
    if (c < end && *c != kSlack) {
      report(text("write outside an allocation of %zu bytes: byte %td", a.bytes, c - a.address));
      break;
    }
  }
  mmap(a.map, a.map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  freed().push_back({a.map, a.map_bytes});
  if (freed().size() > kMostFreed) {
    munmap(freed().front().start, freed().front().bytes);
    freed().pop_front();
  }
#endif
}

}  // namespace

std::map<uintptr_t, Allocation>& allocations() {
  static auto& all = *new std::map<uintptr_t, Allocation>;
  return all;
}

Place place_of(const volatile void* address) {
  const auto p = reinterpret_cast<uintptr_t>(address);
  const auto before = [p](auto& ranges) {
    auto i = ranges.upper_bound(p);
    return i == ranges.begin() ? ranges.end() : --i;
  };
  if (const auto i = before(allocations()); i != allocations().end() && p < i->first + i->second.bytes)
    return {Place::device, i->second.device, i->first + i->second.bytes - p, i->second.address};
  if (const auto i = before(pinned()); i != pinned().end() && p < i->first + i->second)
    return {Place::pinned, -1, i->first + i->second - p, reinterpret_cast<const char*>(i->first)};
  return {};
}

bool visible_to_all_blocks(const volatile void* address) { return place_of(address).kind != Place::pageable; }

cudaError_t allocate_device(int device, size_t bytes, void** address) {
  catch_faults();
  *address = nullptr;
  if (bytes == 0) return cudaSuccess;
  if (bytes > config().memory || device_bytes_in_use(device) + round_up(bytes, 512) > config().memory) return cudaErrorMemoryAllocation;
  Allocation a{};
  a.device = device;
  a.bytes = bytes;
  a.open = true;
  if (!map_allocation(a)) return cudaErrorMemoryAllocation;
  if (config().poison) std::memset(a.address, 0xff, std::min(bytes, kMostPoisoned));
  *address = a.address;
  Allocation& kept = allocations()[reinterpret_cast<uintptr_t>(a.address)] = a;
  device_state(device).bytes_in_use += round_up(bytes, 512);
  if (config().strict) close_memory();
  if (!(accessible >> device & 1)) set_access(kept, false);
  return cudaSuccess;
}

cudaError_t free_device(void* address) {
  const auto i = allocations().find(reinterpret_cast<uintptr_t>(address));
  if (i == allocations().end()) return cudaErrorInvalidValue;
  set_access(i->second, true);
  Allocation a = i->second;
  allocations().erase(i);
  device_state(a.device).bytes_in_use -= round_up(a.bytes, 512);
  forget_accesses(a.address, a.bytes);
  unmap_allocation(a);
  return cudaSuccess;
}

cudaError_t allocate_pinned(size_t bytes, void** address) {
  if (posix_memalign(address, 256, std::max<size_t>(bytes, 1))) return cudaErrorMemoryAllocation;
  if (config().poison) std::memset(*address, 0xff, std::min(bytes, kMostPoisoned));
  return register_pinned(*address, bytes);
}

cudaError_t free_pinned(void* address) {
  if (!unregister_pinned(address)) return cudaErrorInvalidValue;
  free(address);
  return cudaSuccess;
}

cudaError_t register_pinned(void* address, size_t bytes) {
  pinned()[reinterpret_cast<uintptr_t>(address)] = std::max<size_t>(bytes, 1);
  return cudaSuccess;
}

bool unregister_pinned(void* address) { return pinned().erase(reinterpret_cast<uintptr_t>(address)) != 0; }

void memory_in_use(uint64_t* count, uint64_t* bytes) {
  *count = allocations().size();
  *bytes = 0;
  for (const auto& [address, a] : allocations()) *bytes += a.bytes;
}

uint64_t device_bytes_in_use(int device) { return device_state(device).bytes_in_use; }

void open_memory(unsigned devices) {
  if (!config().strict && config().devices <= 1) devices = ~0u;
  if (devices == accessible) return;
  accessible = devices;
  for (auto& [address, a] : allocations()) set_access(a, devices >> a.device & 1);
}

void close_memory() {
  if (config().strict) open_memory(0);
}

void* dynamic_shared_memory(size_t bytes) {
  if (bytes == 0) return nullptr;
#if defined(__SANITIZE_ADDRESS__)
  static char* memory = nullptr;  // of exactly this size, so that its end is watched
  free(memory);
  void* p = nullptr;
  if (posix_memalign(&p, 128, bytes)) abort();
  return memory = static_cast<char*>(p);
#else
  constexpr size_t most = size_t{256} << 10;
  static char* const memory = [] {
    void* p = mmap(nullptr, most + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED || mprotect(static_cast<char*>(p) + most, kPage, PROT_NONE)) abort();
    return static_cast<char*>(p);
  }();
  return memory + most - round_up(bytes, kAlignment);
#endif
}

}  // namespace cuda_host
