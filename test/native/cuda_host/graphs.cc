// Graphs: nodes run in an order that the seed chooses among those that their edges allow, so that a missing edge shows.
#include <algorithm>
#include <set>

#include "cuda_host/control.h"
#include "test/native/cuda_host/calls.h"
#include "test/native/cuda_host/capture.h"
#include "test/native/cuda_host/devices.h"

namespace cuda_host {
namespace {

std::set<cudaGraph_t>& graphs() {
  static auto& all = *new std::set<cudaGraph_t>;
  return all;
}
std::set<cudaGraphExec_t>& execs() {
  static auto& all = *new std::set<cudaGraphExec_t>;
  return all;
}

void run(const Nodes& nodes) {
  std::vector<size_t> missing(nodes.size()), ready;
  std::vector<std::vector<size_t>> before(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    missing[i] = nodes[i].after.size();
    for (const size_t j : nodes[i].after) before[j].push_back(i);
    if (missing[i] == 0) ready.push_back(i);
  }
  const unsigned seed = config().seed;
  uint64_t random = seed * 0x9e3779b97f4a7c15ull;
  while (!ready.empty()) {
    random = random * 6364136223846793005ull + 1442695040888963407ull;
    const auto next = seed == 0   ? std::min_element(ready.begin(), ready.end())
                      : seed == 1 ? std::max_element(ready.begin(), ready.end())
                                  : ready.begin() + static_cast<ptrdiff_t>((random >> 33) % ready.size());
    const size_t i = *next;
    ready.erase(next);
    if (nodes[i].job) nodes[i].job();
    for (const size_t j : before[i])
      if (--missing[j] == 0) ready.push_back(j);
  }
}

}  // namespace

cudaGraph_t adopt_graph(std::unique_ptr<CUgraph_st> graph) {
  graphs().insert(graph.get());
  return graph.release();
}

}  // namespace cuda_host

using namespace cuda_host;

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  return call([&] {
    if (!graphs().count(graph)) return cudaErrorInvalidValue;
    const size_t all = graph->nodes.size();
    if (nodes)
      for (size_t i = 0; i < *count; ++i) nodes[i] = i < all ? reinterpret_cast<cudaGraphNode_t>(&graph->nodes[i]) : nullptr;
    *count = nodes ? std::min(*count, all) : all;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* type) {
  if (!node) return remember(cudaErrorInvalidValue);
  *type = reinterpret_cast<const Node*>(node)->kind;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  return call([&] {
    if (!graphs().count(graph)) return cudaErrorInvalidValue;
    *exec = new CUgraphExec_st{std::make_shared<const Nodes>(graph->nodes)};
    execs().insert(*exec);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph, cudaGraphExecUpdateResultInfo* info) {
  return call([&] {
    if (!graphs().count(graph) || !execs().count(exec)) return cudaErrorInvalidValue;
    const Nodes &old = *exec->nodes, &next = graph->nodes;
    *info = {cudaGraphExecUpdateSuccess, nullptr, nullptr};
    if (old.size() != next.size()) info->result = cudaGraphExecUpdateErrorTopologyChanged;
    for (size_t i = 0; i < next.size() && info->result == cudaGraphExecUpdateSuccess; ++i) {
      if (old[i].kind != next[i].kind) info->result = cudaGraphExecUpdateErrorNodeTypeChanged;
      if (old[i].after != next[i].after) info->result = cudaGraphExecUpdateErrorTopologyChanged;
    }
    if (info->result != cudaGraphExecUpdateSuccess) return cudaErrorGraphExecUpdateFailure;
    exec->nodes = std::make_shared<const Nodes>(next);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream) {
  return call([&] { return execs().count(exec) && valid_stream(stream) ? cudaSuccess : cudaErrorInvalidValue; });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  return call([&] {
    if (!execs().count(exec)) return cudaErrorInvalidValue;
    return submit(stream, cudaGraphNodeTypeGraph, [nodes = exec->nodes] { run(*nodes); });
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return release_call([&] {
    if (!graphs().erase(graph)) return cudaErrorInvalidValue;
    delete graph;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  return release_call([&] {
    if (!execs().erase(exec)) return cudaErrorInvalidValue;
    delete exec;
    return cudaSuccess;
  });
}
