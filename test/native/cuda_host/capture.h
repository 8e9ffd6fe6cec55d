// Stream capture: what streams and events ask while a graph is made of their calls.
#pragma once
#include "test/native/cuda_host/streams.h"

namespace cuda_host {

cudaError_t capture_node(cudaStream_t stream, cudaGraphNodeType kind, Job job);
// `stream` waits for an event that was recorded in a capture and takes part in it from now on.
cudaError_t join_capture(cudaStream_t stream, const CUevent_st& event);
void invalidate(Capture& capture);
void abandon_capture(const std::shared_ptr<Capture>& capture);  // its streams are free again
// The error of work in the legacy stream, which would wait for a blocking stream that is captured.
cudaError_t forbidden_on_legacy(int device);
std::shared_ptr<Queue> queue_behind(cudaStream_t stream);
cudaGraph_t adopt_graph(std::unique_ptr<CUgraph_st> graph);  // a handle that the graph calls know

}  // namespace cuda_host
