// scatter_add: each row of the output is the float64 sum of its sources in their order. Sources are sorted by row (stably), the sorted list
// is cut into chunks of a length that depends on shapes alone, and a thread adds one column of one chunk. Rows that lie within a chunk are
// done then; what crosses chunks is left as partial sums and joined in order. A single row with all sources thus fills the device as well.
#include "native/cuda/kernels/division.cuh"
#include "native/cuda/kernels/radix_sort.h"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kAhead = 8;                       // sources on their way to one thread
constexpr int64_t kThreadsWanted = 128 * 1024;  // chunks are no longer than this many threads allow
constexpr int64_t kShortestChunk = 32;
constexpr int64_t kDirectSources = 512;                           // comparisons of indices that cost less than sorting:
constexpr int64_t kDirectComparisons = int64_t{4} * 1024 * 1024;  // of one thread, and of all

struct Plan {
  int64_t sources, rows, width;
  bool direct;
  int passes;
  int64_t chunk, chunks;
  int64_t list_bytes, start_bytes, partial_bytes;
};

Plan plan_of(const KernelArgs& args) {
  const TensorRef& y = args.out[0];
  Plan plan = {};
  plan.sources = args.in[1].dims[0];
  plan.rows = y.dims[0];
  plan.width = 1;
  for (int d = 1; d < y.rank; ++d) plan.width *= y.dims[d];
  plan.direct = plan.sources == 0 || (plan.sources <= kDirectSources && plan.rows * plan.width <= kDirectComparisons / plan.sources);
  if (plan.direct) return plan;
  const int64_t last_key = plan.rows < INT32_MAX ? plan.rows : int64_t{INT32_MAX};
  plan.passes = 1;
  while (plan.passes < 4 && last_key >> (8 * plan.passes) != 0) ++plan.passes;
  const int64_t fair = ceil_div(plan.sources * plan.width, kThreadsWanted);
  plan.chunk = fair < kShortestChunk ? kShortestChunk : fair;
  if (plan.chunk > plan.sources) plan.chunk = plan.sources;
  plan.chunks = ceil_div(plan.sources, plan.chunk);
  plan.list_bytes = round_up(4 * plan.sources, 256);
  plan.start_bytes = round_up(4 * (plan.rows + 1), 256);
  plan.partial_bytes = plan.chunks > 1 ? round_up(plan.chunks * 2 * plan.width * 8, 256) : 0;
  return plan;
}

int64_t workspace_bytes(const KernelArgs& args, const DeviceInfo&) {
  const Plan plan = plan_of(args);
  return plan.direct ? 0 : 4 * plan.list_bytes + plan.start_bytes + plan.partial_bytes + sort_count_bytes(plan.sources);
}

// ---- few comparisons ------------------------------------------------------------------------------------------------------------

template <typename T>
__global__ void __launch_bounds__(kThreads)
    add_direct(Guard guard, const T* g, const int32_t* index, int64_t sources, T* y, int64_t n, int64_t width) {
  if (guard.stopped()) return;
  const int64_t stride = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += stride) {
    const int64_t row = i / width, column = i % width;
    double sum = 0;
    for (int64_t m = 0; m < sources; ++m)
      if (index[m] == row) sum += static_cast<double>(g[m * width + column]);
    y[i] = static_cast<T>(sum);
  }
}

// ---- sorted sources -------------------------------------------------------------------------------------------------------------

// Wrong indices, which end the step anyway, go behind the last row.
__global__ void __launch_bounds__(kThreads) row_keys(Guard guard, const int32_t* index, int64_t sources, int64_t rows, uint32_t* keys) {
  if (guard.stopped()) return;
  const int64_t stride = int64_t{gridDim.x} * kThreads;
  for (int64_t m = int64_t{blockIdx.x} * kThreads + threadIdx.x; m < sources; m += stride)
    keys[m] = static_cast<uint32_t>(index[m] >= 0 && index[m] < rows ? index[m] : rows);
}

// starts[r]: the first sorted source of row r or a later one.
__global__ void __launch_bounds__(kThreads) find_starts(Guard guard, const uint32_t* keys, int64_t sources, int64_t rows, int32_t* starts) {
  if (guard.stopped()) return;
  const int64_t stride = int64_t{gridDim.x} * kThreads;
  for (int64_t r = int64_t{blockIdx.x} * kThreads + threadIdx.x; r <= rows; r += stride) {
    int64_t low = 0, high = sources;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (keys[middle] < r)
        low = middle + 1;
      else
        high = middle;
    }
    starts[r] = static_cast<int32_t>(low);
  }
}

// Partials of a chunk: of the row that came in from the chunk before, then of the row that goes on into the next.
template <typename T>
__global__ void __launch_bounds__(kThreads) add_chunks(Guard guard, const T* g, const uint32_t* keys, const int32_t* ids, int64_t sources,
                                                       int64_t chunk, int64_t chunks, int64_t width, int64_t rows, T* y, double* partials) {
  if (guard.stopped()) return;
  const int64_t stride = int64_t{gridDim.x} * kThreads, n = chunks * width;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += stride) {
    const int64_t c = i / width, column = i % width;
    const int64_t begin = c * chunk, end = min(begin + chunk, sources);
    int64_t row = keys[begin];
    bool came_in = begin > 0 && keys[begin - 1] == row;
    double sum = 0;
    const auto finish = [&](bool goes_on) {
      if (came_in || goes_on)
        partials[(2 * c + (came_in ? 0 : 1)) * width + column] = sum;
      else if (row < rows)
        y[row * width + column] = static_cast<T>(sum);
    };
    for (int64_t first = begin; first < end; first += kAhead) {
      int64_t key[kAhead];
      T value[kAhead];
#pragma unroll
      for (int e = 0; e < kAhead; ++e) {
        const bool valid = first + e < end;
        key[e] = valid ? int64_t{keys[first + e]} : -1;
        value[e] = valid ? g[ids[first + e] * width + column] : T{0};
      }
#pragma unroll
      for (int e = 0; e < kAhead; ++e) {
        if (key[e] < 0) continue;
        if (key[e] != row) {
          finish(false);
          row = key[e];
          came_in = false;
          sum = 0;
        }
        sum += static_cast<double>(value[e]);
      }
    }
    finish(end < sources && keys[end] == row);
  }
}

// What add_chunks left: rows without sources, and rows of several chunks.
template <typename T, typename I>
__global__ void __launch_bounds__(kThreads)
    join_chunks(Guard guard, const int32_t* starts, const double* partials, int64_t chunk, T* y, I n, Division<I> width) {
  if (guard.stopped()) return;
  const I stride = static_cast<I>(gridDim.x) * kThreads;
  for (I i = static_cast<I>(blockIdx.x) * kThreads + threadIdx.x; i < n; i += stride) {
    const I row = width.quotient(i);
    const int64_t column = static_cast<int64_t>(i - row * width.divisor()), begin = starts[row], end = starts[row + 1];
    double sum = 0;
    if (begin < end) {
      const int64_t first = begin / chunk, last = (end - 1) / chunk;
      if (first == last) continue;
      const int64_t columns = static_cast<int64_t>(width.divisor());
      sum = partials[(2 * first + 1) * columns + column];
      for (int64_t c = first + 1; c <= last; ++c) sum += partials[2 * c * columns + column];
    }
    y[i] = static_cast<T>(sum);
  }
}

template <typename T, typename I>
Status launch_join(const Plan& plan, const int32_t* starts, const double* partials, T* y, const Context& context) {
  const int64_t n = plan.rows * plan.width;
  return launched(context, join_chunks<T, I>, grid_for(n, kThreads, *context.device), kThreads, 0, starts, partials, plan.chunk, y,
                  static_cast<I>(n), Division<I>(static_cast<I>(plan.width)));
}

template <typename T>
Status launch_sorted(const KernelArgs& args, const Plan& plan, const Context& context) {
  const int64_t m = plan.sources, n = plan.rows * plan.width;
  const DeviceInfo& device = *context.device;
  char* at = static_cast<char*>(context.workspace);
  const auto take = [&](int64_t bytes) {
    char* taken = at;
    at += bytes;
    return taken;
  };
  RadixSort sort;
  sort.n = m;
  for (int k = 0; k < 2; ++k) {
    sort.keys[k] = reinterpret_cast<uint32_t*>(take(plan.list_bytes));
    sort.ids[k] = reinterpret_cast<int32_t*>(take(plan.list_bytes));
  }
  int32_t* starts = reinterpret_cast<int32_t*>(take(plan.start_bytes));
  double* partials = reinterpret_cast<double*>(take(plan.partial_bytes));
  sort.counts = reinterpret_cast<uint32_t*>(at);
  sort.totals = sort.counts + sort.tiles() * kSortDigits;
  const uint32_t* keys = sort.keys[plan.passes % 2];
  const int32_t* ids = sort.ids[plan.passes % 2];
  T* y = args.out[0].as<T>();

  ALUDEL_RETURN_IF_ERROR(
      launched(context, row_keys, grid_for(m, kThreads, device), kThreads, 0, args.in[1].as<const int32_t>(), m, plan.rows, sort.keys[0]));
  ALUDEL_RETURN_IF_ERROR(launch_radix_sort(context, sort, plan.passes, true));
  ALUDEL_RETURN_IF_ERROR(
      launched(context, find_starts, grid_for(plan.rows + 1, kThreads, device), kThreads, 0, keys, m, plan.rows, starts));
  ALUDEL_RETURN_IF_ERROR(launched(context, add_chunks<T>, grid_for(plan.chunks * plan.width, kThreads, device), kThreads, 0,
                                  args.in[0].as<const T>(), keys, ids, m, plan.chunk, plan.chunks, plan.width, plan.rows, y, partials));
  return n < kNarrowElements ? launch_join<T, uint32_t>(plan, starts, partials, y, context)
                             : launch_join<T, uint64_t>(plan, starts, partials, y, context);
}

template <typename T>
Status launch_scatter_add_of(const KernelArgs& args, const Context& context) {
  const TensorRef& y = args.out[0];
  const Plan plan = plan_of(args);
  if (!plan.direct) return launch_sorted<T>(args, plan, context);
  return launched(context, add_direct<T>, grid_for(y.numel(), kThreads, *context.device), kThreads, 0, args.in[0].as<const T>(),
                  args.in[1].as<const int32_t>(), plan.sources, y.as<T>(), y.numel(), plan.width);
}

Status launch_scatter_add(const KernelArgs& args, const Context& context) {
  const TensorRef& y = args.out[0];
  ALUDEL_RETURN_IF_ERROR(check_indices(context, args.in[1], y.dims[0]));
  if (y.numel() == 0) return {};
  return y.dtype == DType::f32 ? launch_scatter_add_of<float>(args, context) : launch_scatter_add_of<double>(args, context);
}

}  // namespace

extern const Kernel kernel_scatter_add;
const Kernel kernel_scatter_add = {workspace_bytes, launch_scatter_add};

}  // namespace aludel::cuda
