// Streams. Without lazy mode a job runs inside the call that submits it, before the call returns.
#include "test/native/cuda_host/streams.h"

#include <algorithm>

#include "cuda_host/control.h"
#include "test/native/cuda_host/calls.h"
#include "test/native/cuda_host/capture.h"
#include "test/native/cuda_host/devices.h"
#include "test/native/cuda_host/memory.h"

namespace cuda_host {
namespace {

using QueuePointer = std::shared_ptr<Queue>;

std::vector<QueuePointer>& queues() {  // the first kMostDevices are the legacy streams
  static auto& all = *[] {
    auto* made = new std::vector<QueuePointer>;
    for (int i = 0; i < kMostDevices; ++i) {
      made->push_back(std::make_shared<Queue>());
      made->back()->device = i;
    }
    return made;
  }();
  return all;
}

std::set<cudaStream_t>& streams() {
  static auto& all = *new std::set<cudaStream_t>;
  return all;
}

cudaError_t put_library_work(cudaStream_t stream, void (*work)(void*), void* data) {
  return call([&] {
    return submit(stream, cudaGraphNodeTypeKernel, [work, data, devices = 1u << device_of(stream)] {
      open_memory(devices);
      work(data);
      close_memory();
    });
  });
}

bool is_legacy(cudaStream_t stream) { return !stream || stream == cudaStreamLegacy; }

const QueuePointer& queue_of(cudaStream_t stream) {
  return is_legacy(stream) ? queues()[static_cast<size_t>(current_device())] : stream->queue;
}

}  // namespace

bool valid_stream(cudaStream_t stream) { return is_legacy(stream) || streams().count(stream) != 0; }
bool capturing(cudaStream_t stream) { return !is_legacy(stream) && stream->capture; }
std::shared_ptr<Queue> queue_behind(cudaStream_t stream) { return queue_of(stream); }
int device_of(cudaStream_t stream) { return queue_of(stream)->device; }

void drain(Queue& queue, uint64_t until) {
  while (queue.done < until && !queue.jobs.empty()) {
    const Job job = std::move(queue.jobs.front());
    queue.jobs.pop_front();
    job();
    ++queue.done;
  }
}

void drain_stream(cudaStream_t stream) {
  const QueuePointer queue = queue_of(stream);
  if (is_legacy(stream))  // it waits for the blocking ones
    for (size_t i = 0; i < queues().size(); ++i)
      if (const QueuePointer other = queues()[i]; other->blocking && other->device == queue->device) drain(*other, other->tail);
  drain(*queue, queue->tail);
}

void drain_device(int device) {
  for (size_t i = 0; i < queues().size(); ++i)
    if (const QueuePointer queue = queues()[i]; queue->device == device) drain(*queue, queue->tail);
}

void drain_all() {
  for (int i = 0; i < kMostDevices; ++i) drain_device(i);
}

cudaError_t submit(cudaStream_t stream, cudaGraphNodeType kind, Job job) {
  if (!valid_stream(stream)) return cudaErrorInvalidResourceHandle;
  if (capturing(stream)) return capture_node(stream, kind, std::move(job));
  if (is_legacy(stream))
    if (const cudaError_t error = forbidden_on_legacy(current_device()); error != cudaSuccess) return error;
  const QueuePointer queue = queue_of(stream);
  if (!config().lazy) {
    if (!queue->jobs.empty()) drain_all();
    job();
    return cudaSuccess;
  }
  std::vector<std::pair<QueuePointer, uint64_t>> before;  // the legacy stream waits for the blocking ones, and they for it
  if (queue->blocking)
    for (const QueuePointer& other : queues())
      if (other != queue && other->blocking && other->device == queue->device &&
          (is_legacy(stream) || other == queues()[static_cast<size_t>(queue->device)]))
        before.emplace_back(other, other->tail);
  ++queue->tail;
  queue->jobs.push_back([before = std::move(before), job = std::move(job)] {
    for (const auto& [other, until] : before) drain(*other, until);
    job();
  });
  return cudaSuccess;
}

}  // namespace cuda_host

using namespace cuda_host;

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  return call([&] {
    if (flags & ~cudaStreamNonBlocking) return cudaErrorInvalidValue;
    auto* made = new CUstream_st;
    made->put = put_library_work;
    made->queue = std::make_shared<Queue>();
    made->queue->device = current_device();
    made->queue->blocking = !(flags & cudaStreamNonBlocking);
    queues().push_back(made->queue);
    streams().insert(made);
    *stream = made;
    return cudaSuccess;
  });
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) { return cudaStreamCreateWithPriority(stream, flags, 0); }
cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return release_call([&] {
    if (is_legacy(stream) || !valid_stream(stream)) return cudaErrorInvalidResourceHandle;
    drain_stream(stream);
    if (stream->capture) {
      invalidate(*stream->capture);
      stream->capture->streams.erase(stream);
      if (stream->capture->origin == stream) abandon_capture(stream->capture);
    }
    std::erase(queues(), stream->queue);
    streams().erase(stream);
    delete stream;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return waiting_call([&] {
    if (!valid_stream(stream)) return cudaErrorInvalidResourceHandle;
    if (const cudaError_t error = forbidden_on(stream); error != cudaSuccess) return error;
    drain_stream(stream);
    return cudaSuccess;
  });
}

// Each query lets one more job run, so that waiting in a loop of queries ends.
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return waiting_call([&] {
    if (!valid_stream(stream)) return cudaErrorInvalidResourceHandle;
    if (const cudaError_t error = forbidden_on(stream); error != cudaSuccess) return error;
    const QueuePointer queue = queue_of(stream);
    if (queue->jobs.empty()) return cudaSuccess;
    drain(*queue, queue->done + 1);
    return cudaErrorNotReady;
  });
}

cudaError_t cudaDeviceSynchronize() {
  return waiting_call([] {
    if (const cudaError_t error = forbidden_on_device(current_device()); error != cudaSuccess) return error;
    drain_device(current_device());
    return cudaSuccess;
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  return call([&] { return submit(stream, cudaGraphNodeTypeHost, [=] { function(data); }); });
}
