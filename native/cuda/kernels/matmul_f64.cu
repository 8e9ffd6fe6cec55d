// Batched float64 matrix product on the float64 tensor cores (which round as fused multiply-adds do): 64 x 64 tiles, four warps of 32 x 32.
#include "native/cuda/kernels/gemm_plan.h"
#include "native/cuda/kernels/matmul.h"
#include "native/cuda/ptx.cuh"

namespace aludel::cuda {
namespace {

constexpr int kTile = 64, kThreads = 128, kStages = 2;
constexpr int kLine = kTile + 4;  // doubles of a k in shared memory: the four k's of a fragment meet no common bank
constexpr int kStage = kGemmDepth * kLine;
constexpr size_t kShared = size_t{2} * kStages * kStage * sizeof(double);

struct Operand {
  const double* data;
  int64_t line_stride, k_stride;  // one of them is 1
};

// One double at a time: any alignment. Neighbouring threads take what neighbours in memory.
__device__ __forceinline__ void copy_tile(const Operand& x, int line0, int lines, int k0, int k_end, double* tile) {
  const int thread = static_cast<int>(threadIdx.x);
  const bool along_k = x.k_stride == 1;
#pragma unroll
  for (int i = 0; i < kTile * kGemmDepth / kThreads; ++i) {
    const int at = i * kThreads + thread;
    const int line = along_k ? at / kGemmDepth : at % kTile, k = along_k ? at % kGemmDepth : at / kTile;
    const bool valid = line0 + line < lines && k0 + k < k_end;
    cp_async<8>(tile + k * kLine + line, valid ? x.data + (line0 + line) * x.line_stride + (k0 + k) * x.k_stride : x.data, valid);
  }
}

struct Product {
  int m, n, k, split_depth;
  Operand a, b;
  int64_t a_batch, b_batch;
  double* out;
  int64_t split_stride;
  int64_t first;  // block of this launch
  uint32_t tiles_m, tiles_n, splits;
};

__global__ void __launch_bounds__(kThreads) matmul_f64(Guard guard, const __grid_constant__ Product p) {
  if (guard.stopped()) return;
  ALUDEL_DYNAMIC_SHARED(double, shared);
  const int64_t index = p.first + blockIdx.x;
  const uint32_t tiles = p.tiles_m * p.tiles_n;
  const int64_t outer = index / tiles, batch = outer / p.splits, split = outer % p.splits;
  const uint32_t tile = static_cast<uint32_t>(index - outer * tiles);
  const int m0 = static_cast<int>(tile / p.tiles_n) * kTile, n0 = static_cast<int>(tile % p.tiles_n) * kTile;
  const int k_begin = static_cast<int>(split) * p.split_depth, k_end = min(p.k, k_begin + p.split_depth);
  const int steps = (k_end - k_begin + kGemmDepth - 1) / kGemmDepth;
  Operand a = p.a, b = p.b;
  a.data += batch * p.a_batch;
  b.data += batch * p.b_batch;
  const auto copy = [&](int step) {
    double* stage = shared + step % kStages * 2 * kStage;
    if (step < steps) {
      copy_tile(a, m0, p.m, k_begin + step * kGemmDepth, k_end, stage);
      copy_tile(b, n0, p.n, k_begin + step * kGemmDepth, k_end, stage + kStage);
    }
    cp_async_commit();
  };

  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, group = thread % 32 / 4, lane = thread % 4;
  const int row0 = warp / 2 * 32 + group, column0 = warp % 2 * 32 + group;
  double sum[4][4][2] = {};
  copy(0);
  for (int step = 0; step < steps; ++step) {
    cp_async_wait<0>();
    __syncthreads();  // this step's tiles are there for all, and all are done with the other stage
    copy(step + 1);
    const double *x = shared + step % kStages * 2 * kStage, *y = x + kStage;
#pragma unroll
    for (int k = 0; k < kGemmDepth; k += 4) {
      double fa[4], fb[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        fa[i] = x[(k + lane) * kLine + row0 + 8 * i];
        fb[i] = y[(k + lane) * kLine + column0 + 8 * i];
      }
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) mma_m8n8k4_f64(sum[i][j], fa[i], fb[j]);
    }
  }
  double* out = p.out + split * p.split_stride + batch * p.m * p.n;
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j)
#pragma unroll
      for (int u = 0; u < 2; ++u) {
        const int m = m0 + row0 + 8 * i, n = n0 + warp % 2 * 32 + 8 * j + 2 * lane + u;
        if (m < p.m && n < p.n) out[int64_t{m} * p.n + n] = sum[i][j][u];
      }
}

__global__ void __launch_bounds__(256) add_f64_splits(Guard guard, const double* partial, int64_t splits, int64_t count, double* out) {
  if (guard.stopped()) return;
  const int64_t stride = int64_t{gridDim.x} * 256;
  for (int64_t i = int64_t{blockIdx.x} * 256 + threadIdx.x; i < count; i += stride) {
    double sum = partial[i];
    for (int64_t split = 1; split < splits; ++split) sum += partial[split * count + i];
    out[i] = sum;
  }
}

GemmPlan plan_of(const Matmul<double>& p) { return gemm_plan({p.batch, p.m, p.n, p.k}, {false, false, false}); }

}  // namespace

int64_t matmul_workspace_bytes(const Matmul<double>& p) {
  const GemmPlan plan = plan_of(p);
  return plan.splits > 1 ? plan.splits * p.batch * p.m * p.n * int64_t{sizeof(double)} : 0;
}

Status launch_matmul(const Matmul<double>& p, void* workspace, const Context& context) {
  const GemmPlan plan = plan_of(p);
  const int64_t count = p.batch * p.m * p.n, blocks = plan.blocks(p.batch), most = int64_t{1} << 30;
  const bool split = plan.splits > 1;
  Product product = {
      int(p.m),
      int(p.n),
      int(p.k),
      int(plan.split_depth),
      {p.a, p.transpose_a ? 1 : p.k, p.transpose_a ? p.m : 1},
      {p.b, p.transpose_b ? p.k : 1, p.transpose_b ? 1 : p.n},
      p.a_batch,
      p.b_batch,
      split ? static_cast<double*>(workspace) : p.out,
      count,
      0,
      uint32_t(plan.tiles_m),
      uint32_t(plan.tiles_n),
      uint32_t(plan.splits),
  };
  for (; product.first < blocks; product.first += most) {
    const int64_t left = blocks - product.first;
    ALUDEL_RETURN_IF_ERROR(launched(context, matmul_f64, static_cast<unsigned>(left < most ? left : most), kThreads, kShared, product));
  }
  if (!split) return {};
  return launched(context, add_f64_splits, grid_for(count, 256, *context.device), 256, 0, product.out, plan.splits, count, p.out);
}

}  // namespace aludel::cuda
