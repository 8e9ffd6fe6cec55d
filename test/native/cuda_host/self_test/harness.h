// What the self tests share: buffers, random data, runs under many schedules, and counting of what was reported.
#pragma once
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "cuda_host/control.h"
#include "native/cuda/launch.cuh"
#include "test/native/check.h"

inline const std::string variant = ALUDEL_CUDA_HOST_VARIANT;

#define CHECK_CUDA(expression)                                                                                 \
  do {                                                                                                         \
    const cudaError_t check_error = (expression);                                                              \
    if (check_error != cudaSuccess) {                                                                          \
      std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #expression, cudaGetErrorName(check_error)); \
      std::exit(1);                                                                                            \
    }                                                                                                          \
  } while (0)

// Device memory, freed with its owner.
template <class T>
struct Buffer {
  T* p = nullptr;
  size_t n;
  explicit Buffer(size_t count) : n(count) { CHECK_CUDA(cudaMalloc(&p, n * sizeof(T))); }
  explicit Buffer(const std::vector<T>& values) : Buffer(values.size()) {
    CHECK_CUDA(cudaMemcpy(p, values.data(), n * sizeof(T), cudaMemcpyHostToDevice));
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { cudaFree(p); }
  void fill(int byte) const { CHECK_CUDA(cudaMemset(p, byte, n * sizeof(T))); }
  std::vector<T> values() const {
    std::vector<T> v(n);
    CHECK_CUDA(cudaDeviceSynchronize());
    CHECK_CUDA(cudaMemcpy(v.data(), p, n * sizeof(T), cudaMemcpyDeviceToHost));
    return v;
  }
};

// Page-locked host memory: copies touch it when their stream comes to them.
template <class T>
struct Pinned {
  T* p = nullptr;
  explicit Pinned(size_t count) { CHECK_CUDA(cudaMallocHost(&p, count * sizeof(T))); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  ~Pinned() { cudaFreeHost(p); }
};

struct Stream {
  cudaStream_t s = nullptr;
  Stream() { CHECK_CUDA(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking)); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { cudaStreamDestroy(s); }
};

// Sets a setting for the life of the object.
template <class T>
struct Set {
  T& field;
  const T old;
  Set(T& f, std::type_identity_t<T> value) : field(f), old(f) { f = value; }
  ~Set() { field = old; }
  Set(const Set&) = delete;
  Set& operator=(const Set&) = delete;
};

std::vector<float> normal(size_t n, unsigned seed, float scale = 1);

// f returns an output. True if it is the same bit for bit in all orders; a run that ends in an error makes it false.
template <class F>
bool same_in_all_orders(F f, unsigned seeds = 8) {
  const Set keep(cuda_host::config().seed, 0);
  const auto reference = f();
  for (unsigned seed = 1; seed < seeds; ++seed) {
    cuda_host::config().seed = seed;
    const auto output = f();
    if (output.size() != reference.size() || std::memcmp(output.data(), reference.data(), output.size() * sizeof output[0]) != 0)
      return false;
  }
  return true;
}

bool reported(const char* part);  // the last report says so
bool clean();                     // nothing reported and no error
// Runs f in a child process and returns what it printed to stderr; fails if the child ended well.
std::string death(const std::function<void()>& f);
