// Argument checks of the norm_act_pool family. A program is untrusted: what passes here must be safe to run.
#include "native/cpu/kernels/norm.h"
#include "native/cpu/kernels/powers.h"

namespace aludel::cpu::ALUDEL_ISA {

namespace {

bool is_integer_in(double v, double low, double high) { return v >= low && v <= high && v == (double)(int64_t)v; }

Status check_attributes(const KernelArgs& args, const char* op, bool sums) {
  if (args.nattrs != (sums ? 6 : 5)) {
    return fail(Code::invalid_program, "%s: expected %d attributes (kind, groups, eps, relu, pool%s), got %d", op, sums ? 6 : 5,
                sums ? ", power" : "", args.nattrs);
  }
  const double *a = args.attrs, C = (double)args.in[0].dims[4];
  if (!is_integer_in(a[0], 0, 2)) return fail(Code::invalid_program, "%s: expected kind 0, 1 or 2, got %g", op, a[0]);
  const bool divides = is_integer_in(a[1], 1, C) && args.in[0].dims[4] % (int64_t)a[1] == 0;
  if (a[0] == kGroupNorm && !divides) {
    return fail(Code::invalid_program, "%s: expected groups that divide C = %g, got %g", op, C, a[1]);
  }
  if (!(a[2] >= 0 && a[2] <= 1e30)) return fail(Code::invalid_program, "%s: expected a finite eps >= 0, got %g", op, a[2]);
  if (!is_integer_in(a[3], 0, 1)) return fail(Code::invalid_program, "%s: expected relu 0 or 1, got %g", op, a[3]);
  if (a[4] != 0 && a[4] != 2) return fail(Code::invalid_program, "%s: expected pool 0 or 2, got %g", op, a[4]);
  if (sums && !(is_integer_in(a[5], 1, kMaxPower) && a[3] == 1)) {
    return fail(Code::invalid_program, "%s: expected a power from 1 to %d with relu 1, got %g with relu %g", op, kMaxPower, a[5], a[3]);
  }
  return {};
}

Status check_x(const KernelArgs& args, const char* op) {
  const TensorRef& x = args.in[0];
  if (x.dtype != DType::f32 || x.rank != 5) {
    return fail(Code::invalid_program, "%s: expected f32 x [G,N,H,W,C], got dtype %d, rank %d", op, (int)x.dtype, x.rank);
  }
  int64_t numel = 1;
  for (int i = 0; i < 5; ++i) {
    if (x.dims[i] < 1 || __builtin_mul_overflow(numel, x.dims[i], &numel) || numel > (int64_t{1} << 48)) {
      return fail(Code::invalid_program, "%s: expected x with positive dimensions, got %lld at axis %d", op, (long long)x.dims[i], i);
    }
  }
  return {};
}

// The shape that an operand must have; returns its rank.
int operand_shape(NormOperand operand, const NormShape& s, double kind, int64_t* dims) {
  dims[0] = s.G, dims[1] = s.N;
  switch (operand) {
    case NormOperand::x:
      dims[2] = s.H, dims[3] = s.W, dims[4] = s.C;
      return 5;
    case NormOperand::y:
      dims[2] = s.OH, dims[3] = s.OW, dims[4] = s.C;
      return 5;
    case NormOperand::channel:
      dims[1] = s.C;
      return 2;
    case NormOperand::statistic:
      if (kind == kBatchNorm) {
        dims[1] = s.C;
        return 2;
      }
      dims[2] = s.C / s.set_channels;
      return 3;
    case NormOperand::row_weights:
      return 2;
    case NormOperand::position:
      dims[2] = s.H, dims[3] = s.W;
      return 4;
    case NormOperand::image_channel:
      dims[2] = s.C;
      return 3;
  }
  return 0;
}

Status check_operand(const TensorRef& t, const char* op, const char* role, int position, const int64_t* dims, int rank) {
  bool same = t.dtype == DType::f32 && t.rank == rank;
  for (int i = 0; same && i < rank; ++i) same = t.dims[i] == dims[i];
  if (same) return {};
  char want[96] = {0};
  for (int i = 0, at = 0; i < rank && at < 90; ++i) {
    at += snprintf(want + at, sizeof want - (size_t)at, i ? ",%lld" : "%lld", (long long)dims[i]);
  }
  return fail(Code::invalid_program, "%s: expected f32 [%s] as %s %d, got another shape or dtype %d (rank %d)", op, want, role, position,
              (int)t.dtype, t.rank);
}

}  // namespace

Status check_norm(const KernelArgs& args, const char* op, const NormOperand* inputs, int nin, const NormOperand* outputs, int nout,
                  bool sums) {
  if ((args.nin != nin && args.nin != nin - 1) || args.nout != nout) {
    return fail(Code::invalid_program, "%s: expected %d or %d inputs and %d outputs, got %d and %d", op, nin - 1, nin, nout, args.nin,
                args.nout);
  }
  ALUDEL_RETURN_IF_ERROR(check_x(args, op));
  ALUDEL_RETURN_IF_ERROR(check_attributes(args, op, sums));
  if (args.nin == nin && args.attrs[0] != kBatchNorm) {
    return fail(Code::invalid_program, "%s: row weights are only for batch norm (kind 2), got kind %g", op, args.attrs[0]);
  }
  const NormShape s = norm_shape(args, nin - 1);
  int64_t dims[kMaxRank];
  for (int i = 0; i < args.nin; ++i) {
    const int rank = operand_shape(inputs[i], s, args.attrs[0], dims);
    ALUDEL_RETURN_IF_ERROR(check_operand(args.in[i], op, "input", i, dims, rank));
  }
  for (int i = 0; i < nout; ++i) {
    const int rank = operand_shape(outputs[i], s, args.attrs[0], dims);
    ALUDEL_RETURN_IF_ERROR(check_operand(args.out[i], op, "output", i, dims, rank));
  }
  return {};
}

}  // namespace aludel::cpu::ALUDEL_ISA
