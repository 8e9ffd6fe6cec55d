// How the softmax kernels hold rows of K classes; each reads a row from memory once.
//   ThreadRow   K <= 32: a block of rows goes through shared memory, where every thread has a row of its own
//   WarpRow     K <= 1024: one warp, the row in its registers
//   StreamRow   any K, float64 too: one block (or warp), which reads again from the caches in every pass
// A holder's each(f) calls f(i, k) for the classes k that this thread looks at, whose numbers are z[i], t[i], u[i], out[i]; largest(x) and
// total(x) are those of the threads of the row, for all of them. An op is a struct of static members:
//   kTargets, kDirections, kWrites    whether soft targets t and rows u are read, and rows `out` are written (where z is, but for
//   StreamRow) row(h, a, r, z, t, u, out)        row r, at its end with h.leads() for what only one thread writes
// Where !kKeeps, z must not be written.
#pragma once
#include "native/cuda/kernels/channels.cuh"

namespace aludel::cuda {
namespace {

constexpr int64_t kNarrow = 32, kWide = 1024;
constexpr int kRowThreads = 128;  // rows of a block of ThreadRows
constexpr int kCommon = 10;       // classes, as the common small sets have: rows in registers

struct SoftmaxArgs {
  int64_t rows;
  int K;
  const float *z, *targets, *g, *u;
  const int32_t* labels;
  float *out, *first, *second;  // rows; one number a row
};

__device__ __forceinline__ float log1p_of(float x) { return log1pf(x); }
__device__ __forceinline__ double log1p_of(double x) { return log1p(x); }
__device__ __forceinline__ float log_of(float x) { return logf(x); }
__device__ __forceinline__ double log_of(double x) { return log(x); }
__device__ __forceinline__ float sqrt_of(float x) { return sqrtf(x); }
__device__ __forceinline__ double sqrt_of(double x) { return sqrt(x); }
__device__ __forceinline__ float exp_of(float x) { return expf(x); }
__device__ __forceinline__ double exp_of(double x) { return exp(x); }

// The larger. Passes over NaN, which exp(NaN - max) then carries on.
template <typename T>
__device__ __forceinline__ T larger(T a, T best) {
  return a > best ? a : best;
}

// ---- holders --------------------------------------------------------------------------------------------------------------------

// KC: the number of classes where it is a constant; 0 otherwise.
template <int KC>
struct ThreadRow {
  typedef float Number;   // of z
  typedef float Partial;  // of a thread
  typedef float Sum;      // over the row
  typedef float Final;    // what logarithms and roots are taken in
  static constexpr bool kKeeps = true;
  int K;

  template <typename F>
  __device__ __forceinline__ void each(const F& f) const {
    if constexpr (KC > 0) {
#pragma unroll
      for (int k = 0; k < KC; ++k) f(k, k);
    } else {
#pragma unroll 4
      for (int k = 0; k < K; ++k) f(k, k);
    }
  }
  __device__ __forceinline__ float largest(float x) const { return x; }
  __device__ __forceinline__ float total(float x) const { return x; }
  __device__ __forceinline__ bool leads() const { return true; }
};

// V elements a thread, side by side in fours where VECTORS.
template <int V, bool VECTORS>
struct WarpRow {
  typedef float Number, Partial, Final;
  typedef double Sum;
  static constexpr bool kKeeps = true;
  int K, lane;

  __device__ __forceinline__ int index(int i) const { return VECTORS ? (i / 4 * 32 + lane) * 4 + i % 4 : i * 32 + lane; }
  __device__ __forceinline__ void read(const float* from, float beyond, float (&to)[V]) const {
    if constexpr (VECTORS) {
#pragma unroll
      for (int i = 0; i < V; i += 4) {
        Vec<4> q{{beyond, beyond, beyond, beyond}};
        if (index(i) < K) q = load<4>(from + index(i));
#pragma unroll
        for (int j = 0; j < 4; ++j) to[i + j] = q.v[j];
      }
    } else {
#pragma unroll
      for (int i = 0; i < V; ++i) to[i] = index(i) < K ? from[index(i)] : beyond;
    }
  }
  __device__ __forceinline__ void write(const float (&v)[V], float* to) const {
    if constexpr (VECTORS) {
#pragma unroll
      for (int i = 0; i < V; i += 4)
        if (index(i) < K) store(to + index(i), Vec<4>{{v[i], v[i + 1], v[i + 2], v[i + 3]}});
    } else {
#pragma unroll
      for (int i = 0; i < V; ++i)
        if (index(i) < K) to[index(i)] = v[i];
    }
  }
  template <typename F>
  __device__ __forceinline__ void each(const F& f) const {
#pragma unroll
    for (int i = 0; i < V; ++i) f(i, index(i));
  }
  __device__ __forceinline__ float largest(float x) const {
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) x = larger(__shfl_xor_sync(kAllLanes, x, offset), x);
    return x;
  }
  __device__ __forceinline__ double total(float x) const { return sum_warp(static_cast<double>(x)); }
  __device__ __forceinline__ bool leads() const { return lane == 0; }
};

template <typename T, int THREADS>
struct StreamRow {
  typedef T Number;
  typedef double Partial, Sum, Final;
  static constexpr bool kKeeps = false;
  int K, thread;
  double* shared;  // kWarps + 1

  template <typename F>
  __device__ __forceinline__ void each(const F& f) const {
#pragma unroll 4
    for (int64_t k = thread; k < K; k += THREADS) f(k, static_cast<int>(k));
  }
  template <typename F>
  __device__ __forceinline__ double join(double x, const F& f) const {
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) x = f(__shfl_xor_sync(kAllLanes, x, offset), x);
    if constexpr (THREADS == 32) return x;
    if (thread % 32 == 0) shared[thread / 32] = x;
    __syncthreads();
    x = shared[0];
    for (int warp = 1; warp < THREADS / 32; ++warp) x = f(shared[warp], x);
    __syncthreads();
    return x;
  }
  __device__ __forceinline__ T largest(T x) const {
    return static_cast<T>(join(static_cast<double>(x), [](double a, double b) { return larger(a, b); }));
  }
  __device__ __forceinline__ double total(double x) const {
    return join(x, [](double a, double b) { return a + b; });
  }
  __device__ __forceinline__ bool leads() const { return thread == 0; }
};

template <typename H, typename Z>
__device__ __forceinline__ typename H::Number row_max(const H& h, const Z& z) {
  typename H::Number best = -INFINITY;
  h.each([&](auto i, int) { best = larger(z[i], best); });
  return h.largest(best);
}

// ---- rows in shared memory --------------------------------------------------------------------------------------------------------

// K % 4 == 0 would put neighbouring rows into the same banks.
__host__ __device__ constexpr int row_stride(int K) { return K % 4 == 0 ? K + 1 : K; }

// Rows of a block between memory and shared memory, neighbouring threads at neighbouring elements.
template <bool STORE, typename M>
__device__ __forceinline__ void move_rows(float* shared, M* memory, int rows, int K) {
  const auto move = [&](int at, int i) {
    if constexpr (STORE)
      memory[i] = shared[at];
    else
      shared[at] = memory[i];
  };
  const int n = rows * K, stride = row_stride(K), thread = static_cast<int>(threadIdx.x);
  if (stride == K) {
    const int whole = reinterpret_cast<uintptr_t>(memory) % 16 == 0 ? n / 4 : 0;
    for (int i = thread; i < whole; i += kRowThreads) {
      if constexpr (STORE)
        store(memory + i * 4, load<4>(shared + i * 4));
      else
        store(shared + i * 4, load<4>(memory + i * 4));
    }
    for (int i = whole * 4 + thread; i < n; i += kRowThreads) move(i, i);
    return;
  }
  int row = thread / K, k = thread % K;
  const int rows_a_step = kRowThreads / K, rest = kRowThreads % K;
  for (int i = thread; i < n; i += kRowThreads) {
    move(row * stride + k, i);
    row += rows_a_step, k += rest;
    if (k >= K) k -= K, ++row;
  }
}

template <int KC>
__device__ __forceinline__ void read_pairs(const float* row, float (&v)[KC]) {
  static_assert(KC % 4 == 2, "pairs of neighbouring rows lie in different banks then");
#pragma unroll
  for (int k = 0; k < KC; k += 2) {
    const Vec<2> pair = load<2>(row + k);
    v[k] = pair.v[0], v[k + 1] = pair.v[1];
  }
}

// ---- kernels --------------------------------------------------------------------------------------------------------------------

template <typename O, int KC>
__global__ void __launch_bounds__(kRowThreads, 8) softmax_narrow(Guard guard, SoftmaxArgs a) {
  if (guard.stopped()) return;
  ALUDEL_DYNAMIC_SHARED(float, shared);
  const int K = KC > 0 ? KC : a.K, thread = static_cast<int>(threadIdx.x), stride = row_stride(K);
  float *z = shared, *t = z + (O::kTargets ? kRowThreads * stride : 0), *u = t + (O::kDirections ? kRowThreads * stride : 0);
  for (int64_t first = int64_t{blockIdx.x} * kRowThreads; first < a.rows; first += int64_t{gridDim.x} * kRowThreads) {
    const int rows = a.rows - first < kRowThreads ? static_cast<int>(a.rows - first) : kRowThreads;
    move_rows<false>(z, a.z + first * K, rows, K);
    if constexpr (O::kTargets) move_rows<false>(t, a.targets + first * K, rows, K);
    if constexpr (O::kDirections) move_rows<false>(u, a.u + first * K, rows, K);
    __syncthreads();
    if (thread < rows) {
      const ThreadRow<KC> h{K};
      float *own = z + thread * stride, *own_t = t + thread * stride, *own_u = u + thread * stride;
      if constexpr (KC > 0) {
        float v[KC], target[O::kTargets ? KC : 1], direction[O::kDirections ? KC : 1];
        read_pairs(own, v);
        if constexpr (O::kTargets) read_pairs(own_t, target);
        if constexpr (O::kDirections) read_pairs(own_u, direction);
        O::row(h, a, first + thread, v, target, direction, v);
        if constexpr (O::kWrites)
#pragma unroll
          for (int k = 0; k < KC; k += 2) store(own + k, Vec<2>{{v[k], v[k + 1]}});
      } else {
        O::row(h, a, first + thread, own, own_t, own_u, own);
      }
    }
    __syncthreads();
    if constexpr (O::kWrites) {
      move_rows<true>(z, a.out + first * K, rows, K);
      __syncthreads();
    }
  }
}

template <typename O, int V, bool VECTORS>
__global__ void __launch_bounds__(kThreads, V >= 16 ? 1 : 2) softmax_warp(Guard guard, SoftmaxArgs a) {
  if (guard.stopped()) return;
  const WarpRow<V, VECTORS> h{a.K, static_cast<int>(threadIdx.x) % 32};
  for (int64_t r = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32; r < a.rows; r += int64_t{gridDim.x} * kWarps) {
    float z[V], t[O::kTargets ? V : 1], u[O::kDirections ? V : 1];
    h.read(a.z + r * a.K, -INFINITY, z);
    if constexpr (O::kTargets) h.read(a.targets + r * a.K, 0.0f, t);
    if constexpr (O::kDirections) h.read(a.u + r * a.K, 0.0f, u);
    O::row(h, a, r, z, t, u, z);
    if constexpr (O::kWrites) h.write(z, a.out + r * a.K);
  }
}

template <typename O>
__global__ void __launch_bounds__(kThreads) softmax_block(Guard guard, SoftmaxArgs a) {
  if (guard.stopped()) return;
  __shared__ double shared[kWarps];
  const StreamRow<float, kThreads> h{a.K, static_cast<int>(threadIdx.x), shared};
  for (int64_t r = blockIdx.x; r < a.rows; r += gridDim.x) {
    const int64_t at = r * a.K;
    const float* z = a.z + at;
    const float* t = O::kTargets ? a.targets + at : nullptr;
    const float* u = O::kDirections ? a.u + at : nullptr;
    float* out = O::kWrites ? a.out + at : nullptr;
    O::row(h, a, r, z, t, u, out);
  }
}

template <typename O, int V>
Status launch_warp(const SoftmaxArgs& a, const Context& context) {
  const unsigned grid = grid_for(a.rows, kWarps, *context.device);
  const bool vectors =
      takes_vectors(a.K, 4, {a.z, O::kTargets ? a.targets : nullptr, O::kDirections ? a.u : nullptr, O::kWrites ? a.out : nullptr});
  return vectors ? launched(context, softmax_warp<O, V, true>, grid, kThreads, 0, a)
                 : launched(context, softmax_warp<O, V, false>, grid, kThreads, 0, a);
}

template <typename O>
Status launch_rows(const SoftmaxArgs& a, const Context& context) {
  if (a.rows == 0) return {};
  if (a.K <= kNarrow) {
    const size_t shared = (1 + O::kTargets + O::kDirections) * sizeof(float) * static_cast<size_t>(kRowThreads * row_stride(a.K));
    const unsigned grid = grid_for(a.rows, kRowThreads, *context.device);
    return a.K == kCommon ? launched(context, softmax_narrow<O, kCommon>, grid, kRowThreads, shared, a)
                          : launched(context, softmax_narrow<O, 0>, grid, kRowThreads, shared, a);
  }
  if (a.K <= 128) return launch_warp<O, 4>(a, context);
  if (a.K <= 256) return launch_warp<O, 8>(a, context);
  if (a.K <= 512) return launch_warp<O, 16>(a, context);
  if (a.K <= kWide) return launch_warp<O, 32>(a, context);
  return launched(context, softmax_block<O>, grid_for(a.rows, 1, *context.device), kThreads, 0, a);
}

// Logits, targets, and what else softmax_ce and its gradients share; checks hard labels on the stream.
inline Status softmax_args(const KernelArgs& args, const Context& context, SoftmaxArgs& a) {
  const TensorRef& z = args.in[0];
  a.K = static_cast<int>(z.dim(-1)), a.rows = z.numel() / z.dim(-1);
  a.z = z.as<const float>();
  if (args.in[1].dtype != DType::i32) {
    a.targets = args.in[1].as<const float>();
    return {};
  }
  a.labels = args.in[1].as<const int32_t>();
  return check_indices(context, args.in[1], a.K);
}

}  // namespace
}  // namespace aludel::cuda
