// Runs one instruction alone: tensors of exact size, a stand-in for the executor with any number of threads, poisoned scratch.
// Every kernel call is made with 1, 2 and 3 threads, and the bits must agree.
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "native/core/kernel.h"

namespace aludel::testing {

using Dims = std::vector<int64_t>;

inline int failures = 0;
inline void expect(bool ok, const std::string& what) {
  if (!ok && ++failures <= 30) std::printf("FAIL %s\n", what.c_str());
}

struct Tensor {
  DType dtype = DType::f32;
  Dims dims;
  std::vector<char> bytes;

  Tensor() = default;
  Tensor(DType type, const Dims& d) : dtype(type), dims(d), bytes(size_t(count() * size_of(type))) {}
  int64_t count() const {
    int64_t n = 1;
    for (int64_t d : dims) n *= d;
    return n;
  }
  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(bytes.data());
  }
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(bytes.data());
  }
  double get(int64_t i) const {
    switch (dtype) {
      case DType::f32:
        return double(as<float>()[i]);
      case DType::f64:
        return as<double>()[i];
      case DType::i32:
        return as<int32_t>()[i];
      case DType::u32:
        return as<uint32_t>()[i];
      default:
        return as<uint8_t>()[i];
    }
  }
  void set(int64_t i, double v) {
    switch (dtype) {
      case DType::f32:
        as<float>()[i] = float(v);
        break;
      case DType::f64:
        as<double>()[i] = v;
        break;
      case DType::i32:
        as<int32_t>()[i] = int32_t(v);
        break;
      case DType::u32:
        as<uint32_t>()[i] = uint32_t(v);
        break;
      default:
        as<uint8_t>()[i] = uint8_t(v);
    }
  }
  TensorRef ref(bool with_data) const {
    TensorRef r{dtype, int32_t(dims.size()), {}, with_data ? const_cast<char*>(bytes.data()) : nullptr};
    for (size_t i = 0; i < dims.size(); ++i) r.dims[i] = dims[i];
    return r;
  }
};

inline uint32_t next_random() {
  static uint32_t state = 12345;
  state = state * 1664525u + 1013904223u;
  return state >> 8;
}
inline double uniform(double low, double high) { return low + (high - low) * double(next_random()) / 16777216.0; }
inline Tensor random_tensor(DType dtype, const Dims& dims, double low = -2, double high = 2) {
  Tensor t(dtype, dims);
  for (int64_t i = 0; i < t.count(); ++i) t.set(i, uniform(low, high));
  return t;
}
inline Tensor tensor_of(DType dtype, const Dims& dims, const std::vector<double>& values) {
  Tensor t(dtype, dims);
  for (int64_t i = 0; i < t.count(); ++i) t.set(i, values[size_t(i)]);
  return t;
}

struct FakeExec : Exec {
  int threads;
  int64_t scratch_bytes;

  FakeExec(int threads_, int64_t scratch) : Exec{}, threads(threads_), scratch_bytes(scratch) { parallel = &FakeExec::spread; }

  // Tasks go to whichever thread asks first; scratch starts as NaN, so that nothing can lean on its contents.
  static void spread(Exec* self, int64_t tasks, void (*body)(void*, int64_t, void*), void* context) {
    auto* exec = static_cast<FakeExec*>(self);
    std::atomic<int64_t> next{0};
    auto work = [&] {
      size_t size = size_t((exec->scratch_bytes + 63) / 64 * 64);
      void* scratch = size ? std::aligned_alloc(64, size) : nullptr;
      if (size) std::memset(scratch, 0xff, size);
      for (int64_t task; (task = next.fetch_add(1)) < tasks;) body(context, task, scratch);
      std::free(scratch);
    };
    std::vector<std::thread> others;
    for (int i = 1; i < exec->threads; ++i) others.emplace_back(work);
    work();
    for (auto& t : others) t.join();
  }
};

struct Call {
  const Kernel* kernel;
  std::vector<const Tensor*> in;
  std::vector<Tensor*> out;
  std::vector<double> attrs = {};
  int opcode = 0;
  bool first_slice = false;

  Status check() const {
    return with(false, [&](const KernelArgs& args) { return kernel->check(args); });
  }
  Status run(int threads) const {
    return with(true, [&](const KernelArgs& args) {
      FakeExec exec(threads, kernel->scratch_bytes ? kernel->scratch_bytes(args) : 0);
      exec.first_slice = first_slice;
      const int64_t bytes = kernel->shared_bytes ? kernel->shared_bytes(args) : 0;
      if (bytes > 0) {
        exec.shared = std::aligned_alloc(64, size_t((bytes + 63) / 64 * 64));
        std::memset(exec.shared, 0xff, size_t(bytes));
      }
      const Status status = kernel->run(args, exec);
      std::free(exec.shared);
      return status;
    });
  }

 private:
  Status with(bool data, const std::function<Status(const KernelArgs&)>& f) const {
    std::vector<TensorRef> ins, outs;
    for (auto* t : in) ins.push_back(t->ref(data));
    for (auto* t : out) outs.push_back(t->ref(data));
    return f({opcode, ins.data(), int(ins.size()), outs.data(), int(outs.size()), attrs.data(), int(attrs.size())});
  }
};

// check, then run with 1, 2 and 3 threads over outputs filled with garbage; false and a report when anything fails.
inline bool run_all(const Call& call, const std::string& what) {
  Status status = call.check();
  expect(status.ok(), what + ": check: " + status.message);
  if (!status.ok()) return false;
  std::vector<std::vector<char>> first;
  for (int threads = 1; threads <= 3; ++threads) {
    for (auto* t : call.out) std::fill(t->bytes.begin(), t->bytes.end(), char(0x7f));
    status = call.run(threads);
    expect(status.ok(), what + ": run: " + status.message);
    if (!status.ok()) return false;
    for (size_t i = 0; i < call.out.size(); ++i) {
      if (threads == 1)
        first.push_back(call.out[i]->bytes);
      else
        expect(first[i] == call.out[i]->bytes, what + ": bits differ with " + std::to_string(threads) + " threads");
    }
  }
  return true;
}

inline void refuses(const Call& call, const std::string& what) {
  expect(call.check().code == Code::invalid_program, what + ": check accepts it");
}

// |got - want| <= tolerance * (1 + |want|); infinities and NaN must match.
inline void near(double got, double want, double tolerance, const std::string& what) {
  bool ok = std::isnan(want)   ? std::isnan(got)
            : std::isinf(want) ? got == want
                               : std::fabs(got - want) <= tolerance * (1 + std::fabs(want));
  if (!ok) expect(false, what + ": got " + std::to_string(got) + ", expected " + std::to_string(want));
}

}  // namespace aludel::testing
