// Allocation calls, copies and fills. Ranges, directions and devices are checked when the call is made.
#include <algorithm>
#include <cstring>

#include "cuda_host/control.h"
#include "cuda_host/runtime_api.h"
#include "test/native/cuda_host/calls.h"
#include "test/native/cuda_host/devices.h"
#include "test/native/cuda_host/memory.h"
#include "test/native/cuda_host/memory_map.h"
#include "test/native/cuda_host/report.h"
#include "test/native/cuda_host/streams.h"

using namespace cuda_host;

namespace {

cudaError_t wrong(const std::string& what, cudaError_t error = cudaErrorInvalidValue) {
  report(what);
  return error;
}

struct Copy {
  char* target;
  size_t target_pitch;
  const char* source;
  size_t source_pitch, width, height;
};

void perform(const Copy& c, unsigned devices) {
  open_memory(devices);
  for (size_t i = 0; i < c.height; ++i) std::memmove(c.target + i * c.target_pitch, c.source + i * c.source_pitch, c.width);
  close_memory();
}

std::string where(const Place& p) {
  return p.kind == Place::device ? text("memory of device %d", p.device_number) : p.kind == Place::pinned ? "pinned memory" : "host memory";
}

// `device`: the one whose memory each side has to be in, -1 for host memory, -2 for either in the stream's device.
cudaError_t check_side(const char* side, const void* p, size_t bytes, int device, int stream_device, Place* place) {
  *place = place_of(p);
  const bool on_device = place->kind == Place::device;
  if (device != -2 && on_device != (device >= 0)) return wrong(text("copy: wrong direction: the %s is %s", side, where(*place).c_str()));
  const int expected = device == -2 ? stream_device : device;
  if (on_device && place->device_number != expected)
    return wrong(
        text("copy: the %s is %s, expected device %d (another device needs cudaMemcpyPeer)", side, where(*place).c_str(), expected));
  if (bytes > place->left)
    return wrong(text("copy: the %s range of %zu bytes ends %zu bytes after its allocation", side, bytes, bytes - place->left));
  return cudaSuccess;
}

// Copies in a stream. Of pageable memory CUDA takes a copy before the call returns, and to it the call waits; pinned memory is touched when
// the stream comes to it.
cudaError_t copy(const Copy& c, int target_device, int source_device, cudaStream_t stream) {
  if (!valid_stream(stream)) return cudaErrorInvalidResourceHandle;
  if (c.width == 0 || c.height == 0) return cudaSuccess;
  Place target, source;
  const int device = device_of(stream);
  const size_t rows = c.height - 1;
  if (const cudaError_t error = check_side("target", c.target, rows * c.target_pitch + c.width, target_device, device, &target))
    return error;
  if (const cudaError_t error = check_side("source", c.source, rows * c.source_pitch + c.width, source_device, device, &source))
    return error;
  unsigned devices = 0;
  for (const Place& p : {target, source})
    if (p.kind == Place::device) devices |= 1u << p.device_number;
  if (config().lazy && !capturing(stream) && source.kind == Place::pageable) {
    auto staged = std::make_shared<std::vector<char>>(rows * c.source_pitch + c.width);
    std::memcpy(staged->data(), c.source, staged->size());
    return submit(stream, cudaGraphNodeTypeMemcpy, [c, staged, devices, device] {
      if (device_state(device).lost == cudaSuccess)
        perform({c.target, c.target_pitch, staged->data(), c.source_pitch, c.width, c.height}, devices);
    });
  }
  const cudaError_t error = submit(stream, cudaGraphNodeTypeMemcpy, [c, devices, device] {
    if (device_state(device).lost == cudaSuccess) perform(c, devices);
  });
  if (error == cudaSuccess && !capturing(stream) && target.kind == Place::pageable) drain_stream(stream);
  return error;
}

cudaError_t copy_kind(const Copy& c, cudaMemcpyKind kind, cudaStream_t stream) {
  const int device = valid_stream(stream) ? device_of(stream) : 0;
  switch (kind) {
    case cudaMemcpyHostToHost:
      return copy(c, -1, -1, stream);
    case cudaMemcpyHostToDevice:
      return copy(c, device, -1, stream);
    case cudaMemcpyDeviceToHost:
      return copy(c, -1, device, stream);
    case cudaMemcpyDeviceToDevice:
      return copy(c, device, device, stream);
    case cudaMemcpyDefault:
      return copy(c, -2, -2, stream);
  }
  return cudaErrorInvalidMemcpyDirection;
}

Copy flat(void* target, const void* source, size_t bytes) {
  return {static_cast<char*>(target), bytes, static_cast<const char*>(source), bytes, bytes, 1};
}

cudaError_t fill(void* target, int value, size_t bytes, cudaStream_t stream) {
  if (!valid_stream(stream)) return cudaErrorInvalidResourceHandle;
  if (bytes == 0) return cudaSuccess;
  Place place;
  const int device = device_of(stream);
  if (const cudaError_t error = check_side("target of cudaMemset", target, bytes, device, device, &place)) return error;
  return submit(stream, cudaGraphNodeTypeMemset, [=] {
    if (device_state(device).lost != cudaSuccess) return;
    open_memory(1u << device);
    std::memset(target, value, bytes);
    close_memory();
  });
}

}  // namespace

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  return call([&] {
    if (!pointer) return cudaErrorInvalidValue;
    if (const cudaError_t error = forbidden_while_capturing()) return error;
    if (allocation_fails()) return cudaErrorMemoryAllocation;
    return allocate_device(current_device(), bytes, pointer);
  });
}

cudaError_t cudaFree(void* pointer) {
  return release_call([&] {
    if (!pointer) return cudaSuccess;
    if (const cudaError_t error = forbidden_while_capturing()) return error;
    drain_all();
    if (free_device(pointer) == cudaSuccess) return cudaSuccess;
    return wrong(text("cudaFree of %p, which is no device allocation", pointer));
  });
}

cudaError_t cudaMallocAsync(void** pointer, size_t bytes, cudaStream_t stream) {
  return call([&] {
    if (!valid_stream(stream)) return cudaErrorInvalidResourceHandle;
    if (capturing(stream)) return cudaErrorNotSupported;
    if (allocation_fails()) return cudaErrorMemoryAllocation;
    return allocate_device(device_of(stream), bytes, pointer);
  });
}

cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream) {
  return release_call([&] {
    if (!valid_stream(stream)) return cudaErrorInvalidResourceHandle;
    if (capturing(stream)) return cudaErrorNotSupported;
    if (!pointer) return cudaSuccess;
    if (place_of(pointer).start != pointer || place_of(pointer).kind != Place::device)
      return wrong(text("cudaFreeAsync of %p, which is no device allocation", pointer));
    return submit(stream, cudaGraphNodeTypeEmpty, [pointer] { free_device(pointer); });
  });
}

cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) {
  return call([&] {
    if (const cudaError_t error = forbidden_while_capturing()) return error;
    return allocate_pinned(bytes, pointer);
  });
}
cudaError_t cudaMallocHost(void** pointer, size_t bytes) { return cudaHostAlloc(pointer, bytes, cudaHostAllocDefault); }

cudaError_t cudaFreeHost(void* pointer) {
  return release_call([&] {
    if (!pointer) return cudaSuccess;
    if (const cudaError_t error = forbidden_while_capturing()) return error;
    drain_all();
    if (free_pinned(pointer) == cudaSuccess) return cudaSuccess;
    return wrong(text("cudaFreeHost of %p, which is not pinned memory", pointer));
  });
}

cudaError_t cudaHostRegister(void* pointer, size_t bytes, unsigned) {
  return call(
      [&] { return place_of(pointer).kind != Place::pageable ? cudaErrorHostMemoryAlreadyRegistered : register_pinned(pointer, bytes); });
}

cudaError_t cudaHostUnregister(void* pointer) {
  return release_call([&] {
    drain_all();
    return unregister_pinned(pointer) ? cudaSuccess : cudaErrorHostMemoryNotRegistered;
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  return call([&] {
    const Place p = place_of(pointer);
    void* plain = const_cast<void*>(pointer);
    *attributes = {p.kind == Place::device   ? cudaMemoryTypeDevice
                   : p.kind == Place::pinned ? cudaMemoryTypeHost
                                             : cudaMemoryTypeUnregistered,
                   p.device_number, p.kind == Place::pageable ? nullptr : plain, p.kind == Place::device ? nullptr : plain};
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpyAsync(void* target, const void* source, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return call([&] { return copy_kind(flat(target, source, bytes), kind, stream); });
}

cudaError_t cudaMemcpy(void* target, const void* source, size_t bytes, cudaMemcpyKind kind) {
  return waiting_call([&] {
    if (const cudaError_t error = forbidden_while_capturing()) return error;
    if (const cudaError_t error = copy_kind(flat(target, source, bytes), kind, nullptr)) return error;
    drain_stream(nullptr);
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpy2DAsync(void* target, size_t target_pitch, const void* source, size_t source_pitch, size_t width, size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream) {
  return call([&] {
    if (width > target_pitch || width > source_pitch) return cudaErrorInvalidValue;
    return copy_kind({static_cast<char*>(target), target_pitch, static_cast<const char*>(source), source_pitch, width, height}, kind,
                     stream);
  });
}

cudaError_t cudaMemcpyPeerAsync(void* target, int target_device, const void* source, int source_device, size_t bytes, cudaStream_t stream) {
  return call([&] {
    if (!is_device(target_device) || !is_device(source_device)) return cudaErrorInvalidDevice;
    return copy(flat(target, source, bytes), target_device, source_device, stream);
  });
}

cudaError_t cudaMemcpyPeer(void* target, int target_device, const void* source, int source_device, size_t bytes) {
  return waiting_call([&] {
    if (const cudaError_t error = forbidden_while_capturing()) return error;
    if (const cudaError_t error = cudaMemcpyPeerAsync(target, target_device, source, source_device, bytes, nullptr)) return error;
    drain_stream(nullptr);
    return cudaSuccess;
  });
}

cudaError_t cudaMemsetAsync(void* target, int value, size_t bytes, cudaStream_t stream) {
  return call([&] { return fill(target, value, bytes, stream); });
}

cudaError_t cudaMemset(void* target, int value, size_t bytes) {
  return call([&] {
    if (const cudaError_t error = forbidden_while_capturing()) return error;
    return fill(target, value, bytes, nullptr);
  });
}

cudaError_t cuda_host_copy_symbol(void* target, const void* source, size_t bytes) {
  return waiting_call([&] {
    if (const cudaError_t error = forbidden_while_capturing()) return error;
    drain_device(current_device());
    std::memcpy(target, source, bytes);
    return cudaSuccess;
  });
}
