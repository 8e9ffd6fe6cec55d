// Argument checks of the pooling kernels. A program is untrusted: what passes here must be safe to run.
#include "native/cpu/kernels/pool.h"

namespace aludel::cpu::ALUDEL_ISA {

namespace {

Status check_window(const KernelArgs& args, const char* op, const TensorRef& image) {
  if (args.nattrs != 4) {
    return fail(Code::invalid_program, "%s: expected 4 attributes (window and stride, height and width), got %d", op, args.nattrs);
  }
  for (int i = 0; i < 4; ++i) {
    // A window must fit; 2^15 keeps the position in a window within 32 bits.
    const double v = args.attrs[i], limit = i < 2 ? (double)smaller(image.dim(i - 3), 1 << 15) : 1 << 30;
    if (!(v >= 1 && v <= limit) || v != (double)(int64_t)v) {
      return fail(Code::invalid_program, "%s: expected a whole number from 1 to %g as attribute %d, got %g", op, limit, i, v);
    }
  }
  return {};
}

Status check_image(const char* op, const TensorRef& image) {
  if (image.dtype != DType::f32 || image.rank < 3 || image.rank > kMaxRank) {
    return fail(Code::invalid_program, "%s: expected f32 [...,H,W,C], got dtype %d, rank %d", op, (int)image.dtype, image.rank);
  }
  int64_t numel = 1;
  for (int i = 0; i < image.rank; ++i) {
    if (image.dims[i] < 1 || __builtin_mul_overflow(numel, image.dims[i], &numel) || numel > (int64_t{1} << 48)) {
      return fail(Code::invalid_program, "%s: expected positive dimensions, got %lld at axis %d", op, (long long)image.dims[i], i);
    }
  }
  return {};
}

Status check_operand(const TensorRef& t, const char* op, const char* role, const TensorRef& image, const PoolShape& s, PoolSide side) {
  bool same = t.dtype == DType::f32 && t.rank == image.rank;
  for (int i = 0; same && i < image.rank; ++i) {
    const bool pooled = side == PoolSide::pooled;
    const int64_t want = pooled && i == image.rank - 3 ? s.OH : pooled && i == image.rank - 2 ? s.OW : image.dims[i];
    if (t.dims[i] != want) {
      return fail(Code::invalid_program, "%s: expected %lld at axis %d of %s, got %lld", op, (long long)want, i, role,
                  (long long)t.dims[i]);
    }
  }
  if (same) return {};
  return fail(Code::invalid_program, "%s: expected f32 of rank %d as %s, got dtype %d, rank %d", op, image.rank, role, (int)t.dtype,
              t.rank);
}

}  // namespace

Status check_pool(const KernelArgs& args, const char* op, const TensorRef& image, const PoolSide* inputs, int nin, PoolSide output) {
  ALUDEL_RETURN_IF_ERROR(check_image(op, image));
  ALUDEL_RETURN_IF_ERROR(check_window(args, op, image));
  const PoolShape s = pool_shape(image, args.attrs);
  for (int i = 0; i < nin; ++i) ALUDEL_RETURN_IF_ERROR(check_operand(args.in[i], op, i == 0 ? "x" : "input 1", image, s, inputs[i]));
  return check_operand(args.out[0], op, "the output", image, s, output);
}

}  // namespace aludel::cpu::ALUDEL_ISA
