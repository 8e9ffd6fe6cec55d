// k_center_step: one pick of k-center greedy. A pass over all rows: distances to the row taken, the nearest so far, and the farthest of
// those.
#include "native/cpu/kernels/row_panels.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr const char* kOp = "k_center_step";

bool is_scalar(const TensorRef& t, DType dtype) { return t.dtype == dtype && t.rank == 0; }
bool is_per_row(const TensorRef& t) { return t.dtype == DType::f64 && t.rank == 1; }

Status check(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_arity(kOp, args, 4, 4, 0));
  const TensorRef& nearest = args.in[1];
  if (!is_per_row(nearest) || !is_per_row(args.out[0]) || !same_shape(nearest, args.out[0])) return wrong(kOp, "f64 distances [N]");
  ALUDEL_RETURN_IF_ERROR(check_panels(kOp, args.in[0], nearest.dims[0]));
  const bool fits = is_scalar(args.in[2], DType::i32) && is_scalar(args.in[3], DType::i32) && is_scalar(args.out[1], DType::i32) &&
                    is_scalar(args.out[2], DType::i32) && is_scalar(args.out[3], DType::f64);
  return fits ? Status{} : wrong(kOp, "scalars: i32 next and given; i32 next and chosen, f64 radius");
}

Panels panels_of(const KernelArgs& args) { return panels_of(args.in[0], args.in[1].dims[0]); }

// The centre in float64, then one leader per task.
int64_t shared_bytes(const KernelArgs& args) {
  const Panels panels = panels_of(args);
  return round_up(panels.width * 8, 64) + panels.tasks() * static_cast<int64_t>(sizeof(Leader));
}

Status run(const KernelArgs& args, Exec& exec) {
  const Panels panels = panels_of(args);
  const int32_t given = *args.in[3].as<const int32_t>(), chosen = given >= 0 ? given : *args.in[2].as<const int32_t>();
  if (chosen < 0 || chosen >= panels.rows)
    return fail(Code::invalid_index, "%s: row %d is outside 0..%lld", kOp, chosen, static_cast<long long>(panels.rows - 1));
  const double* before = args.in[1].as<const double>();
  double *nearest = args.out[0].as<double>(), *centre = static_cast<double*>(exec.shared);
  Leader* leaders = reinterpret_cast<Leader*>(static_cast<char*>(exec.shared) + round_up(panels.width * 8, 64));
  const float* row = panels.row(chosen);
  for (int64_t d = 0; d < panels.width; ++d) centre[d] = static_cast<double>(row[d * kPanelRows]);
  parallel_for(exec, panels.tasks(), [&](int64_t task, void*) {
    Leader farthest{-1, -1};
    for (int64_t p = task * panels.per_task(); p < min_of(panels.count, (task + 1) * panels.per_task()); ++p) {
      double distances[kPanelRows];
      panel_distances(panels.panel(p), centre, panels.width, distances);
      for (int64_t i = 0; i < min_of(kPanelRows, panels.rows - p * kPanelRows); ++i) {
        const int64_t r = p * kPanelRows + i;
        const bool taken = r == chosen || before[r] < 0;
        nearest[r] = taken ? -1 : distances[i] < before[r] ? distances[i] : before[r];
        if (nearest[r] > farthest.value) farthest = {nearest[r], r};
      }
    }
    leaders[task] = farthest;
  });
  Leader farthest{-1, -1};
  for (int64_t task = 0; task < panels.tasks(); ++task)
    if (leaders[task].value > farthest.value) farthest = leaders[task];
  *args.out[1].as<int32_t>() = static_cast<int32_t>(farthest.row);
  *args.out[2].as<int32_t>() = chosen;
  *args.out[3].as<double>() = farthest.row < 0 ? 0 : sqrt(farthest.value);
  return {};
}

}  // namespace

extern const Kernel kernel_k_center_step;
const Kernel kernel_k_center_step = {check, nullptr, run, shared_bytes};

}  // namespace aludel::cpu::ALUDEL_ISA
