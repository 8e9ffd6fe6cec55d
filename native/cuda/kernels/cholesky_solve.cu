// cholesky_solve: the solves of native/cuda/linalg/triangular_solve.h, which want the inverses of the factor's diagonal blocks. Those are
// made here, all at once: the factor that comes in is a plain matrix.
#include "native/cuda/kernels/launching.h"
#include "native/cuda/linalg/cholesky_blocks.cuh"
#include "native/cuda/linalg/triangular_solve.h"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kSide = static_cast<int>(kCholeskyBlock);
constexpr size_t kInvertBytes = 2 * kBlockElements * sizeof(double);

struct Workspace {
  CholeskyState* state;
  double* blocks;
  double* half_way;
};

constexpr int64_t kStateBytes = 256;

Workspace workspace_of(void* at, int64_t n) {
  char* bytes = static_cast<char*>(at);
  return {static_cast<CholeskyState*>(at), reinterpret_cast<double*>(bytes + kStateBytes),
          reinterpret_cast<double*>(bytes + kStateBytes + cholesky_blocks_bytes(n))};
}

// A block of threads a diagonal block: a thread substitutes for one column of the inverse.
__global__ void __launch_bounds__(kSide) invert_blocks(Guard guard, const double* l, int64_t n, double* blocks, CholeskyState* state) {
  if (guard.stopped()) return;
  ALUDEL_DYNAMIC_SHARED(double, own);
  double* inverse = own + kBlockElements;
  const int column = static_cast<int>(threadIdx.x);
  const int64_t block = blockIdx.x, first = block * kSide;
  const int rows = rows_of(n, block);
  if (block == 0 && column == 0) *state = cholesky_start();
  for (int i = 0; i < kSide; ++i) {
    const bool inside = i < rows && column <= i;
    own[i * kSide + column] = inside ? l[(first + i) * n + first + column] : i == column ? 1 : 0;
    inverse[i * kSide + column] = 0;
  }
  __syncthreads();
  for (int i = column; i < kSide; ++i) {
    double sum = i == column ? 1 : 0;
    for (int p = column; p < i; ++p) sum = __fma_rn(-own[i * kSide + p], inverse[p * kSide + column], sum);
    inverse[i * kSide + column] = sum / own[i * kSide + i];
  }
  double *inverse_to = inverse_of_block(blocks, block), *block_to = diagonal_block(blocks, block);
  for (int i = 0; i < kSide; ++i) {
    inverse_to[i * kSide + column] = inverse[i * kSide + column];
    block_to[i * kSide + column] = own[i * kSide + column];
  }
}

__global__ void __launch_bounds__(kThreads) copy_sides(Guard guard, const double* from, double* to, int64_t n) {
  if (guard.stopped()) return;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += int64_t{gridDim.x} * kThreads) to[i] = from[i];
}

int64_t workspace_bytes(const KernelArgs& args, const DeviceInfo&) {
  const int64_t n = args.in[0].dims[0];
  return kStateBytes + cholesky_blocks_bytes(n) + cholesky_solve_workspace_bytes(n, args.in[1].dims[1]);
}

Status launch_kernel(const KernelArgs& args, const Context& context) {
  const int64_t n = args.in[0].dims[0], columns = args.in[1].dims[1];
  if (n == 0 || columns == 0) return {};
  const Workspace work = workspace_of(context.workspace, n);
  double *l = args.in[0].as<double>(), *x = args.out[0].as<double>();
  const int64_t sides = n * columns;
  ALUDEL_RETURN_IF_ERROR(
      launched(context, copy_sides, grid_for(sides, kThreads, *context.device), kThreads, 0, args.in[1].as<const double>(), x, sides));
  ALUDEL_RETURN_IF_ERROR(
      launched(context, invert_blocks, static_cast<unsigned>(ceil_div(n, kSide)), kSide, kInvertBytes, l, n, work.blocks, work.state));
  return launch_cholesky_solve({{l, n, n}, work.blocks, work.state}, x, columns, work.half_way, context);
}

}  // namespace

extern const Kernel kernel_cholesky_solve;
const Kernel kernel_cholesky_solve = {workspace_bytes, launch_kernel};

}  // namespace aludel::cuda
