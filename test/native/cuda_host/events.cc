// Events.
#include <ctime>

#include "cuda_host/control.h"
#include "test/native/cuda_host/calls.h"
#include "test/native/cuda_host/capture.h"
#include "test/native/cuda_host/devices.h"
#include "test/native/cuda_host/streams.h"

using namespace cuda_host;

namespace {

std::set<cudaEvent_t>& events() {
  static auto& all = *new std::set<cudaEvent_t>;
  return all;
}
bool valid(cudaEvent_t event) { return events().count(event) != 0; }
bool passed(const CUevent_st& event) { return !event.queue || event.queue->done >= event.mark; }

double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) * 1e-6;
}

}  // namespace

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return call([&] {
    *event = new CUevent_st;
    (*event)->device = current_device();
    (*event)->timed = !(flags & cudaEventDisableTiming);
    events().insert(*event);
    return cudaSuccess;
  });
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return release_call([&] {
    if (!events().erase(event)) return cudaErrorInvalidResourceHandle;
    delete event;
    return cudaSuccess;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return call([&] {
    if (!valid(event) || !valid_stream(stream) || event->device != device_of(stream)) return cudaErrorInvalidResourceHandle;
    if (capturing(stream)) {
      if (stream->capture->invalid) return cudaErrorStreamCaptureInvalidated;
      event->capture = stream->capture;
      event->last = stream->last;
      return cudaSuccess;
    }
    event->capture = nullptr;
    event->milliseconds = std::make_shared<double>(0);
    const cudaError_t error = submit(stream, cudaGraphNodeTypeEmpty, [t = event->milliseconds] { *t = now(); });
    if (error != cudaSuccess) return error;
    event->queue = queue_behind(stream);
    event->mark = event->queue->tail;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return call([&] {
    if (!valid(event) || !valid_stream(stream)) return cudaErrorInvalidResourceHandle;
    if (event->capture) return join_capture(stream, *event);
    if (capturing(stream)) {
      if (!event->queue) return cudaSuccess;
      invalidate(*stream->capture);
      return cudaErrorStreamCaptureIsolation;
    }
    if (!event->queue) return cudaSuccess;
    return submit(stream, cudaGraphNodeTypeEmpty, [queue = event->queue, mark = event->mark] { drain(*queue, mark); });
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return waiting_call([&] {
    if (!valid(event)) return cudaErrorInvalidResourceHandle;
    if (event->capture) return cudaErrorCapturedEvent;
    if (const cudaError_t error = forbidden_while_capturing(); error != cudaSuccess) return error;
    if (event->queue) drain(*event->queue, event->mark);
    return cudaSuccess;
  });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return waiting_call([&] {
    if (!valid(event)) return cudaErrorInvalidResourceHandle;
    if (event->capture) return cudaErrorCapturedEvent;
    if (const cudaError_t error = forbidden_while_capturing(); error != cudaSuccess) return error;
    if (passed(*event)) return cudaSuccess;
    drain(*event->queue, event->queue->done + 1);  // so that a loop of queries ends
    return cudaErrorNotReady;
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return call([&] {
    if (!valid(start) || !valid(end) || !start->timed || !end->timed || !start->queue || !end->queue) return cudaErrorInvalidResourceHandle;
    if (start->capture || end->capture) return cudaErrorCapturedEvent;
    if (!passed(*start) || !passed(*end)) return cudaErrorNotReady;
    *milliseconds = static_cast<float>(*end->milliseconds - *start->milliseconds);
    return cudaSuccess;
  });
}
