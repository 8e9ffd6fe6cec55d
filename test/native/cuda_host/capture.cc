// Captures. Launches and copies become nodes that come after the stream's last one; arguments were copied when the job was made.
#include "test/native/cuda_host/capture.h"

#include <algorithm>

#include "test/native/cuda_host/calls.h"

namespace cuda_host {
namespace {

std::vector<std::shared_ptr<Capture>>& captures() {
  static auto& all = *new std::vector<std::shared_ptr<Capture>>;
  return all;
}
constinit thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;

void add(std::vector<size_t>& to, const std::vector<size_t>& more) {
  to.insert(to.end(), more.begin(), more.end());
  std::sort(to.begin(), to.end());
  to.erase(std::unique(to.begin(), to.end()), to.end());
}

// Whether all nodes that other streams ended with come before those that the origin ended with.
bool joined(const Capture& capture) {
  const Nodes& nodes = capture.graph->nodes;
  std::vector<bool> reached(nodes.size());
  std::vector<size_t> open = capture.origin->last;
  while (!open.empty()) {
    const size_t i = open.back();
    open.pop_back();
    if (reached[i]) continue;
    reached[i] = true;
    open.insert(open.end(), nodes[i].after.begin(), nodes[i].after.end());
  }
  for (const cudaStream_t stream : capture.streams)
    for (const size_t i : stream->last)
      if (!reached[i]) return false;
  return true;
}

}  // namespace

void invalidate(Capture& capture) { capture.invalid = true; }

void abandon_capture(const std::shared_ptr<Capture>& capture) {
  const std::shared_ptr<Capture> kept = capture;  // the reference may be to a member of a stream
  for (const cudaStream_t stream : kept->streams) {
    stream->capture = nullptr;
    stream->last.clear();
  }
  std::erase(captures(), kept);
}

cudaError_t capture_node(cudaStream_t stream, cudaGraphNodeType kind, Job job) {
  Capture& capture = *stream->capture;
  if (capture.invalid) return cudaErrorStreamCaptureInvalidated;
  capture.graph->nodes.push_back({kind, std::move(job), stream->last});
  stream->last = {capture.graph->nodes.size() - 1};
  return cudaSuccess;
}

cudaError_t join_capture(cudaStream_t stream, const CUevent_st& event) {
  if (std::find(captures().begin(), captures().end(), event.capture) == captures().end()) return cudaErrorCapturedEvent;
  if (!stream || stream == cudaStreamLegacy) {
    invalidate(*event.capture);
    return cudaErrorStreamCaptureImplicit;
  }
  if (stream->capture && stream->capture != event.capture) {
    invalidate(*stream->capture);
    invalidate(*event.capture);
    return cudaErrorStreamCaptureMerge;
  }
  if (event.capture->invalid) return cudaErrorStreamCaptureInvalidated;
  stream->capture = event.capture;
  event.capture->streams.insert(stream);
  add(stream->last, event.last);
  return cudaSuccess;
}

cudaError_t forbidden_while_capturing() {
  if (thread_mode == cudaStreamCaptureModeRelaxed) return cudaSuccess;
  cudaError_t error = cudaSuccess;
  for (const auto& capture : captures()) {
    const bool own = capture->thread == std::this_thread::get_id();
    if (capture->mode == cudaStreamCaptureModeRelaxed || (capture->mode == cudaStreamCaptureModeThreadLocal && !own)) continue;
    if (thread_mode == cudaStreamCaptureModeThreadLocal && !own) continue;
    invalidate(*capture);
    error = cudaErrorStreamCaptureUnsupported;
  }
  return error;
}

cudaError_t forbidden_on(cudaStream_t stream) {
  if (capturing(stream)) {
    invalidate(*stream->capture);
    return cudaErrorStreamCaptureUnsupported;
  }
  if (!stream || stream == cudaStreamLegacy)
    if (const cudaError_t error = forbidden_on_legacy(device_of(stream)); error != cudaSuccess) return error;
  return forbidden_while_capturing();
}

cudaError_t forbidden_on_device(int device) {
  cudaError_t error = cudaSuccess;
  for (const auto& capture : captures())
    if (device_of(capture->origin) == device) {
      invalidate(*capture);
      error = cudaErrorStreamCaptureUnsupported;
    }
  return error;
}

cudaError_t forbidden_on_legacy(int device) {
  cudaError_t error = cudaSuccess;
  for (const auto& capture : captures())
    for (const cudaStream_t stream : capture->streams)
      if (stream->queue->blocking && stream->queue->device == device) {
        invalidate(*capture);
        error = cudaErrorStreamCaptureImplicit;
      }
  return error;
}

}  // namespace cuda_host

using namespace cuda_host;

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return call([&] {
    if (!valid_stream(stream)) return cudaErrorInvalidResourceHandle;
    if (!stream || stream == cudaStreamLegacy) return cudaErrorStreamCaptureUnsupported;
    if (stream->capture) return cudaErrorIllegalState;
    auto capture = std::make_shared<Capture>();
    capture->graph = std::make_unique<CUgraph_st>();
    capture->origin = stream;
    capture->mode = mode;
    capture->thread = std::this_thread::get_id();
    capture->streams = {stream};
    stream->capture = capture;
    stream->last.clear();
    captures().push_back(std::move(capture));
    return cudaSuccess;
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  return release_call([&] {
    if (!valid_stream(stream)) return cudaErrorInvalidResourceHandle;
    if (!capturing(stream)) return cudaErrorIllegalState;
    const std::shared_ptr<Capture> capture = stream->capture;
    if (capture->mode != cudaStreamCaptureModeRelaxed && capture->thread != std::this_thread::get_id())
      return cudaErrorStreamCaptureWrongThread;
    if (capture->origin != stream) {
      invalidate(*capture);
      return cudaErrorStreamCaptureUnmatched;
    }
    const bool all_joined = joined(*capture);
    abandon_capture(capture);
    if (capture->invalid) return cudaErrorStreamCaptureInvalidated;
    if (!all_joined) return cudaErrorStreamCaptureUnjoined;
    *graph = adopt_graph(std::move(capture->graph));
    return cudaSuccess;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return call([&] {
    if (!valid_stream(stream)) return cudaErrorInvalidResourceHandle;
    *status = !capturing(stream)         ? cudaStreamCaptureStatusNone
              : stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                         : cudaStreamCaptureStatusActive;
    return cudaSuccess;
  });
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(*mode, thread_mode);
  return cudaSuccess;
}
