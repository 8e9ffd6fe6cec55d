// herd_step: one pick of herding. A pass over all rows: squared distances to the target, or products with it, and the least of those.
#include "native/cpu/kernels/row_panels.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr const char* kOp = "herd_step";

bool is_point(const TensorRef& t, int64_t width) { return t.dtype == DType::f64 && t.rank == 1 && t.dims[0] == width; }
bool is_counts(const TensorRef& t) { return t.dtype == DType::i32 && t.rank == 1; }

Status check(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_arity(kOp, args, 4, 3, 2));
  const TensorRef &taken = args.in[3], &chosen = args.out[2];
  if (!is_counts(taken) || !is_counts(args.out[1]) || !same_shape(taken, args.out[1])) return wrong(kOp, "i32 counts [N]");
  ALUDEL_RETURN_IF_ERROR(check_panels(kOp, args.in[0], taken.dims[0]));
  const int64_t width = args.in[0].dims[1];
  if (!is_point(args.in[1], width) || !is_point(args.in[2], width) || !is_point(args.out[0], width))
    return wrong(kOp, "f64 mean and target [D]");
  if (chosen.dtype != DType::i32 || chosen.rank != 0) return wrong(kOp, "an i32 scalar for the row");
  int64_t rule, repeats;
  return integer_attr(args.attrs[0], 0, 1, &rule) && integer_attr(args.attrs[1], 0, 1, &repeats) ? Status{}
                                                                                                 : wrong(kOp, "rule and repeats of 0 or 1");
}

Panels panels_of(const KernelArgs& args) { return panels_of(args.in[0], args.in[3].dims[0]); }

int64_t shared_bytes(const KernelArgs& args) { return panels_of(args).tasks() * static_cast<int64_t>(sizeof(Leader)); }

ALUDEL_INLINE bool leads(double value, const Leader& other) { return other.row < 0 || value < other.value; }

Status run(const KernelArgs& args, Exec& exec) {
  const Panels panels = panels_of(args);
  const bool residual = args.attrs[0] == 0, repeats = args.attrs[1] != 0;
  const double *mean = args.in[1].as<const double>(), *before = args.in[2].as<const double>();
  const int32_t* taken = args.in[3].as<const int32_t>();
  double* target = args.out[0].as<double>();
  Leader* leaders = static_cast<Leader*>(exec.shared);
  for (int64_t d = 0; d < panels.width; ++d) target[d] = residual ? before[d] + mean[d] : before[d];
  parallel_for(exec, panels.tasks(), [&](int64_t task, void*) {
    Leader nearest{0, -1};
    for (int64_t p = task * panels.per_task(); p < min_of(panels.count, (task + 1) * panels.per_task()); ++p) {
      double values[kPanelRows];
      if (residual)
        panel_distances(panels.panel(p), target, panels.width, values);
      else
        panel_products(panels.panel(p), target, panels.width, values);
      for (int64_t i = 0; i < min_of(kPanelRows, panels.rows - p * kPanelRows); ++i) {
        const int64_t r = p * kPanelRows + i;
        const double value = residual ? values[i] : -values[i];
        if ((repeats || taken[r] == 0) && leads(value, nearest)) nearest = {value, r};
      }
    }
    leaders[task] = nearest;
  });
  Leader nearest{0, -1};
  for (int64_t task = 0; task < panels.tasks(); ++task)
    if (leaders[task].row >= 0 && leads(leaders[task].value, nearest)) nearest = leaders[task];
  if (nearest.row < 0) return fail(Code::invalid_index, "%s: all %lld rows were taken", kOp, static_cast<long long>(panels.rows));
  const float* row = panels.row(nearest.row);
  for (int64_t d = 0; d < panels.width; ++d) {
    target[d] -= static_cast<double>(row[d * kPanelRows]);
    if (!residual) target[d] += mean[d];
  }
  int32_t* counted = args.out[1].as<int32_t>();
  memcpy(counted, taken, static_cast<size_t>(panels.rows) * sizeof(int32_t));
  counted[nearest.row] += 1;
  *args.out[2].as<int32_t>() = static_cast<int32_t>(nearest.row);
  return {};
}

}  // namespace

extern const Kernel kernel_herd_step;
const Kernel kernel_herd_step = {check, nullptr, run, shared_bytes};

}  // namespace aludel::cpu::ALUDEL_ISA
