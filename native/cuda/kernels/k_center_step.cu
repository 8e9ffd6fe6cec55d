// k_center_step: one pick of k-center greedy. The row that is taken is looked at and copied; a warp a panel for the distances to it, the
// nearest so far and the farthest of those; one block for the farthest of all.
#include "native/cuda/kernels/refusal.cuh"
#include "native/cuda/kernels/row_panels.cuh"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 256;

// What the launches of a pick hand on.
struct Workspace {
  double* centre;   // [D]
  Leader* leaders;  // [panels], by nearest distance negated
  int32_t* chosen;  // a row, whatever the indices held
};

__global__ void __launch_bounds__(kThreads)
    take_centre(Guard guard, Panels panels, const int32_t* next, const int32_t* given, Workspace work, Refusal refusal) {
  if (guard.stopped()) return;
  __syncthreads();  // all have looked before one writes
  const int32_t wanted = *given >= 0 ? *given : *next;
  const bool inside = wanted >= 0 && wanted < panels.rows;
  const int32_t chosen = inside ? wanted : 0;
  const float* row = panels.row(chosen);
  for (int64_t d = threadIdx.x; d < panels.width; d += kThreads) work.centre[d] = static_cast<double>(row[d * kPanelRows]);
  if (threadIdx.x != 0) return;
  *work.chosen = chosen;
  if (!inside) refusal.refuse(wanted, 0, panels.rows);
}

__global__ void __launch_bounds__(kPanelThreads)
    update_nearest(Guard guard, Panels panels, const double* before, double* nearest, Workspace work) {
  if (guard.stopped()) return;
  ALUDEL_DYNAMIC_SHARED(PanelStage, ring);
  const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
  const int64_t p = int64_t{blockIdx.x} * kPanelWarps + warp, r = p * kPanelRows + lane;
  if (p >= panels.count) return;
  const double distance = panel_sum<SquaredDifference>(panels.panel(p), work.centre, panels.width, ring + warp * kPanelStages);
  Leader own = {0, -1};
  if (r < panels.rows) {
    const double known = before[r];
    const double value = r == *work.chosen || known < 0 ? -1 : distance < known ? distance : known;
    nearest[r] = value;
    if (value > -1) own = {-value, static_cast<int32_t>(r)};
  }
  own = warp_leader(own);
  if (lane == 0) work.leaders[p] = own;
}

__global__ void __launch_bounds__(kThreads)
    farthest_row(Guard guard, int64_t panels, Workspace work, int32_t* next, int32_t* chosen, double* radius) {
  if (guard.stopped()) return;
  const Leader farthest = leader_of<kThreads>(work.leaders, panels);
  if (threadIdx.x != 0) return;
  *next = farthest.row;
  *chosen = *work.chosen;
  *radius = farthest.row < 0 ? 0 : sqrt(-farthest.value);
}

Panels panels_in(const KernelArgs& args) { return panels_of(args.in[0], args.in[1].dims[0]); }

Workspace workspace_of(const Panels& panels, void* at) {
  double* centre = static_cast<double*>(at);
  Leader* leaders = reinterpret_cast<Leader*>(centre + round_up(panels.width, 2));
  return {centre, leaders, reinterpret_cast<int32_t*>(leaders + panels.count)};
}

int64_t workspace_bytes(const KernelArgs& args, const DeviceInfo&) {
  const Panels panels = panels_in(args);
  return round_up(panels.width, 2) * 8 + panels.count * static_cast<int64_t>(sizeof(Leader)) + 4;
}

Status launch_step(const KernelArgs& args, const Context& context) {
  const Panels panels = panels_in(args);
  const Workspace work = workspace_of(panels, context.workspace);
  ALUDEL_RETURN_IF_ERROR(launched(context, take_centre, 1, kThreads, 0, panels, args.in[2].as<const int32_t>(),
                                  args.in[3].as<const int32_t>(), work, refusal_of(context)));
  ALUDEL_RETURN_IF_ERROR(launched(context, update_nearest, static_cast<unsigned>(panels.blocks()), kPanelThreads, kPanelShared, panels,
                                  args.in[1].as<const double>(), args.out[0].as<double>(), work));
  return launched(context, farthest_row, 1, kThreads, 0, panels.count, work, args.out[1].as<int32_t>(), args.out[2].as<int32_t>(),
                  args.out[3].as<double>());
}

}  // namespace

extern const Kernel kernel_k_center_step;
const Kernel kernel_k_center_step = {workspace_bytes, launch_step};

}  // namespace aludel::cuda
