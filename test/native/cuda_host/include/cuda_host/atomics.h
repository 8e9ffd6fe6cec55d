// Atomic operations on 32 and 64 bits. Threads of a grid are fibers of one OS thread, so plain loads and stores are atomic.
#pragma once
#include <type_traits>

#include "cuda_host/execution.h"

namespace cuda_host {

// volatile: memory of a kernel is also touched through other names. Not instrumented: the access is told to the race detector as atomic.
template <class T, class F>
__attribute__((no_sanitize("thread"))) T atomic(T* address, F change) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "atomics are of 32 or 64 bits");
  race_atomic(address, sizeof(T));
  volatile T* p = address;
  const T old = *p;
  *p = change(old);
  return old;
}

}  // namespace cuda_host

#define CUDA_HOST_ATOMIC(name, expression)                                                   \
  template <class T>                                                                         \
  __attribute__((no_sanitize("thread"))) T name(T* address, std::type_identity_t<T> v) {     \
    return cuda_host::atomic(                                                                \
        address, [v](T o) __attribute__((no_sanitize("thread")))->T { return expression; }); \
  }                                                                                          \
  template <class T>                                                                         \
  T name##_block(T* address, std::type_identity_t<T> v) {                                    \
    return name(address, v);                                                                 \
  }
CUDA_HOST_ATOMIC(atomicAdd, o + v)
CUDA_HOST_ATOMIC(atomicSub, o - v)
CUDA_HOST_ATOMIC(atomicExch, (static_cast<void>(o), v))
CUDA_HOST_ATOMIC(atomicMin, v < o ? v : o)
CUDA_HOST_ATOMIC(atomicMax, v > o ? v : o)
CUDA_HOST_ATOMIC(atomicAnd, o& v)
CUDA_HOST_ATOMIC(atomicOr, o | v)
CUDA_HOST_ATOMIC(atomicXor, o ^ v)
CUDA_HOST_ATOMIC(atomicInc, o >= v ? 0 : o + 1)
CUDA_HOST_ATOMIC(atomicDec, o == 0 || o > v ? v : o - 1)
#undef CUDA_HOST_ATOMIC

template <class T>
__attribute__((no_sanitize("thread"))) T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> desired) {
  return cuda_host::atomic(
      address, [=](T o) __attribute__((no_sanitize("thread")))->T { return o == expected ? desired : o; });
}
