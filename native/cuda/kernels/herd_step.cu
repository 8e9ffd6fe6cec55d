// herd_step: one pick of herding. The point that rows are measured against is written down; a warp a panel for squared distances to it, or
// products with it, and the least of those; one block for the least of all and the new target.
#include "native/cuda/kernels/refusal.cuh"
#include "native/cuda/kernels/row_panels.cuh"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 256;

struct Workspace {
  double* point;    // [D]
  Leader* leaders;  // [panels]
};

__global__ void __launch_bounds__(kThreads)
    make_point(Guard guard, const double* target, const double* mean, double* point, int64_t width, bool residual) {
  if (guard.stopped()) return;
  const int64_t stride = int64_t{gridDim.x} * kThreads;
  for (int64_t d = int64_t{blockIdx.x} * kThreads + threadIdx.x; d < width; d += stride)
    point[d] = residual ? target[d] + mean[d] : target[d];
}

// Also hands the counts on; the row that is picked is counted later.
template <typename Term, bool negated>
__global__ void __launch_bounds__(kPanelThreads)
    least_of_panels(Guard guard, Panels panels, const int32_t* taken, int32_t* counted, Workspace work, bool repeats) {
  if (guard.stopped()) return;
  ALUDEL_DYNAMIC_SHARED(PanelStage, ring);
  const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
  const int64_t p = int64_t{blockIdx.x} * kPanelWarps + warp, r = p * kPanelRows + lane;
  if (p >= panels.count) return;
  const double sum = panel_sum<Term>(panels.panel(p), work.point, panels.width, ring + warp * kPanelStages);
  Leader own = {negated ? -sum : sum, -1};
  if (r < panels.rows) {
    const int32_t times = taken[r];
    counted[r] = times;
    if (repeats || times == 0) own.row = static_cast<int32_t>(r);
  }
  own = warp_leader(own);
  if (lane == 0) work.leaders[p] = own;
}

__global__ void __launch_bounds__(kThreads) take_row(Guard guard, Panels panels, Workspace work, const double* mean, double* target,
                                                     int32_t* counted, int32_t* chosen, bool residual, Refusal refusal) {
  if (guard.stopped()) return;
  const Leader least = leader_of<kThreads>(work.leaders, panels.count);
  if (least.row >= 0) {
    const float* row = panels.row(least.row);
    for (int64_t d = threadIdx.x; d < panels.width; d += kThreads) {
      const double left = work.point[d] - static_cast<double>(row[d * kPanelRows]);
      target[d] = residual ? left : left + mean[d];
    }
  }
  if (threadIdx.x != 0) return;
  *chosen = least.row;
  if (least.row >= 0) {
    counted[least.row] += 1;
  } else {
    refusal.refuse(-1, kAllTaken, panels.rows);
  }
}

Panels panels_in(const KernelArgs& args) { return panels_of(args.in[0], args.in[3].dims[0]); }

Workspace workspace_of(const Panels& panels, void* at) {
  double* point = static_cast<double*>(at);
  return {point, reinterpret_cast<Leader*>(point + round_up(panels.width, 2))};
}

int64_t workspace_bytes(const KernelArgs& args, const DeviceInfo&) {
  const Panels panels = panels_in(args);
  return round_up(panels.width, 2) * 8 + panels.count * static_cast<int64_t>(sizeof(Leader));
}

Status launch_step(const KernelArgs& args, const Context& context) {
  const Panels panels = panels_in(args);
  const Workspace work = workspace_of(panels, context.workspace);
  const bool residual = args.attrs[0] == 0, repeats = args.attrs[1] != 0;
  const double *mean = args.in[1].as<const double>(), *target = args.in[2].as<const double>();
  int32_t* counted = args.out[1].as<int32_t>();
  ALUDEL_RETURN_IF_ERROR(launched(context, make_point, grid_for(panels.width, kThreads, *context.device), kThreads, 0, target, mean,
                                  work.point, panels.width, residual));
  const auto kernel = residual ? least_of_panels<SquaredDifference, false> : least_of_panels<Product, true>;
  ALUDEL_RETURN_IF_ERROR(launched(context, kernel, static_cast<unsigned>(panels.blocks()), kPanelThreads, kPanelShared, panels,
                                  args.in[3].as<const int32_t>(), counted, work, repeats));
  return launched(context, take_row, 1, kThreads, 0, panels, work, mean, args.out[0].as<double>(), counted, args.out[2].as<int32_t>(),
                  residual, refusal_of(context));
}

}  // namespace

extern const Kernel kernel_herd_step;
const Kernel kernel_herd_step = {workspace_bytes, launch_step};

}  // namespace aludel::cuda
