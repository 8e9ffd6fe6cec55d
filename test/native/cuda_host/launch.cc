// Launches: what CUDA refuses is refused, then the blocks run one after the other in the order of the seed.
#include <cstring>
#include <numeric>
#include <unordered_map>

#include "cuda_host/control.h"
#include "cuda_host/runtime_api.h"
#include "test/native/cuda_host/calls.h"
#include "test/native/cuda_host/devices.h"
#include "test/native/cuda_host/memory.h"
#include "test/native/cuda_host/race_detector.h"
#include "test/native/cuda_host/report.h"
#include "test/native/cuda_host/scheduler.h"
#include "test/native/cuda_host/streams.h"

namespace cuda_host {
namespace {

constexpr size_t kSharedDefault = 48 << 10;

// Dynamic shared memory each kernel was allowed, where that is more than the default.
std::unordered_map<const void*, size_t>& raised() {
  static auto& all = *new std::unordered_map<const void*, size_t>;
  return all;
}
size_t dynamic_shared_limit(const void* kernel) {
  const auto i = raised().find(kernel);
  return i == raised().end() ? kSharedDefault : i->second;
}

cudaError_t refusal(const Grid& g, cudaStream_t stream) {
  const uint64_t threads = uint64_t{g.block.x} * g.block.y * g.block.z;
  if (!g.kernel) return cudaErrorInvalidDeviceFunction;
  if (!valid_stream(stream)) return cudaErrorInvalidResourceHandle;
  if (!has_kernel_image()) return cudaErrorNoKernelImageForDevice;
  if (device_of(stream) != current_device()) return cudaErrorInvalidResourceHandle;
  if (threads == 0 || threads > kMaxThreads || g.block.z > 64 || g.grid.x == 0 || g.grid.y == 0 || g.grid.z == 0 ||
      g.grid.x > 0x7fffffffu || g.grid.y > 65535 || g.grid.z > 65535)
    return cudaErrorInvalidConfiguration;
  if (g.dynamic_shared > dynamic_shared_limit(g.kernel)) return cudaErrorInvalidValue;
  return cudaSuccess;
}

void run_kernel(const Grid& grid, const std::function<void()>& body) {
  DeviceState& device = device_state(grid.device);
  if (device.lost != cudaSuccess) return;
  if (kernel_loses_device()) {
    device.lost = cudaErrorLaunchFailure;
    return;
  }
  device.lost = run_grid(grid, body);
  if (device.lost != cudaSuccess)
    report(text("in kernel %s, grid (%u,%u,%u), blocks of (%u,%u,%u)", function_name(grid.kernel).c_str(), grid.grid.x, grid.grid.y,
                grid.grid.z, grid.block.x, grid.block.y, grid.block.z));
}

}  // namespace

cudaError_t run_grid(const Grid& g, const std::function<void()>& body) {
  const uint64_t n = uint64_t{g.grid.x} * g.grid.y * g.grid.z;
  const unsigned seed = config().seed;
  uint64_t factor = 1, offset = 0;
  if (seed > 1) {  // random: i to (i * factor + offset) mod n, with the factor coprime to n
    const uint64_t bits = (seed * 0x9e3779b97f4a7c15ull + counters.launches) * 0xd6e8feb86659fd93ull;
    offset = bits % n;
    for (factor = (bits >> 20) % n; std::gcd(factor, n) != 1;) factor = (factor + 1) % n;
  }
  catch_faults();
  open_memory(1u << g.device);
  next_launch();
  ++counters.launches;
  begin_grid(g.grid, g.block, body);
  void* shared = dynamic_shared_memory(g.dynamic_shared);
  cudaError_t error = cudaSuccess;
  for (uint64_t i = 0; i < n && error == cudaSuccess; ++i) {
    const uint64_t linear = seed == 0   ? i
                            : seed == 1 ? n - 1 - i
                                        : static_cast<uint64_t>((static_cast<unsigned __int128>(i) * factor % n + offset) % n);
    if (shared) std::memset(shared, config().poison ? 0xff : 0, g.dynamic_shared);
    const uint3 index{static_cast<unsigned>(linear % g.grid.x), static_cast<unsigned>(linear / g.grid.x % g.grid.y),
                      static_cast<unsigned>(linear / g.grid.x / g.grid.y)};
    error = run_block(linear, index, shared);
    ++counters.blocks;
    counters.threads += uint64_t{g.block.x} * g.block.y * g.block.z;
  }
  close_memory();
  return error;
}

cudaError_t launch(const void* kernel, dim3 grid, dim3 block_dim, size_t dynamic_shared, cudaStream_t stream, std::function<void()> body) {
  return call([&] {
    const Grid g{current_device(), kernel, grid, block_dim, dynamic_shared};
    if (const cudaError_t error = refusal(g, stream); error != cudaSuccess) return error;
    return submit(stream, cudaGraphNodeTypeKernel, [g, body = std::move(body)] { run_kernel(g, body); });
  });
}

}  // namespace cuda_host

using namespace cuda_host;

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  return call([&] {
    if (!kernel) return cudaErrorInvalidDeviceFunction;
    if (!has_kernel_image()) return cudaErrorNoKernelImageForDevice;
    if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 || value > shared_per_block_limit())
      return cudaErrorInvalidValue;
    raised()[kernel] = static_cast<size_t>(value);
    return cudaSuccess;
  });
}

cudaError_t cudaFuncSetCacheConfig(const void* kernel, cudaFuncCache) {
  return call([&] { return kernel ? cudaSuccess : cudaErrorInvalidDeviceFunction; });
}

// Registers and static shared memory of a kernel are not known here: 0 bytes, 64 registers.
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel) {
  return call([&] {
    if (!kernel) return cudaErrorInvalidDeviceFunction;
    if (!has_kernel_image()) return cudaErrorNoKernelImageForDevice;
    *attributes = {};
    attributes->maxThreadsPerBlock = kMaxThreads;
    attributes->numRegs = 64;
    attributes->ptxVersion = attributes->binaryVersion = config().capability;
    attributes->maxDynamicSharedSizeBytes = static_cast<int>(dynamic_shared_limit(kernel));
    return cudaSuccess;
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* kernel, int block_size, size_t dynamic_shared) {
  return call([&] {
    if (!kernel) return cudaErrorInvalidDeviceFunction;
    if (block_size < 1) return cudaErrorInvalidValue;
    constexpr size_t reserved = 1 << 10;
    const size_t shared = static_cast<size_t>(shared_per_block_limit()) + reserved;
    *blocks = block_size > kMaxThreads || dynamic_shared > dynamic_shared_limit(kernel)
                  ? 0
                  : std::min({32, 2048 / ((block_size + 31) / 32 * 32), static_cast<int>(shared / (dynamic_shared + reserved))});
    return cudaSuccess;
  });
}
