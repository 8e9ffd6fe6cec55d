// sum, max over any axes, and argmax over the last. Neighbouring axes of the same kind are merged; then every case is one of two: runs
// of neighbouring elements joined by a group of lanes or a block (last axis reduced), or rows joined column by column (last axis kept).
// Float sums are float64 throughout. A reduction with few outputs is cut into parts by shape; parts are joined by a second launch.
#include "native/cuda/kernels/channels.cuh"

namespace aludel::cuda {
namespace {

struct Sum {
  template <typename A>
  static __host__ __device__ __forceinline__ A join(A a, A b) {
    return a + b;
  }
  template <typename A>
  static __host__ __device__ __forceinline__ A first() {
    return A{0};
  }
};
struct Max {  // NaN wins
  template <typename A>
  static __host__ __device__ __forceinline__ A join(A a, A b) {
    return b > a || b != b ? b : a;
  }
  template <typename A>
  static __host__ __device__ __forceinline__ A first() {
    if constexpr (A(0.5) != A(0))
      return -static_cast<A>(INFINITY);
    else
      return static_cast<A>(INT32_MIN);
  }
};

template <typename Op, typename T>
struct Accumulator {
  typedef T type;
};
template <>
struct Accumulator<Sum, float> {
  typedef double type;
};
template <>
struct Accumulator<Sum, int32_t> {
  typedef uint32_t type;  // wraps instead of overflowing
};

// ---- the shape of a reduction -----------------------------------------------------------------------------------------------------

struct Axes {
  int n;
  int64_t dims[kMaxRank], strides[kMaxRank];

  int64_t count() const {
    int64_t total = 1;
    for (int i = 0; i < n; ++i) total *= dims[i];
    return total;
  }
  // Of an index that counts through the axes, the last one fastest.
  __device__ __forceinline__ int64_t offset(int64_t flat) const {
    int64_t sum = 0;
    for (int i = n - 1; i > 0; --i) {
      const int64_t rest = flat / dims[i];
      sum += (flat - rest * dims[i]) * strides[i];
      flat = rest;
    }
    return n > 0 ? sum + flat * strides[0] : 0;
  }
};

struct Reduction {
  bool inner_reduced;
  int64_t inner;  // the innermost merged axis; the others, by kind, in `kept` and `reduced`
  Axes kept, reduced;
  int64_t outer, rows;  // what they count
  int lanes;            // threads side by side in the inner axis; 0: a whole block
  int64_t tiles;        // blocks of columns
  int parts;            // of the rows, or of the runs
  int64_t outputs;
};

constexpr int64_t kLongRun = 2048;  // elements that are worth a block
constexpr int64_t kMostBlocks = 1024;

Reduction reduction_of(const TensorRef& x, const TensorRef& y, const double* axes, int naxes) {
  Reduction r{};
  bool is_reduced[kMaxRank] = {};
  for (int i = 0; i < naxes; ++i) is_reduced[static_cast<int>(axes[i])] = true;
  int64_t dims[kMaxRank], strides[kMaxRank], stride = 1;  // innermost first
  bool kind[kMaxRank];
  int n = 0;
  for (int d = x.rank - 1; d >= 0; --d) {
    if (x.dims[d] == 1) continue;
    if (n > 0 && kind[n - 1] == is_reduced[d]) {
      dims[n - 1] *= x.dims[d];
    } else {
      dims[n] = x.dims[d], strides[n] = stride, kind[n++] = is_reduced[d];
    }
    stride *= x.dims[d];
  }
  r.outputs = y.numel();
  r.inner = n > 0 ? dims[0] : 1, r.inner_reduced = n > 0 && kind[0];
  for (int i = n - 1; i > 0; --i) {
    Axes& to = kind[i] ? r.reduced : r.kept;
    to.dims[to.n] = dims[i], to.strides[to.n++] = strides[i];
  }
  r.outer = r.kept.count(), r.rows = r.reduced.count();
  if (x.numel() == 0) {  // outputs of nothing
    r = Reduction{};
    r.inner = r.outputs = y.numel();
    r.outer = 1;
  }
  r.parts = 1;
  if (r.inner_reduced) {
    const int64_t run = r.rows * r.inner;
    r.lanes = run < kLongRun ? power_of_two_above(run, 32) : 0;
    const int64_t wanted = run / (int64_t{16} * kThreads), allowed = kMostBlocks / r.outputs;
    if (r.lanes == 0 && wanted > 1 && allowed > 1) r.parts = static_cast<int>(wanted < allowed ? wanted : allowed);
  } else {
    r.lanes = power_of_two_above(r.inner, 32);
    r.tiles = ceil_div(r.inner, r.lanes);
    const int64_t wanted = r.rows / (int64_t{16} * (kThreads / r.lanes)), allowed = kMostBlocks / (r.outer * r.tiles);
    if (wanted > 1 && allowed > 1) r.parts = static_cast<int>(wanted < allowed ? wanted : allowed);
  }
  return r;
}

// ---- kernels --------------------------------------------------------------------------------------------------------------------

template <typename Op, typename A>
__device__ __forceinline__ A join_lanes(A acc, int lanes) {
  for (int offset = lanes / 2; offset > 0; offset /= 2) acc = Op::join(acc, __shfl_xor_sync(kAllLanes, acc, offset));
  return acc;
}

// Over the threads of a block; thread 0 has it.
template <typename Op, typename A>
__device__ __forceinline__ A join_block(A acc, A* shared) {
  acc = join_lanes<Op>(acc, 32);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = acc;
  __syncthreads();
  if (threadIdx.x == 0)
    for (int warp = 1; warp < kWarps; ++warp) acc = Op::join(acc, shared[warp]);
  __syncthreads();
  return acc;
}

// Elements first, first + step, ... before `end` of an output's run of rows x inner.
template <typename Op, typename T, typename A>
__device__ __forceinline__ A join_run(const Reduction& r, const T* x, int64_t first, int64_t end, int step) {
  A acc = Op::template first<A>();
  if (r.rows == 1) {
#pragma unroll 8
    for (int64_t e = first; e < end; e += step) acc = Op::join(acc, static_cast<A>(x[e]));
    return acc;
  }
  int64_t row = first / r.inner, i = first - row * r.inner;
  const int64_t rows = step / r.inner, rest = step - rows * r.inner;
#pragma unroll 4
  for (int64_t e = first; e < end; e += step) {
    acc = Op::join(acc, static_cast<A>(x[r.reduced.offset(row) + i]));
    row += rows, i += rest;
    if (i >= r.inner) i -= r.inner, ++row;
  }
  return acc;
}

// Last axis reduced: `lanes` threads an output.
template <typename Op, typename T, typename A>
__global__ void __launch_bounds__(kThreads, 3) reduce_short_runs(Guard guard, Reduction r, const T* x, T* y) {
  if (guard.stopped()) return;
  const int lane = static_cast<int>(threadIdx.x) % r.lanes, groups = kThreads / r.lanes,
            in_warp = static_cast<int>(threadIdx.x) % 32 / r.lanes;
  const int64_t run = r.rows * r.inner, stride = int64_t{gridDim.x} * groups;
  // A warp goes on as long as its first group has an output: they shuffle.
  for (int64_t o = int64_t{blockIdx.x} * groups + threadIdx.x / r.lanes; o - in_warp < r.outputs; o += stride) {
    const bool there = o < r.outputs;
    A acc = Op::template first<A>();
    if (there) acc = join_run<Op, T, A>(r, x + r.kept.offset(o), lane, run, r.lanes);
    acc = join_lanes<Op>(acc, r.lanes);
    if (there && lane == 0) y[o] = static_cast<T>(acc);
  }
}

// Last axis reduced: a block an output, or a part of one. Partials [outputs, parts], or y where it is null.
template <typename Op, typename T, typename A>
__global__ void __launch_bounds__(kThreads, 4) reduce_long_runs(Guard guard, Reduction r, const T* x, T* y, A* partials) {
  if (guard.stopped()) return;
  __shared__ A shared[kWarps];
  const int64_t run = r.rows * r.inner, units = r.outputs * r.parts;
  for (int64_t unit = blockIdx.x; unit < units; unit += gridDim.x) {
    const int64_t o = unit / r.parts, part = unit - o * r.parts, begin = run * part / r.parts, end = run * (part + 1) / r.parts;
    const A acc = join_block<Op>(join_run<Op, T, A>(r, x + r.kept.offset(o), begin + threadIdx.x, end, kThreads), shared);
    if (threadIdx.x == 0) {
      if (partials != nullptr)
        partials[unit] = acc;
      else
        y[o] = static_cast<T>(acc);
    }
  }
}

// Last axis kept: `lanes` neighbouring columns, and as many rows as a block has left.
template <typename Op, typename T, typename A>
__global__ void __launch_bounds__(kThreads, 4) reduce_columns(Guard guard, Reduction r, const T* x, T* y, A* partials) {
  if (guard.stopped()) return;
  __shared__ A shared[kThreads];
  const int thread = static_cast<int>(threadIdx.x), lane = thread % r.lanes, row = thread / r.lanes, rows = kThreads / r.lanes;
  const int64_t units = r.outer * r.parts * r.tiles;
  for (int64_t unit = blockIdx.x; unit < units; unit += gridDim.x) {
    const int64_t rest = unit / r.tiles, column = (unit - rest * r.tiles) * r.lanes + lane, outer = rest / r.parts,
                  part = rest - outer * r.parts;
    const int64_t end = r.rows * (part + 1) / r.parts;
    A acc = Op::template first<A>();
    if (column < r.inner) {
      const T* from = x + r.kept.offset(outer) + column;
#pragma unroll 8
      for (int64_t i = r.rows * part / r.parts + row; i < end; i += rows) acc = Op::join(acc, static_cast<A>(from[r.reduced.offset(i)]));
    }
    shared[thread] = acc;
    __syncthreads();
    for (int half = rows / 2; half > 0; half /= 2) {
      if (row < half) shared[thread] = Op::join(shared[thread], shared[thread + half * r.lanes]);
      __syncthreads();
    }
    if (row == 0 && column < r.inner) {
      const int64_t o = outer * r.inner + column;
      if (partials != nullptr)
        partials[o * r.parts + part] = shared[thread];
      else
        y[o] = static_cast<T>(shared[thread]);
    }
    __syncthreads();
  }
}

// One warp an output.
template <typename Op, typename T, typename A>
__global__ void __launch_bounds__(kThreads) join_parts(Guard guard, const A* partials, int parts, T* y, int64_t outputs) {
  if (guard.stopped()) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int64_t o = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32; o < outputs; o += int64_t{gridDim.x} * kWarps) {
    A acc = Op::template first<A>();
    for (int part = lane; part < parts; part += 32) acc = Op::join(acc, partials[o * parts + part]);
    acc = join_lanes<Op>(acc, 32);
    if (lane == 0) y[o] = static_cast<T>(acc);
  }
}

// The first of the largest; a NaN is never larger, and nothing is larger than a NaN that comes first.
template <typename T>
struct Best {
  T value;
  int32_t at;  // INT32_MAX: none
  __device__ __forceinline__ void take(T v, int32_t i) {
    if (v > value || (v == value && i < at)) value = v, at = i;
  }
};

template <typename T>
__device__ __forceinline__ Best<T> best_of_run(const T* x, int64_t first, int64_t n, int step) {
  Best<T> best{Max::first<T>(), INT32_MAX};
#pragma unroll 4
  for (int64_t i = first; i < n; i += step) best.take(x[i], static_cast<int32_t>(i));
  return best;
}
template <typename T>
__device__ __forceinline__ Best<T> best_of_lanes(Best<T> best, int lanes) {
  for (int offset = lanes / 2; offset > 0; offset /= 2) {
    const T v = __shfl_xor_sync(kAllLanes, best.value, offset);
    const int32_t at = __shfl_xor_sync(kAllLanes, best.at, offset);
    best.take(v, at);
  }
  return best;
}
// A row of nothing but NaN behind the first element has no best.
template <typename T>
__device__ __forceinline__ int32_t index_of(const Best<T>& best, T first) {
  return first != first || best.at == INT32_MAX ? 0 : best.at;
}

template <typename T>
__global__ void __launch_bounds__(kThreads, 4) argmax_lanes(Guard guard, const T* x, int32_t* y, int64_t rows, int64_t n, int lanes) {
  if (guard.stopped()) return;
  const int lane = static_cast<int>(threadIdx.x) % lanes, groups = kThreads / lanes, in_warp = static_cast<int>(threadIdx.x) % 32 / lanes;
  for (int64_t r = int64_t{blockIdx.x} * groups + threadIdx.x / lanes; r - in_warp < rows; r += int64_t{gridDim.x} * groups) {
    const bool there = r < rows;
    Best<T> best{Max::first<T>(), INT32_MAX};
    if (there) best = best_of_run(x + r * n, lane, n, lanes);
    best = best_of_lanes(best, lanes);
    if (there && lane == 0) y[r] = index_of(best, x[r * n]);
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads, 4) argmax_block(Guard guard, const T* x, int32_t* y, int64_t rows, int64_t n) {
  if (guard.stopped()) return;
  __shared__ Best<T> shared[kWarps];
  for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
    Best<T> best = best_of_lanes(best_of_run(x + r * n, threadIdx.x, n, kThreads), 32);
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = best;
    __syncthreads();
    if (threadIdx.x == 0) {
      for (int warp = 1; warp < kWarps; ++warp) best.take(shared[warp].value, shared[warp].at);
      y[r] = index_of(best, x[r * n]);
    }
    __syncthreads();
  }
}

// ---- launches -------------------------------------------------------------------------------------------------------------------

template <typename Op, typename T>
Status launch_reduce_of(const KernelArgs& args, const Context& context) {
  typedef typename Accumulator<Op, T>::type A;
  const T* x = args.in[0].as<const T>();
  T* y = args.out[0].as<T>();
  const Reduction r = reduction_of(args.in[0], args.out[0], args.attrs, args.nattrs);
  A* partials = r.parts > 1 ? static_cast<A*>(context.workspace) : nullptr;
  const DeviceInfo& device = *context.device;
  if (r.inner_reduced && r.lanes > 0)
    return launched(context, reduce_short_runs<Op, T, A>, grid_for(r.outputs, kThreads / r.lanes, device), kThreads, 0, r, x, y);
  if (r.inner_reduced) {
    ALUDEL_RETURN_IF_ERROR(
        launched(context, reduce_long_runs<Op, T, A>, grid_for(r.outputs * r.parts, 1, device), kThreads, 0, r, x, y, partials));
  } else {
    ALUDEL_RETURN_IF_ERROR(
        launched(context, reduce_columns<Op, T, A>, grid_for(r.outer * r.parts * r.tiles, 1, device), kThreads, 0, r, x, y, partials));
  }
  if (r.parts == 1) return {};
  return launched(context, join_parts<Op, T, A>, grid_for(r.outputs, kWarps, device), kThreads, 0, partials, r.parts, y, r.outputs);
}

template <typename Op>
Status launch_reduce(const KernelArgs& args, const Context& context) {
  if (args.out[0].numel() == 0) return {};
  if (args.in[0].dtype == DType::f32) return launch_reduce_of<Op, float>(args, context);
  if (args.in[0].dtype == DType::f64) return launch_reduce_of<Op, double>(args, context);
  return launch_reduce_of<Op, int32_t>(args, context);
}

int64_t reduce_workspace_bytes(const KernelArgs& args, const DeviceInfo&) {
  if (args.out[0].numel() == 0) return 0;
  const Reduction r = reduction_of(args.in[0], args.out[0], args.attrs, args.nattrs);
  return r.parts > 1 ? r.outputs * r.parts * static_cast<int64_t>(sizeof(double)) : 0;
}

template <typename T>
Status launch_argmax_of(const TensorRef& x, const TensorRef& y, const Context& context) {
  const int64_t rows = y.numel(), n = x.dim(-1);
  if (rows == 0) return {};
  const T* from = x.as<const T>();
  int32_t* to = y.as<int32_t>();
  if (n >= kLongRun) return launched(context, argmax_block<T>, grid_for(rows, 1, *context.device), kThreads, 0, from, to, rows, n);
  const int lanes = power_of_two_above(n, 32);
  return launched(context, argmax_lanes<T>, grid_for(rows, kThreads / lanes, *context.device), kThreads, 0, from, to, rows, n, lanes);
}

Status launch_argmax(const KernelArgs& args, const Context& context) {
  const TensorRef &x = args.in[0], &y = args.out[0];
  if (x.dtype == DType::f32) return launch_argmax_of<float>(x, y, context);
  if (x.dtype == DType::f64) return launch_argmax_of<double>(x, y, context);
  return launch_argmax_of<int32_t>(x, y, context);
}

}  // namespace

extern const Kernel kernel_sum;
extern const Kernel kernel_max;
extern const Kernel kernel_argmax;
const Kernel kernel_sum = {reduce_workspace_bytes, launch_reduce<Sum>};
const Kernel kernel_max = {reduce_workspace_bytes, launch_reduce<Max>};
const Kernel kernel_argmax = {nullptr, launch_argmax};

}  // namespace aludel::cuda
