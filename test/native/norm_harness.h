// Runs one kernel alone: owned tensors of exact size, a stand-in for the executor with any number of threads, poisoned memory.
#pragma once
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "native/core/kernel.h"

namespace aludel::testing {

using Dims = std::vector<int64_t>;

// A float32 tensor with its own allocation, so that address sanitizer sees every step outside it.
struct Tensor {
  Dims dims;
  std::vector<float> data;

  Tensor() = default;
  explicit Tensor(Dims shape, float value = 0) : dims(std::move(shape)) {
    int64_t n = 1;
    for (int64_t d : dims) n *= d;
    data.assign((size_t)n, value);
    data.shrink_to_fit();
  }
  TensorRef ref() {
    TensorRef r{DType::f32, (int32_t)dims.size(), {}, data.data()};
    for (size_t i = 0; i < dims.size(); ++i) r.dims[i] = dims[i];
    return r;
  }
};

// xorshift: the same numbers on every machine.
struct Random {
  uint64_t state = 0x9E3779B97F4A7C15u;
  double uniform() {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (double)(state >> 11) / 9007199254740992.0;
  }
  double normal() {  // sum of uniforms: bounded, close enough
    double sum = 0;
    for (int i = 0; i < 6; ++i) sum += uniform();
    return (sum - 3) * 1.41421356;
  }
  void fill(Tensor& t, double scale = 1, double offset = 0) {
    for (float& v : t.data) v = (float)(normal() * scale + offset);
  }
};

// Tasks are handed out from the last to the first; scratch and shared memory have their exact size and start as NaN: nothing may depend
// on any of this.
struct ThreadedExec : Exec {
  int threads;
  int64_t scratch_bytes;

  ThreadedExec(int threads_, const Kernel& kernel, const KernelArgs& args)
      : Exec{run_tasks, false}, threads(threads_), scratch_bytes(kernel.scratch_bytes ? kernel.scratch_bytes(args) : 0) {
    shared = poisoned(kernel.shared_bytes ? kernel.shared_bytes(args) : 0);
  }
  ThreadedExec(const ThreadedExec&) = delete;
  ~ThreadedExec() { std::free(shared); }

  static void* poisoned(int64_t bytes) {
    void* memory = nullptr;
    if (bytes > 0 && posix_memalign(&memory, 64, (size_t)bytes) == 0) std::memset(memory, 0xFF, (size_t)bytes);
    return memory;
  }

  static void run_tasks(Exec* self, int64_t tasks, void (*body)(void*, int64_t, void*), void* context) {
    auto* exec = static_cast<ThreadedExec*>(self);
    std::atomic<int64_t> left{tasks};
    const auto work = [&] {
      void* scratch = poisoned(exec->scratch_bytes);
      for (int64_t task; (task = --left) >= 0;) body(context, task, scratch);
      std::free(scratch);
    };
    std::vector<std::thread> pool;
    for (int i = 1; i < exec->threads; ++i) pool.emplace_back(work);
    work();
    for (std::thread& t : pool) t.join();
  }
};

struct Call {
  std::vector<TensorRef> in, out;
  std::vector<double> attrs;

  Call(const std::vector<Tensor*>& inputs, const std::vector<Tensor*>& outputs, std::vector<double> attributes)
      : attrs(std::move(attributes)) {
    for (Tensor* t : inputs) in.push_back(t->ref());
    for (Tensor* t : outputs) out.push_back(t->ref());
  }
  KernelArgs args() const {
    KernelArgs a{};
    a.in = in.data(), a.nin = (int)in.size(), a.out = out.data(), a.nout = (int)out.size();
    a.attrs = attrs.data(), a.nattrs = (int)attrs.size();
    return a;
  }
  Status check(const Kernel& kernel) const { return kernel.check(args()); }
  // check, then run on outputs full of NaN.
  Status run(const Kernel& kernel, int threads) const {
    const KernelArgs a = args();
    ALUDEL_RETURN_IF_ERROR(kernel.check(a));
    for (const TensorRef& t : out) {
      if (t.numel() > 0) std::memset(t.data, 0xFF, (size_t)t.bytes());
    }
    ThreadedExec exec(threads, kernel, a);
    return kernel.run(a, exec);
  }
};

}  // namespace aludel::testing
