// cholesky: the factorisation of native/cuda/linalg/cholesky.h behind a copy of the matrix with its ridge. All tries are put on the stream,
// as nothing is read on the host; those behind one that succeeded do nothing.
#include "native/cuda/kernels/launching.h"
#include "native/cuda/linalg/cholesky_blocks.cuh"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kTries = 6;
constexpr double kGrowth = 10;
constexpr int64_t kNotNeeded = INT64_MAX;  // CholeskyState::failed of a try behind one that succeeded

struct Workspace {
  CholeskyState* states;  // [kTries]
  double* blocks;
};

constexpr int64_t kStateBytes = 256;
static_assert(kTries * sizeof(CholeskyState) <= kStateBytes);

Workspace workspace_of(void* at) {
  return {static_cast<CholeskyState*>(at), reinterpret_cast<double*>(static_cast<char*>(at) + kStateBytes)};
}

__device__ __forceinline__ bool is_over(const CholeskyState* states, int before) {
  return before > 0 && (states[before - 1].failed < 0 || states[before - 1].failed == kNotNeeded);
}

// L := the lower triangle of A, ridge * multiplier added to its diagonal; zeros above.
__global__ void __launch_bounds__(kThreads) begin_try(Guard guard, const double* a, const double* ridge, double* l, int64_t n, int attempt,
                                                      double multiplier, CholeskyState* states) {
  if (guard.stopped()) return;
  const bool over = is_over(states, attempt);
  if (blockIdx.x == 0 && threadIdx.x == 0) {
    CholeskyState own = cholesky_start();
    if (over) own.failed = kNotNeeded;
    states[attempt] = own;
  }
  if (over) return;
  const double added = *ridge * multiplier;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n * n; i += int64_t{gridDim.x} * kThreads) {
    const int64_t row = i / n, column = i - row * n;
    l[i] = column > row ? 0 : row == column ? a[i] + added : a[i];
  }
}

__global__ void __launch_bounds__(kThreads) end_tries(Guard guard, double* l, int64_t n, const CholeskyState* states, double* info) {
  if (guard.stopped()) return;
  int last = 0;
  double multiplier = 1;
  while (last + 1 < kTries && states[last + 1].failed != kNotNeeded) {
    ++last;
    multiplier *= kGrowth;
  }
  const CholeskyState state = states[last];
  const bool failed = state.failed >= 0;
  const double none = nan("");
  if (blockIdx.x == 0 && threadIdx.x == 0) {
    info[0] = multiplier;
    info[1] = failed ? state.pivot : state.smallest;
    info[2] = failed ? none : state.largest;
    info[3] = failed ? kTries : last;
  }
  if (!failed) return;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n * n; i += int64_t{gridDim.x} * kThreads) l[i] = none;
}

int64_t workspace_bytes(const KernelArgs& args, const DeviceInfo&) { return kStateBytes + cholesky_blocks_bytes(args.in[0].dims[0]); }

Status launch_kernel(const KernelArgs& args, const Context& context) {
  const int64_t n = args.in[0].dims[0];
  const Workspace work = workspace_of(context.workspace);
  const unsigned grid = grid_for(n * n, kThreads, *context.device);
  double *l = args.out[0].as<double>(), multiplier = 1;
  for (int attempt = 0; attempt < kTries; ++attempt, multiplier *= kGrowth) {
    ALUDEL_RETURN_IF_ERROR(launched(context, begin_try, grid, kThreads, 0, args.in[0].as<const double>(), args.in[1].as<const double>(), l,
                                    n, attempt, multiplier, work.states));
    if (n > 0) ALUDEL_RETURN_IF_ERROR(launch_cholesky({l, n, n}, work.blocks, work.states + attempt, context, true));
  }
  return launched(context, end_tries, grid, kThreads, 0, l, n, work.states, args.out[1].as<double>());
}

}  // namespace

extern const Kernel kernel_cholesky;
const Kernel kernel_cholesky = {workspace_bytes, launch_kernel};

}  // namespace aludel::cuda
