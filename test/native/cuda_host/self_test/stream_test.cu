// Streams, events, copies and graphs: what they promise holds, and faults of the host code are found.
#include <memory>

#include "test/native/cuda_host/self_test/right_kernels.cuh"
#include "test/native/cuda_host/self_test/tests.h"

using namespace self_test;
using aludel::cuda::launch;

namespace {

struct Event {
  cudaEvent_t e = nullptr;
  explicit Event(unsigned flags = cudaEventDisableTiming) { CHECK_CUDA(cudaEventCreateWithFlags(&e, flags)); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { cudaEventDestroy(e); }
};

struct Graph {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  template <class F>
  Graph(cudaStream_t s, F record) {
    CHECK_CUDA(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
    record();
    CHECK_CUDA(cudaStreamEndCapture(s, &graph));
    CHECK_CUDA(cudaGraphInstantiate(&exec, graph));
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph() {
    cudaGraphExecDestroy(exec);
    cudaGraphDestroy(graph);
  }
};

const std::vector<float> zeros(64, 0.0f);

}  // namespace

void stream_order() {
  for (const bool lazy : {false, true}) {
    const Set keep(cuda_host::config().lazy, lazy);
    const Stream a, b;
    const Event done, start(cudaEventDefault), end(cudaEventDefault);
    const Buffer<float> x(zeros);
    const Pinned<float> h(64);
    CHECK_CUDA(cudaEventRecord(start.e, a.s));
    CHECK_CUDA(launch(add_value, {1, 64, 0, a.s}, x.p, 3.0f));
    CHECK_CUDA(cudaEventRecord(done.e, a.s));
    CHECK_CUDA(cudaEventRecord(end.e, a.s));
    CHECK_CUDA(cudaStreamWaitEvent(b.s, done.e));
    CHECK_CUDA(launch(double_values, {1, 64, 0, b.s}, x.p));
    CHECK_CUDA(cudaMemcpyAsync(h.p, x.p, 256, cudaMemcpyDeviceToHost, b.s));
    CHECK(cudaStreamQuery(b.s) == (lazy ? cudaErrorNotReady : cudaSuccess));
    CHECK_CUDA(cudaStreamSynchronize(b.s));
    CHECK(h.p[0] == 6.0f && h.p[63] == 6.0f);
    while (cudaEventQuery(end.e) == cudaErrorNotReady) {
    }
    float milliseconds = -1;
    CHECK_CUDA(cudaEventElapsedTime(&milliseconds, start.e, end.e));
    CHECK(milliseconds >= 0);
    cudaGetLastError();
  }
  CHECK(clean());
}

// Pageable memory may be reused as soon as the call returns, also where the stream has not come to it.
void pageable_copies() {
  const Set keep(cuda_host::config().lazy, true);
  const Stream s;
  const Buffer<float> x(zeros);
  CHECK_CUDA(cudaDeviceSynchronize());
  std::vector<float> h(64, 5.0f);
  CHECK_CUDA(cudaMemcpyAsync(x.p, h.data(), 256, cudaMemcpyHostToDevice, s.s));
  std::fill(h.begin(), h.end(), 0.0f);
  CHECK_CUDA(launch(double_values, {1, 64, 0, s.s}, x.p));
  CHECK_CUDA(cudaMemcpyAsync(h.data(), x.p, 256, cudaMemcpyDeviceToHost, s.s));
  CHECK(h[0] == 10.0f && h[63] == 10.0f);
  CHECK(clean());
}

// The legacy stream waits for the blocking streams, and they for it.
void legacy_stream() {
  const Set keep(cuda_host::config().lazy, true);
  cudaStream_t blocking;
  CHECK_CUDA(cudaStreamCreate(&blocking));
  const Buffer<float> x(zeros);
  const Pinned<float> h(64);
  CHECK_CUDA(launch(add_value, {1, 64, 0, blocking}, x.p, 3.0f));
  CHECK_CUDA(launch(double_values, {1, 64}, x.p));
  CHECK_CUDA(launch(add_value, {1, 64, 0, blocking}, x.p, 1.0f));
  CHECK_CUDA(cudaMemcpyAsync(h.p, x.p, 256, cudaMemcpyDeviceToHost, blocking));
  CHECK_CUDA(cudaStreamSynchronize(nullptr));
  CHECK(h.p[63] == 7.0f);
  CHECK_CUDA(cudaStreamDestroy(blocking));
  CHECK(clean());
}

void missing_stream_synchronisation() {
  const Set keep(cuda_host::config().lazy, true);
  const Stream s;
  const Buffer<float> x(zeros);
  const Pinned<float> h(64);
  h.p[0] = -1;
  CHECK_CUDA(launch(add_value, {1, 64, 0, s.s}, x.p, 3.0f));
  CHECK_CUDA(cudaMemcpyAsync(h.p, x.p, 256, cudaMemcpyDeviceToHost, s.s));
  CHECK(h.p[0] == -1);  // nothing has waited for the stream
  CHECK_CUDA(cudaStreamSynchronize(s.s));
  CHECK(h.p[0] == 3.0f);
}

void missing_event() {
  const Set keep(cuda_host::config().lazy, true);
  const Stream a, b;
  const Buffer<float> x(zeros);
  const Pinned<float> h(64);
  CHECK_CUDA(cudaDeviceSynchronize());
  CHECK_CUDA(launch(add_value, {1, 64, 0, a.s}, x.p, 3.0f));
  CHECK_CUDA(cudaMemcpyAsync(h.p, x.p, 256, cudaMemcpyDeviceToHost, b.s));
  CHECK_CUDA(cudaStreamSynchronize(b.s));
  CHECK(h.p[0] == 0.0f);  // b came first
}

void host_touches_device_memory() {
  const std::string text = death([] {
    cuda_host::config().strict = true;
    const Buffer<float> x(zeros);
    std::fprintf(stderr, "read %g\n", x.p[3]);
  });
  CHECK(text.find(variant == "asan" ? "use-after-poison" : "host code: access of") != std::string::npos);
  CHECK(text.find("read") == std::string::npos || variant == "asan");
}

void strict_mode() {  // right programs run in it
  const Set keep(cuda_host::config().strict, true);
  const Buffer<float> x(zeros);
  CHECK_CUDA(launch(add_value, {1, 64}, x.p, 3.0f));
  CHECK(x.values()[63] == 3.0f);
  CHECK(clean());
}

void wrong_copy_direction() {
  const Buffer<float> x(64);
  std::vector<float> h(64);
  CHECK(cudaMemcpy(h.data(), x.p, 256, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(reported("wrong direction"));
  CHECK(cudaMemcpy(h.data(), x.p, 256, cudaMemcpyDefault) == cudaSuccess);
}

void copy_out_of_range() {
  const Buffer<float> x(64);
  std::vector<float> h(128);
  CHECK(cudaMemcpy(h.data(), x.p + 32, 256, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(reported("ends 128 bytes after its allocation"));
  CHECK(cudaMemset(x.p, 0, 257) == cudaErrorInvalidValue);
}

void double_free() {
  float* x;
  CHECK_CUDA(cudaMalloc(&x, 256));
  CHECK_CUDA(cudaFree(x));
  CHECK(cudaFree(x) == cudaErrorInvalidValue);
  CHECK(reported("no device allocation"));
  cudaStream_t s;
  CHECK_CUDA(cudaStreamCreate(&s));
  CHECK_CUDA(cudaStreamDestroy(s));
  CHECK(cudaStreamDestroy(s) == cudaErrorInvalidResourceHandle);
  float local;
  CHECK(cudaFreeHost(&local) == cudaErrorInvalidValue);
}

void graph_replay() {
  for (const bool lazy : {false, true})
    for (const unsigned seed : {0u, 1u, 5u}) {
      const Set keep_lazy(cuda_host::config().lazy, lazy);
      const Set keep_seed(cuda_host::config().seed, seed);
      const Stream s, t;
      const Event fork, join;
      const Buffer<float> x(zeros), y(zeros);
      const Graph g(s.s, [&] {
        CHECK_CUDA(launch(add_value, {1, 64, 0, s.s}, x.p, 1.0f));
        CHECK_CUDA(cudaEventRecord(fork.e, s.s));
        CHECK_CUDA(cudaStreamWaitEvent(t.s, fork.e));
        CHECK_CUDA(cudaMemcpyAsync(y.p, x.p, 256, cudaMemcpyDeviceToDevice, t.s));
        CHECK_CUDA(cudaEventRecord(join.e, t.s));
        CHECK_CUDA(cudaStreamWaitEvent(s.s, join.e));
        CHECK_CUDA(launch(double_values, {1, 64, 0, s.s}, x.p));
        cudaStreamCaptureStatus status;
        CHECK_CUDA(cudaStreamIsCapturing(t.s, &status));
        CHECK(status == cudaStreamCaptureStatusActive);
      });
      size_t nodes = 0;
      CHECK_CUDA(cudaGraphGetNodes(g.graph, nullptr, &nodes));
      CHECK(nodes == 3);
      CHECK(x.values()[0] == 0.0f);  // recorded, not run
      for (int i = 0; i < 3; ++i) CHECK_CUDA(cudaGraphLaunch(g.exec, s.s));
      CHECK(x.values()[63] == 14.0f && y.values()[63] == 7.0f);

      const Graph other(s.s, [&] { CHECK_CUDA(launch(add_value, {1, 64, 0, s.s}, x.p, 1.0f)); });
      const Graph same(s.s, [&] { CHECK_CUDA(launch(add_value, {1, 64, 0, s.s}, x.p, 10.0f)); });
      cudaGraphExecUpdateResultInfo info;
      CHECK(cudaGraphExecUpdate(g.exec, other.graph, &info) == cudaErrorGraphExecUpdateFailure);
      CHECK(info.result == cudaGraphExecUpdateErrorTopologyChanged);
      CHECK_CUDA(cudaGraphExecUpdate(other.exec, same.graph, &info));
      CHECK_CUDA(cudaGraphLaunch(other.exec, s.s));
      CHECK(x.values()[0] == 24.0f);
      cudaGetLastError();
    }
  CHECK(clean());
}

// A captured argument keeps its value: what the host changes later does not reach the graph.
void stale_graph_argument() {
  const Stream s;
  const Buffer<float> x(zeros);
  float value = 1.0f;
  const Graph g(s.s, [&] { CHECK_CUDA(launch(add_value, {1, 64, 0, s.s}, x.p, value)); });
  value = 100.0f;
  CHECK_CUDA(cudaGraphLaunch(g.exec, s.s));
  CHECK(x.values()[0] == 1.0f);
}

// Two branches that touch the same buffer without an edge: the result depends on the order.
void missing_graph_edge() {
  const Stream s, t;
  const Event fork, join;
  const Buffer<float> x(64);
  const Graph g(s.s, [&] {
    CHECK_CUDA(cudaMemsetAsync(x.p, 0, 256, s.s));
    CHECK_CUDA(cudaEventRecord(fork.e, s.s));
    CHECK_CUDA(cudaStreamWaitEvent(t.s, fork.e));
    CHECK_CUDA(launch(add_value, {1, 64, 0, s.s}, x.p, 1.0f));
    CHECK_CUDA(launch(double_values, {1, 64, 0, t.s}, x.p));
    CHECK_CUDA(cudaEventRecord(join.e, t.s));
    CHECK_CUDA(cudaStreamWaitEvent(s.s, join.e));
  });
  CHECK(!same_in_all_orders([&] {
    CHECK_CUDA(cudaGraphLaunch(g.exec, s.s));
    return x.values();
  }));
}

void freed_graph_argument() {
  const auto run = [] {
    const Stream s;
    auto x = std::make_unique<Buffer<float>>(64);
    const Graph g(s.s, [&] { CHECK_CUDA(launch(add_value, {1, 64, 0, s.s}, x->p, 1.0f)); });
    x.reset();
    CHECK_CUDA(cudaGraphLaunch(g.exec, s.s));
    CHECK(cudaStreamSynchronize(s.s) == cudaErrorIllegalAddress);
  };
  if (variant != "asan") return run();
  CHECK(death(run).find("heap-use-after-free") != std::string::npos);
}

void capture_errors() {
  const Stream s, t;
  const Event e;
  const Buffer<float> x(64);
  std::vector<float> h(64);
  cudaGraph_t graph;
  const auto invalidates = [&](cudaError_t expected, cudaStreamCaptureMode mode, auto forbidden) {
    CHECK_CUDA(cudaStreamBeginCapture(s.s, mode));
    CHECK(forbidden() == expected);
    cudaStreamCaptureStatus status;
    CHECK_CUDA(cudaStreamIsCapturing(s.s, &status));
    CHECK(status == cudaStreamCaptureStatusInvalidated);
    CHECK(launch(nothing, {1, 1, 0, s.s}) == cudaErrorStreamCaptureInvalidated);
    CHECK(cudaStreamEndCapture(s.s, &graph) == cudaErrorStreamCaptureInvalidated && !graph);
    cudaGetLastError();
  };
  constexpr auto local = cudaStreamCaptureModeThreadLocal, relaxed = cudaStreamCaptureModeRelaxed;
  invalidates(cudaErrorStreamCaptureUnsupported, relaxed, [&] { return cudaStreamSynchronize(s.s); });
  invalidates(cudaErrorStreamCaptureUnsupported, relaxed, [&] { return cudaStreamQuery(s.s); });
  invalidates(cudaErrorStreamCaptureUnsupported, relaxed, [&] { return cudaDeviceSynchronize(); });
  invalidates(cudaErrorStreamCaptureUnsupported, local, [&] { return cudaMemcpy(h.data(), x.p, 256, cudaMemcpyDeviceToHost); });
  invalidates(cudaErrorStreamCaptureUnsupported, local, [&] {
    void* p;
    return cudaMalloc(&p, 4);
  });
  CHECK_CUDA(cudaEventRecord(e.e, t.s));
  invalidates(cudaErrorStreamCaptureIsolation, relaxed, [&] { return cudaStreamWaitEvent(s.s, e.e); });

  void* p;
  CHECK_CUDA(cudaStreamBeginCapture(s.s, relaxed));
  CHECK_CUDA(cudaMalloc(&p, 4));
  CHECK_CUDA(cudaFree(p));
  CHECK_CUDA(cudaEventRecord(e.e, s.s));
  CHECK(cudaEventSynchronize(e.e) == cudaErrorCapturedEvent);
  CHECK_CUDA(cudaStreamWaitEvent(t.s, e.e));
  CHECK_CUDA(launch(nothing, {1, 1, 0, t.s}));
  CHECK(cudaStreamEndCapture(s.s, &graph) == cudaErrorStreamCaptureUnjoined && !graph);
  CHECK(cudaStreamEndCapture(s.s, &graph) == cudaErrorIllegalState);
  CHECK(cudaStreamBeginCapture(nullptr, relaxed) == cudaErrorStreamCaptureUnsupported);
  CHECK_CUDA(launch(nothing, {1, 1, 0, t.s}));
  cudaGetLastError();
  CHECK(clean());
}
