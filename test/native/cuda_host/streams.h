// Streams as queues of jobs, events as marks in them, and capture, which turns jobs into nodes of a graph.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "cuda_host/library_work.h"
#include "cuda_host/runtime_api.h"

namespace cuda_host {

using Job = std::function<void()>;

struct Queue {
  std::deque<Job> jobs;
  uint64_t done = 0, tail = 0;  // jobs run and jobs submitted since the beginning
  int device = 0;
  bool blocking = true;  // ordered against the legacy stream
};

struct Node {
  cudaGraphNodeType kind;
  Job job;
  std::vector<size_t> after;  // earlier nodes of the graph
};
using Nodes = std::vector<Node>;

struct Capture {
  std::unique_ptr<CUgraph_st> graph;
  cudaStream_t origin = nullptr;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;
  bool invalid = false;
  std::set<cudaStream_t> streams;
};

// Everything that runs on a device comes through here: it runs at once, or waits in lazy mode, or becomes a node where the stream is
// captured.
cudaError_t submit(cudaStream_t stream, cudaGraphNodeType kind, Job job);
bool valid_stream(cudaStream_t stream);
bool capturing(cudaStream_t stream);
int device_of(cudaStream_t stream);
void drain(Queue& queue, uint64_t until);
void drain_stream(cudaStream_t stream);
void drain_device(int device);
void drain_all();

// The error of a call that may not be made now because this thread, or another in global mode, captures; the capture is then invalid.
cudaError_t forbidden_while_capturing();
// The same for waiting on this stream.
cudaError_t forbidden_on(cudaStream_t stream);
cudaError_t forbidden_on_device(int device);

}  // namespace cuda_host

struct CUgraph_st {
  cuda_host::Nodes nodes;
};
struct CUgraphExec_st {
  std::shared_ptr<const cuda_host::Nodes> nodes;
};
struct CUstream_st : cuda_host::LibraryWork {
  std::shared_ptr<cuda_host::Queue> queue;
  std::shared_ptr<cuda_host::Capture> capture;
  std::vector<size_t> last;  // nodes that the next one comes after
};
struct CUevent_st {
  int device = 0;
  bool timed = true;
  std::shared_ptr<cuda_host::Queue> queue;  // null until recorded
  uint64_t mark = 0;
  std::shared_ptr<double> milliseconds;
  std::shared_ptr<cuda_host::Capture> capture;  // the capture it was last recorded in
  std::vector<size_t> last;
};
