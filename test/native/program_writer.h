// Writes encoded programs for tests: the contract's byte layout, independent of the TypeScript encoder.
#pragma once
#include <cstring>
#include <vector>

#include "native/core/program.h"

namespace aludel::test {

struct ValueSpec {
  DType dtype = DType::f32;
  std::vector<uint32_t> dims;
  Storage storage = Storage::arena;
  uint32_t argument = 0;
  uint64_t offset = 0, slice_stride = 0, lane_stride = 0;
  uint32_t slots = 0;
  int32_t slot_mul = 0, slot_add = 0;
  bool step = false;
};

struct InstructionSpec {
  Opcode opcode;
  std::vector<uint32_t> in, out;
  std::vector<double> attrs;
};

struct ProgramSpec {
  std::vector<ValueSpec> values;
  std::vector<InstructionSpec> instructions;
  uint32_t arguments = 0;
  uint64_t arena_bytes = 0, local_bytes = 0;
  std::vector<float> constants;
};

class ByteWriter {
 public:
  template <typename T>
  void put(T value) {
    const size_t at = bytes.size();
    bytes.resize(at + sizeof value);
    memcpy(bytes.data() + at, &value, sizeof value);
  }
  void align(size_t alignment) { bytes.resize((bytes.size() + alignment - 1) / alignment * alignment); }
  std::vector<uint8_t> bytes;
};

inline std::vector<uint8_t> encode(const ProgramSpec& spec) {
  ByteWriter w;
  w.put<uint32_t>(0x31444C41);
  w.put<uint32_t>(kOpcodeHash);
  w.put<uint32_t>(static_cast<uint32_t>(spec.values.size()));
  w.put<uint32_t>(static_cast<uint32_t>(spec.instructions.size()));
  w.put<uint32_t>(spec.arguments);
  w.put<uint32_t>(static_cast<uint32_t>(spec.constants.size() * sizeof(float)));
  w.put<uint64_t>(spec.arena_bytes);
  w.put<uint64_t>(spec.local_bytes);
  for (const ValueSpec& v : spec.values) {
    w.put<uint8_t>(static_cast<uint8_t>(v.dtype));
    w.put<uint8_t>(static_cast<uint8_t>(v.dims.size()));
    w.put<uint8_t>(static_cast<uint8_t>(v.storage));
    w.put<uint8_t>(v.step ? 1 : 0);
    w.put<uint32_t>(v.argument);
    for (const uint32_t dim : v.dims) w.put<uint32_t>(dim);
    w.put<uint64_t>(v.offset);
    w.put<uint64_t>(v.slice_stride);
    w.put<uint64_t>(v.lane_stride);
    w.put<uint32_t>(v.slots);
    w.put<int32_t>(v.slot_mul);
    w.put<int32_t>(v.slot_add);
    w.put<uint32_t>(0);
  }
  w.align(8);
  for (const InstructionSpec& i : spec.instructions) {
    w.put<uint16_t>(static_cast<uint16_t>(i.opcode));
    w.put<uint8_t>(static_cast<uint8_t>(i.in.size()));
    w.put<uint8_t>(static_cast<uint8_t>(i.out.size()));
    w.put<uint32_t>(static_cast<uint32_t>(i.attrs.size()));
    for (const uint32_t v : i.in) w.put<uint32_t>(v);
    for (const uint32_t v : i.out) w.put<uint32_t>(v);
    w.align(8);
    for (const double a : i.attrs) w.put<double>(a);
  }
  w.align(8);
  if (!spec.constants.empty()) w.align(64);
  for (const float c : spec.constants) w.put<float>(c);
  return w.bytes;
}

}  // namespace aludel::test
