// A fused elementwise micro-program: parsed once per instruction from attributes that nobody has vouched for.
#pragma once
#include "native/cpu/kernels/checks.h"
#include "native/cpu/kernels/elementwise_ops.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int kMaxOps = 256;
constexpr int kMaxRegisters = 512;
constexpr int kMaxOutputs = 64;

struct MicroOp {
  int code, dst, operand[3];
};

struct MicroProgram {
  int nops, nregisters, noutputs;
  MicroOp ops[kMaxOps];
  int output_register[kMaxOutputs];
};

// A plain elementwise instruction is the one-op program with its inputs in registers 0, 1, 2.
[[maybe_unused]] Status plain_program(const KernelArgs& args, MicroProgram* program) {
  int operands = operand_count(args.opcode);
  if (operands == 0) return fail(Code::invalid_program, "elementwise: opcode %d is not elementwise", args.opcode);
  if (args.nattrs != 0 || args.nin != operands || args.nout != 1)
    return fail(Code::invalid_program, "elementwise opcode %d: expected %d inputs, 1 output and no attributes; got %d, %d, %d", args.opcode,
                operands, args.nin, args.nout, args.nattrs);
  *program = {};
  program->nops = 1;
  program->nregisters = operands + 1;
  program->noutputs = 1;
  program->ops[0] = {args.opcode, operands, {0, operands > 1 ? 1 : -1, operands > 2 ? 2 : -1}};
  program->output_register[0] = operands;
  return {};
}

// Reads one op; operands must be inputs or registers written by an earlier op.
[[maybe_unused]] Status parse_op(const KernelArgs& args, const double* attrs, int index, bool* written, MicroProgram* program) {
  int64_t code, dst;
  MicroOp op = {0, 0, {-1, -1, -1}};
  if (!integer_attr(attrs[0], 0, kOpcodeCount - 1, &code) || operand_count(static_cast<int>(code)) == 0)
    return fail(Code::invalid_program, "map: op %d has code %g, which is not elementwise", index, attrs[0]);
  if (!integer_attr(attrs[1], args.nin, kMaxRegisters - 1, &dst))
    return fail(Code::invalid_program, "map: op %d writes register %g; expected %d..%d", index, attrs[1], args.nin, kMaxRegisters - 1);
  op.code = static_cast<int>(code);
  op.dst = static_cast<int>(dst);
  for (int k = 0; k < operand_count(op.code); ++k) {
    int64_t r;
    if (!integer_attr(attrs[2 + k], 0, kMaxRegisters - 1, &r) || !written[r])
      return fail(Code::invalid_program, "map: op %d reads register %g, which nothing has written", index, attrs[2 + k]);
    op.operand[k] = static_cast<int>(r);
  }
  written[dst] = true;
  if (op.dst >= program->nregisters) program->nregisters = op.dst + 1;
  program->ops[index] = op;
  return {};
}

[[maybe_unused]] Status map_program(const KernelArgs& args, MicroProgram* program) {
  *program = {};
  int64_t nops, noutputs;
  if (args.nin < 0 || args.nin > kMaxRegisters / 2)
    return fail(Code::invalid_program, "map: %d inputs; expected at most %d", args.nin, kMaxRegisters / 2);
  if (args.nattrs < 2 || !integer_attr(args.attrs[0], 0, kMaxOps, &nops))
    return fail(Code::invalid_program, "map: expected an op count of 0..%d", kMaxOps);
  if (args.nattrs < 2 + 5 * nops || !integer_attr(args.attrs[1 + 5 * nops], 1, kMaxOutputs, &noutputs) ||
      args.nattrs != 2 + 5 * nops + noutputs || args.nout != noutputs)
    return fail(Code::invalid_program, "map: %d attributes and %d outputs do not fit %d ops", args.nattrs, args.nout,
                static_cast<int>(nops));
  bool written[kMaxRegisters] = {};
  for (int i = 0; i < args.nin; ++i) written[i] = true;
  program->nops = static_cast<int>(nops);
  program->noutputs = static_cast<int>(noutputs);
  program->nregisters = args.nin;
  for (int i = 0; i < program->nops; ++i) ALUDEL_RETURN_IF_ERROR(parse_op(args, args.attrs + 1 + 5 * i, i, written, program));
  for (int i = 0; i < program->noutputs; ++i) {
    int64_t r;
    double value = args.attrs[2 + 5 * nops + i];
    if (!integer_attr(value, 0, kMaxRegisters - 1, &r) || !written[r])
      return fail(Code::invalid_program, "map: output %d names register %g, which nothing has written", i, value);
    program->output_register[i] = static_cast<int>(r);
  }
  return {};
}

// NumPy broadcasting of input shape to output shape.
ALUDEL_INLINE bool broadcasts_to(const TensorRef& in, const TensorRef& out) {
  if (in.rank > out.rank) return false;
  for (int d = 0; d < in.rank; ++d) {
    int64_t have = in.dims[d], want = out.dims[out.rank - in.rank + d];
    if (have != want && have != 1) return false;
  }
  return true;
}

}  // namespace
}  // namespace aludel::cpu::ALUDEL_ISA
