// What a step consists of: instructions in order, loops slice by slice, slots copied in and out.
#include "native/cuda/cuda_program.h"

namespace aludel::cuda {

void CudaProgram::find_stand_ins() {
  for (const Instruction& instruction : program_.instructions) {
    for (int k = 0; k < instruction.nin + instruction.nout; ++k) {
      const Value& value = program_.values[program_.inputs(instruction)[k]];
      if (value.storage != Storage::argument || value.slots == 0) continue;
      int found = stand_in_of(value);
      if (found < 0) {
        StandIn made{value.argument, value.offset, {}, 0};
        made.copy.bytes = value.bytes;
        made.copy.slots = value.slots;
        made.copy.mul = value.slot_mul;
        made.copy.add = value.slot_add;
        found = static_cast<int>(stand_ins_.size());
        stand_ins_.push_back(made);
      }
      StandIn& stand_in = stand_ins_[static_cast<size_t>(found)];
      (k < instruction.nin ? stand_in.read : stand_in.written) = true;
    }
  }
}

// Values that name the same bytes of the same ring share one: an output may overwrite its input in place.
int CudaProgram::stand_in_of(const Value& value) const {
  for (size_t i = 0; i < stand_ins_.size(); ++i) {
    const StandIn& s = stand_ins_[i];
    if (s.argument == value.argument && s.offset == value.offset && s.copy.bytes == value.bytes && s.copy.slots == value.slots &&
        s.copy.mul == value.slot_mul && s.copy.add == value.slot_add)
      return static_cast<int>(i);
  }
  return -1;
}

Context CudaProgram::context(uint32_t index, bool first_slice) const {
  Context made{};
  made.stream = device_->stream();
  made.device = &device_->info();
  made.guard.state = committing_ ? state_ : nullptr;
  made.workspace = static_cast<char*>(block_.get()) + reserved_ - kernel_bytes_;
  made.state = state_;
  made.instruction = static_cast<int32_t>(index);
  made.first_slice = first_slice;
  return made;
}

Status CudaProgram::record(uint32_t step) {
  committing_ = false;
  std::vector<SlotCopy> copies;
  for (const StandIn& stand_in : stand_ins_)
    if (stand_in.read) copies.push_back(stand_in.copy);
  ALUDEL_RETURN_IF_ERROR(load_slots(context(0, true), copies));
  size_t next_loop = 0;
  for (uint32_t i = 0; i < program_.instructions.size();) {
    if (i >= program_.commit) committing_ = true;
    if (next_loop < program_.loops.size() && program_.loops[next_loop].instruction == i) {
      const Loop& loop = program_.loops[next_loop++];
      ALUDEL_RETURN_IF_ERROR(record_loop(loop, step));
      i = loop.end;
    } else {
      ALUDEL_RETURN_IF_ERROR(record_instruction(i, Place{}, step));
      ++i;
    }
  }
  committing_ = true;
  copies.clear();
  for (const StandIn& stand_in : stand_ins_)
    if (stand_in.written) copies.push_back(stand_in.copy);
  ALUDEL_RETURN_IF_ERROR(store_slots(context(0, true), copies));
  return end_step(context(0, true));
}

Status CudaProgram::record_loop(const Loop& loop, uint32_t step) {
  for (int64_t lane = 0; lane < loop.lanes; ++lane) {
    const int64_t first = loop.first_slice(lane);
    for (int64_t slice = first; slice < loop.first_slice(lane + 1); ++slice) {
      const Place place{slice, lane, slice == first};
      if (slice < loop.first_run || slice >= loop.end_run) {
        ALUDEL_RETURN_IF_ERROR(clear_slice(program_, loop, place, [&](uint32_t index, const Value& value) {
          return clear(context(index, place.first_slice), address(value, place), value.bytes);
        }));
        continue;
      }
      for (uint32_t i = loop.instruction + 1; i < loop.end; ++i) ALUDEL_RETURN_IF_ERROR(record_instruction(i, place, step));
    }
  }
  return {};
}

char* CudaProgram::base_of(const Value& value) const {
  switch (value.storage) {
    case Storage::arena:
      return static_cast<char*>(block_.get());
    case Storage::local:
      return static_cast<char*>(block_.get()) + need_.arena_bytes;
    case Storage::constant:
      return static_cast<char*>(fixed_.get());
    case Storage::argument:
      break;
  }
  return static_cast<char*>(request_->arguments[value.argument]->data());
}

void* CudaProgram::address(const Value& value, const Place& place) const {
  if (value.storage == Storage::argument && value.step_scalar) return &state_->step;
  if (value.storage == Storage::argument && value.slots > 0) return stand_ins_[static_cast<size_t>(stand_in_of(value))].copy.stand_in;
  return base_of(value) + offset_of(value, place, 0);
}

// Of the arrays themselves, as everywhere: stand-ins never overlap.
Status CudaProgram::refuse_overlaps(const Instruction& instruction, const Place& place, uint32_t step) {
  const uint32_t* names = program_.inputs(instruction);
  for (int k = 0; k < instruction.nin + instruction.nout; ++k) {
    const Value& value = program_.values[names[k]];
    const bool is_step = value.storage == Storage::argument && value.step_scalar;
    real_operands_[static_cast<size_t>(k)] =
        value.ref(is_step ? static_cast<void*>(&state_->step) : base_of(value) + offset_of(value, place, step));
  }
  if (!overlaps_forbidden(instruction.opcode, real_operands_.data(), instruction.nin, instruction.nout)) return {};
  return fail(Code::invalid_argument, "%s", overlap_message());
}

Status CudaProgram::record_instruction(uint32_t index, const Place& place, uint32_t step) {
  const Instruction& instruction = program_.instructions[index];
  const uint32_t* names = program_.inputs(instruction);
  Status status = refuse_overlaps(instruction, place, step);
  if (status.ok()) {
    for (int k = 0; k < instruction.nin + instruction.nout; ++k) {
      const Value& value = program_.values[names[k]];
      operands_[static_cast<size_t>(k)] = value.ref(address(value, place));
    }
    const KernelArgs args = args_of(program_, instruction, operands_.data());
    const Context where = context(index, place.first_slice);
    const auto call = library_calls_.find(index);
    status = call != library_calls_.end() ? call->second->launch(args, where)
                                          : kernel_table()[static_cast<size_t>(instruction.opcode)]->launch(args, where);
  }
  return status.ok() ? status : at_instruction(status, index, instruction.opcode);
}

}  // namespace aludel::cuda
