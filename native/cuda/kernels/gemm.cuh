// Products of matrices that need not exist as such: the block of a batched C[m, n] = sum over k of A[m, k] B[k, n], for any operands that a
// Source (gemm_tile.cuh) can name and any Core that multiplies tiles (gemm_simt.cuh, gemm_mma.cuh). Matrix products, convolutions and their
// gradients are Problems of this one kernel.
//
// Copies to shared memory run two steps of k ahead. Sums over more than kGemmChunk k's are added to the output piece by piece, and
// a k axis that is cut into parts (GemmPlan::splits) leaves one sum for each part in the workspace: gemm_splits.cu adds them up in float64.
//
// A Problem is handed to the kernel by value:
//   using A, B (Sources), using Part; Part part(int64_t batch)      one product of the batch
//   Part: int m, n, k; A a() const; B b() const; int64_t row(int m)  row m of the output begins there, counted in floats
//   float* out; int64_t split_stride   where part 0 of k goes, and how far apart the parts are
//   const float* bias(batch)           per column, where the sums begin; or null
//   static constexpr bool column_sums  also sums of the columns of B, to sums(batch, split)
//   static constexpr bool squares      instead of C and the columns' sums, the sum of their squares over each block, to squares(batch,
//                                      tile) and sum_squares(batch, tile of columns); k is then neither cut nor added up in pieces
#pragma once
#include "native/cuda/kernels/gemm_mma.cuh"
#include "native/cuda/kernels/gemm_simt.cuh"

namespace aludel::cuda {

struct GemmWork {
  int64_t first;  // block of this launch
  uint32_t tiles_m, tiles_n, splits;
  int split_depth;
};

constexpr int kGemmStages = 3;

template <int Vector>
__device__ __forceinline__ void load_vector(const float* from, float (&v)[Vector]) {
  if constexpr (Vector == 4) {
    const float4 all = *reinterpret_cast<const float4*>(from);
    v[0] = all.x, v[1] = all.y, v[2] = all.z, v[3] = all.w;
  } else if constexpr (Vector == 2) {
    const float2 all = *reinterpret_cast<const float2*>(from);
    v[0] = all.x, v[1] = all.y;
  } else {
    v[0] = *from;
  }
}
template <int Vector>
__device__ __forceinline__ void store_vector(const float (&v)[Vector], float* to) {
  if constexpr (Vector == 4)
    *reinterpret_cast<float4*>(to) = make_float4(v[0], v[1], v[2], v[3]);
  else if constexpr (Vector == 2)
    *reinterpret_cast<float2*>(to) = make_float2(v[0], v[1]);
  else
    *to = v[0];
}

template <class Core>
constexpr size_t kGemmShared = size_t{kGemmStages} * kGemmDepth*(Core::Shape::rows + Core::Shape::columns) * sizeof(float);

// The columns of B as its tiles come by: float over one tile, float64 over all of them. Threads beyond the columns hold nothing.
template <int Columns, bool along_k>
class ColumnSums {
 public:
  __device__ __forceinline__ void add(const float* b) {
    const int column = static_cast<int>(threadIdx.x);
    if (column >= Columns) return;
    float sum = 0;
#pragma unroll
    for (int k = 0; k < kGemmDepth; ++k)
      sum += b[along_k ? along_k_offset(column, k & ~3) + (k & 3) : along_lines_offset<Columns>(k, column)];
    total_ += sum;
  }
  __device__ __forceinline__ double total() const { return total_; }

 private:
  double total_ = 0;
};

// The sums begin with the bias; columns from `end` on are nobody's.
template <class Core>
__device__ __forceinline__ void start_with_bias(Core* core, int n0, int end, const float* bias) {
#pragma unroll
  for (int run = 0; run < Core::kRuns; ++run)
#pragma unroll
    for (int u = 0; u < Core::kRun; ++u) {
      const int n = n0 + core->column(run) + u;
      const float value = n < end ? bias[n] : 0.f;
#pragma unroll
      for (int i = 0; i < Core::kRows; ++i) core->value(i, run, u) = value;
    }
}

// Stores the tile, or adds it to what is there. With Vector above 1 the number of columns is a multiple of it: vectors are inside or
// outside as a whole.
template <int Vector, class Core, class Part>
__device__ __forceinline__ void store_tile(const Core& core, const Part& part, int m0, int n0, float* out, bool add) {
#pragma unroll
  for (int i = 0; i < Core::kRows; ++i) {
    const int m = m0 + core.row(i);
    if (m >= part.m) continue;
    float* to = out + part.row(m);
#pragma unroll
    for (int run = 0; run < Core::kRuns; ++run) {
      const int n = n0 + core.column(run);
#pragma unroll
      for (int u = 0; u < Core::kRun; u += Vector) {
        if (n + u >= part.n) continue;
        float v[Vector];
        if (add) load_vector<Vector>(to + n + u, v);
#pragma unroll
        for (int e = 0; e < Vector; ++e) v[e] = add ? v[e] + core.value(i, run, u + e) : core.value(i, run, u + e);
        store_vector<Vector>(v, to + n + u);
      }
    }
  }
}

// What a block makes.
struct GemmPlace {
  int64_t batch;
  int split, m0, n0;

  template <class Shape>
  __device__ __forceinline__ static GemmPlace of(const GemmWork& work, int block, Shape) {
    const int64_t index = work.first + block;
    const uint32_t tiles = work.tiles_m * work.tiles_n;
    const int64_t outer = index / tiles;
    const uint32_t tile = static_cast<uint32_t>(index - outer * tiles);
    return {outer / work.splits, static_cast<int>(outer % work.splits), static_cast<int>(tile / work.tiles_n) * Shape::rows,
            static_cast<int>(tile % work.tiles_n) * Shape::columns};
  }
  // Worked out anew at the end: kept through the loop, it would cost registers that the sums need.
  template <class Shape>
  __device__ __forceinline__ static GemmPlace again(const GemmWork& work, Shape shape) {
    return of(work, opaque(static_cast<int>(blockIdx.x)), shape);
  }
};

// The sum of `value` over the block, for thread 0. `shared`: room for 8 bytes a warp; other threads may still use it when this begins.
template <int Threads>
__device__ __forceinline__ double block_sum(double value, double* shared) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) value += __shfl_down_sync(0xffffffffu, value, lanes);
  __syncthreads();
  const int thread = static_cast<int>(threadIdx.x);
  if (thread % 32 == 0) shared[thread / 32] = value;
  __syncthreads();
  double sum = 0;
  if (thread == 0)
    for (int warp = 0; warp < Threads / 32; ++warp) sum += shared[warp];
  return sum;
}

// What lies outside C is zero. Eight squares at a time are added in float32: all as float64 would not fit the registers.
template <class Core>
__device__ __forceinline__ double sum_of_squares(const Core& core) {
  double sum = 0;
#pragma unroll
  for (int i = 0; i < Core::kRows; ++i) {
    float row = 0;
#pragma unroll
    for (int run = 0; run < Core::kRuns; ++run)
#pragma unroll
      for (int u = 0; u < Core::kRun; ++u) row = fmaf(core.value(i, run, u), core.value(i, run, u), row);
    sum += static_cast<double>(row);
  }
  return sum;
}

template <class Problem, class Core>
__global__ void __launch_bounds__(Core::Shape::threads, Core::kThreads / Core::Shape::threads)
    gemm(Guard guard, const __grid_constant__ Problem problem, const __grid_constant__ GemmWork work) {
  if (guard.stopped()) return;
  using Shape = typename Core::Shape;
  using CopyA = TileCopy<typename Problem::A, Shape::rows, Shape::threads>;
  using CopyB = TileCopy<typename Problem::B, Shape::columns, Shape::threads>;
  constexpr int tile_b = Shape::rows * kGemmDepth;  // in a stage, behind the tile of A
  constexpr int stage_size = tile_b + Shape::columns * kGemmDepth, last_stage = (kGemmStages - 1) * stage_size;
  ALUDEL_DYNAMIC_SHARED(float, shared);

  const GemmPlace place = GemmPlace::of(work, static_cast<int>(blockIdx.x), Shape());
  const typename Problem::Part part = problem.part(place.batch);
  if (place.m0 >= part.m) return;  // products of a batch may differ in size

  int k = place.split * work.split_depth;  // copied next
  const int k_end = part.k - k > work.split_depth ? k + work.split_depth : part.k;
  const CopyA copy_a(part.a(), place.m0);
  const CopyB copy_b(part.b(), place.n0);
  const auto copy = [&](int stage) {  // the place of the stage
    if (k < k_end) {
      copy_a.start(shared + stage, k);
      copy_b.start(shared + stage + tile_b, k);
    }
    k += kGemmDepth;
    cp_async_commit();  // also when there is nothing: the wait counts groups
  };
#pragma unroll
  for (int stage = 0; stage < last_stage; stage += stage_size) copy(stage);
  // Steps still to be multiplied: those still to be copied and those on their way.
  const auto steps = [&] { return max(0, (k_end - k + kGemmStages * kGemmDepth - 1) / kGemmDepth); };

  Core core;
  ColumnSums<Shape::columns, CopyB::along_k> sums;
  const bool first_rows = place.m0 == 0;
  int stage = 0;
  bool add = false;
  core.locate(static_cast<int>(threadIdx.x));
  const float* bias = problem.bias(place.batch);
  if (bias != nullptr)
    start_with_bias(&core, place.n0, part.n, bias);
  else
    core.clear();
  do {
    if (add) {
      core.locate(static_cast<int>(threadIdx.x));
      core.clear();
    }
    for (int left = Problem::squares ? steps() : min(steps(), static_cast<int>(kGemmChunk / kGemmDepth)); left > 0; --left) {
      cp_async_wait<kGemmStages - 2>();
      __syncthreads();  // this step's tiles are there for all, and all are done with the stage that is filled next
      copy(stage == 0 ? last_stage : stage - stage_size);
      core.multiply(shared + stage, shared + stage + tile_b);
      if constexpr (Problem::column_sums)
        if (first_rows) sums.add(shared + stage + tile_b);
      stage = stage == last_stage ? 0 : stage + stage_size;
    }
    if constexpr (!Problem::squares) {
      core.locate(opaque(static_cast<int>(threadIdx.x)));
      const GemmPlace at = GemmPlace::again(work, Shape());
      const typename Problem::Part target = problem.part(at.batch);
      constexpr int vector = Problem::B::vector == 4 && !Problem::B::along_k ? Core::kRun : 1;
      store_tile<vector>(core, target, at.m0, at.n0, problem.out + at.split * problem.split_stride, add);
      add = true;
    }
  } while (steps() > 0);
  if constexpr (Problem::squares || Problem::column_sums) {
    const GemmPlace at = GemmPlace::again(work, Shape());
    const int thread = static_cast<int>(threadIdx.x), tile_n = at.n0 / Shape::columns;
    if constexpr (Problem::squares) {
      double* warps = reinterpret_cast<double*>(shared);
      const double square = block_sum<Shape::threads>(sum_of_squares(core), warps);
      const int tile = at.m0 / Shape::rows * static_cast<int>(work.tiles_n) + tile_n;
      if (thread == 0) *problem.square(at.batch, tile) = square;
      if (!first_rows) return;
      const double sum = block_sum<Shape::threads>(sums.total() * sums.total(), warps);
      if (thread == 0) *problem.sum_square(at.batch, tile_n) = sum;
    } else if (first_rows && thread < Shape::columns && at.n0 + thread < problem.part(at.batch).n) {
      problem.sums(at.batch, at.split)[at.n0 + thread] = static_cast<float>(sums.total());
    }
  }
}

constexpr int64_t kMostBlocks = int64_t{1} << 30;  // of one launch

template <class Core, class Problem>
Status launch_gemm(const Problem& problem, const GemmPlan& plan, int64_t batch, const Context& context) {
  const int64_t blocks = plan.blocks(batch);
  GemmWork work{0, static_cast<uint32_t>(plan.tiles_m), static_cast<uint32_t>(plan.tiles_n), static_cast<uint32_t>(plan.splits),
                static_cast<int>(plan.split_depth)};
  for (; work.first < blocks; work.first += kMostBlocks) {
    const int64_t left = blocks - work.first;
    ALUDEL_RETURN_IF_ERROR(launched(context, gemm<Problem, Core>, static_cast<unsigned>(left < kMostBlocks ? left : kMostBlocks),
                                    Core::Shape::threads, kGemmShared<Core>, problem, work));
  }
  return {};
}

// The core for a tile and the device's precision. A core for another precision, or for the instructions of another capability (wgmma), is
// one more line here: cores share the order of the tiles. Operands of which neither can be copied in vectors are small; they are multiplied
// exactly whatever the precision.
template <GemmTile Kind, class Problem>
Status launch_gemm_tile(const Problem& problem, const GemmPlan& plan, int64_t batch, const Context& context) {
  using Shape = TileShape<Kind>;
  constexpr bool a = TileCopy<typename Problem::A, Shape::rows, Shape::threads>::along_k;
  constexpr bool b = TileCopy<typename Problem::B, Shape::columns, Shape::threads>::along_k;
  if constexpr (Problem::A::vector == 4 || Problem::B::vector == 4) {
    if (context.device->precision == Precision::tf32) return launch_gemm<MmaCore<Tf32Products, Kind, a, b>>(problem, plan, batch, context);
    if (context.device->precision == Precision::tf32x3)
      return launch_gemm<MmaCore<Tf32x3Products, Kind, a, b>>(problem, plan, batch, context);
    if (context.device->precision == Precision::bf16) return launch_gemm<MmaCore<Bf16Products, Kind, a, b>>(problem, plan, batch, context);
  }
  return launch_gemm<SimtCore<Kind, a, b>>(problem, plan, batch, context);
}

// Problem::tiles says which tiles there are kernels for.
template <class Problem>
Status launch_gemm(const Problem& problem, const GemmPlan& plan, int64_t batch, const Context& context) {
  if constexpr (Problem::tiles.large)
    if (plan.tile == GemmTile::large) return launch_gemm_tile<GemmTile::large>(problem, plan, batch, context);
  if constexpr (Problem::tiles.tall)
    if (plan.tile == GemmTile::tall) return launch_gemm_tile<GemmTile::tall>(problem, plan, batch, context);
  if constexpr (Problem::tiles.wide)
    if (plan.tile == GemmTile::wide) return launch_gemm_tile<GemmTile::wide>(problem, plan, batch, context);
  return launch_gemm_tile<GemmTile::medium>(problem, plan, batch, context);
}

// out[i] = sum over splits of partial[split][i], in order and in float64; with bias[row group][column] where it is not null: element i
// is in column i % columns of batch i / (rows * columns).
Status sum_splits(const float* partial, int64_t splits, int64_t count, const float* bias, int64_t rows, int64_t columns, float* out,
                  const Context& context);

}  // namespace aludel::cuda
