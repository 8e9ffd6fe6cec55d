// Reads the sections of an encoded program; program_bounds.cc then proves its addresses.
#include "native/core/program.h"

#include <cmath>

#include "native/core/byte_reader.h"
#include "native/core/program_bounds.h"

namespace aludel {
namespace {

constexpr uint32_t kMagic = 0x31444C41;  // 'ALD1'
constexpr uint64_t kMaxBytes = uint64_t{1} << 46;
constexpr uint32_t kMaxArguments = 1 << 16;
constexpr size_t kSmallestValue = 48;
constexpr size_t kSmallestInstruction = 8;

struct Header {
  uint32_t values, instructions, arguments, constant_bytes;
};

Status read_header(ByteReader& reader, Header* header, Program* program) {
  const uint32_t magic = reader.read<uint32_t>();
  const uint32_t hash = reader.read<uint32_t>();
  header->values = reader.read<uint32_t>();
  header->instructions = reader.read<uint32_t>();
  header->arguments = reader.read<uint32_t>();
  header->constant_bytes = reader.read<uint32_t>();
  const uint64_t arena = reader.read<uint64_t>();
  const uint64_t local = reader.read<uint64_t>();
  if (!reader.ok()) return fail(Code::invalid_program, "program: expected a 40-byte header but the bytes end before");
  if (magic != kMagic) return fail(Code::invalid_program, "program: expected magic ALD1 but received 0x%08x", magic);
  if (hash != kOpcodeHash) {
    return fail(Code::invalid_program,
                "program: expected opcode hash 0x%08x but received 0x%08x; rebuild the addon and the package together", kOpcodeHash, hash);
  }
  if (arena > kMaxBytes || local > kMaxBytes) {
    return fail(Code::out_of_memory, "the program's working memory needs %llu bytes, which no system gives; use a smaller batch",
                static_cast<unsigned long long>(arena > local ? arena : local));
  }
  if (header->arguments > kMaxArguments) {
    return fail(Code::invalid_program, "program: expected at most %u arguments but received %u", kMaxArguments, header->arguments);
  }
  program->arena_bytes = static_cast<int64_t>(arena);
  program->local_bytes = static_cast<int64_t>(local);
  program->constant_bytes = header->constant_bytes;
  return {};
}

Status read_value(ByteReader& reader, uint32_t index, uint32_t arguments, Value* value) {
  const uint8_t dtype = reader.read<uint8_t>();
  const uint8_t rank = reader.read<uint8_t>();
  const uint8_t storage = reader.read<uint8_t>();
  const uint8_t flags = reader.read<uint8_t>();
  value->argument = reader.read<uint32_t>();
  if (dtype > 4 || rank > kMaxRank || storage > 3 || flags > 1) {
    return fail(Code::invalid_program, "value %u: no such dtype %u, rank %u, storage %u or flags %u", index, dtype, rank, storage, flags);
  }
  value->dtype = static_cast<DType>(dtype);
  value->rank = rank;
  value->storage = static_cast<Storage>(storage);
  value->step_scalar = flags == 1;
  uint64_t bytes = static_cast<uint64_t>(size_of(value->dtype));
  for (int d = 0; d < rank; ++d) {
    const uint32_t dim = reader.read<uint32_t>();
    if (reader.ok() && (dim == 0 || bytes > kMaxBytes / dim))
      return fail(Code::invalid_program, "value %u: dimension %d is %u", index, d, dim);
    bytes *= dim;
    value->dims[d] = dim;
  }
  value->bytes = static_cast<int64_t>(bytes);
  value->offset = reader.read<uint64_t>();
  value->slice_stride = reader.read<uint64_t>();
  value->lane_stride = reader.read<uint64_t>();
  value->slots = reader.read<uint32_t>();
  value->slot_mul = reader.read<int32_t>();
  value->slot_add = reader.read<int32_t>();
  reader.read<uint32_t>();
  if (!reader.ok()) return fail(Code::invalid_program, "value %u: the bytes end inside it", index);
  if (value->step_scalar) {
    const bool fits = value->storage == Storage::argument && value->dtype == DType::u32 && rank == 1 && value->dims[0] == 1;
    if (!fits || value->offset != 0 || value->slice_stride != 0 || value->lane_stride != 0 || value->slots != 0) {
      return fail(Code::invalid_program, "value %u: the step scalar must be a u32 [1] argument without strides or slots", index);
    }
  } else if (value->storage == Storage::argument && value->argument >= arguments) {
    return fail(Code::invalid_program, "value %u: argument %u of %u", index, value->argument, arguments);
  }
  return {};
}

Status read_instruction(ByteReader& reader, uint32_t index, Program* program) {
  const uint16_t opcode = reader.read<uint16_t>();
  Instruction instruction{};
  instruction.nin = reader.read<uint8_t>();
  instruction.nout = reader.read<uint8_t>();
  instruction.nattrs = reader.read<uint32_t>();
  if (opcode >= kOpcodeCount || opcode == static_cast<uint16_t>(Opcode::input) || opcode == static_cast<uint16_t>(Opcode::constant)) {
    return fail(Code::invalid_program, "instruction %u: %u (%s) is no instruction", index, opcode, opcode_name(opcode));
  }
  instruction.opcode = static_cast<Opcode>(opcode);
  instruction.operands = static_cast<uint32_t>(program->operands.size());
  instruction.attrs = static_cast<uint32_t>(program->attrs.size());
  const int operands = instruction.nin + instruction.nout;
  for (int i = 0; i < operands; ++i) {
    const uint32_t value = reader.read<uint32_t>();
    if (value >= program->values.size()) {
      return fail(Code::invalid_program, "instruction %u (%s): value %u of %zu", index, opcode_name(opcode), value, program->values.size());
    }
    program->operands.push_back(value);
  }
  reader.align(8);
  if (!reader.holds(instruction.nattrs, sizeof(double)))
    return fail(Code::invalid_program, "instruction %u: the bytes end inside it", index);
  for (uint32_t i = 0; i < instruction.nattrs; ++i) {
    const double attr = reader.read<double>();
    // Kernels convert attributes to integers, which is undefined for NaN and infinity.
    if (!std::isfinite(attr))
      return fail(Code::invalid_program, "instruction %u (%s): attribute %u is not finite", index, opcode_name(opcode), i);
    program->attrs.push_back(attr);
  }
  program->instructions.push_back(instruction);
  return {};
}

Status read_constants(ByteReader& reader, Program* program) {
  if (program->constant_bytes > 0) reader.align(64);
  const auto bytes = static_cast<size_t>(program->constant_bytes);
  // Less than one alignment step may follow: encoders may round the total up.
  if (!reader.ok() || reader.left() < bytes || reader.left() - bytes >= 64) {
    return fail(Code::invalid_program, "program: expected %zu bytes of constants at the end but %zu bytes are left", bytes, reader.left());
  }
  ALUDEL_RETURN_IF_ERROR(allocate_block(program->constant_bytes, "the program's constants", &program->constants));
  if (bytes > 0) memcpy(program->constants.get(), reader.here(), bytes);
  return {};
}

}  // namespace

TensorRef Value::ref(void* data) const {
  TensorRef ref{};
  ref.dtype = dtype;
  ref.rank = rank;
  for (int d = 0; d < rank; ++d) ref.dims[d] = dims[d];
  ref.data = data;
  return ref;
}

Status decode_program(const uint8_t* bytes, size_t size, Program* program) {
  *program = {};
  ByteReader reader(bytes, size);
  Header header{};
  ALUDEL_RETURN_IF_ERROR(read_header(reader, &header, program));
  if (!reader.holds(header.values, kSmallestValue))
    return fail(Code::invalid_program, "program: %u values do not fit in its bytes", header.values);
  program->values.resize(header.values);
  for (uint32_t i = 0; i < header.values; ++i) ALUDEL_RETURN_IF_ERROR(read_value(reader, i, header.arguments, &program->values[i]));
  reader.align(8);
  if (!reader.holds(header.instructions, kSmallestInstruction)) {
    return fail(Code::invalid_program, "program: %u instructions do not fit in its bytes", header.instructions);
  }
  program->instructions.reserve(header.instructions);
  for (uint32_t i = 0; i < header.instructions; ++i) ALUDEL_RETURN_IF_ERROR(read_instruction(reader, i, program));
  reader.align(8);
  ALUDEL_RETURN_IF_ERROR(read_constants(reader, program));
  program->argument_bytes.assign(header.arguments, 0);
  return prove_bounds(program);
}

}  // namespace aludel
