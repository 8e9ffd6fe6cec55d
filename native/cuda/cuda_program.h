// A loaded program on a GPU. A step is the program's instructions put on the device's stream one after another; from the second step with
// the same arrays on it is one launch of a CUDA graph. The mirror of native/core/executor.h.
#pragma once
#include <map>
#include <memory>
#include <vector>

#include "native/core/executor.h"
#include "native/core/replay.h"
#include "native/cuda/bookkeeping.h"
#include "native/cuda/device.h"

namespace aludel::cuda {

class CudaProgram final : public LoadedProgram {
 public:
  // `checks` are the CPU kernels of any instruction set: what operands must look like is said once, by their check().
  static Status create(Program program, KernelTable checks, std::shared_ptr<Device> device, std::shared_ptr<LoadedProgram>* loaded);
  ~CudaProgram() override;

  Status run(const RunRequest& request, int64_t* completed) override;
  MemoryNeed memory() const override { return need_; }
  std::string libraries() const override;

 private:
  // A step recorded for the addresses in `key`.
  struct Captured {
    std::vector<const void*> key;
    cudaGraphExec_t graph = nullptr;
  };
  struct StandIn {
    uint32_t argument;
    uint64_t offset;
    SlotCopy copy;  // its addresses are those of the run at hand
    int64_t place;  // in the workspace
    bool read = false, written = false;
  };

  CudaProgram(Program program, std::shared_ptr<Device> device);
  Status check_kernels(KernelTable checks);
  int64_t find_library_call(uint32_t index, const KernelArgs& args);
  void find_stand_ins();
  Status reserve();
  Status prepare(const RunRequest& request);
  Status run_steps(const RunRequest& request);
  Status put_step(uint32_t step);
  Status capture(uint32_t step, cudaGraphExec_t* graph);
  Status record(uint32_t step);
  Status record_loop(const Loop& loop, uint32_t step);
  Status record_instruction(uint32_t index, const Place& place, uint32_t step);
  Status refuse_overlaps(const Instruction& instruction, const Place& place, uint32_t step);
  Status fault(const RunState& state) const;
  Context context(uint32_t index, bool first_slice) const;
  char* base_of(const Value& value) const;
  void* address(const Value& value, const Place& place) const;
  int stand_in_of(const Value& value) const;

  const Program program_;
  const std::shared_ptr<Device> device_;
  MemoryNeed need_;
  int64_t reserved_ = -1;
  int64_t kernel_bytes_ = 0;
  std::map<uint32_t, std::unique_ptr<LibraryCall>> library_calls_;  // by instruction
  std::vector<StandIn> stand_ins_;
  std::vector<TensorRef> operands_, real_operands_;  // of the instruction at hand
  std::shared_ptr<void> fixed_;                      // constants, then the run's state
  bool uploaded_ = false;
  bool warm_ = false;  // a step has run: every kernel is loaded, so that it may be captured
  std::vector<Captured> captured_;

  // Set for the time of one run().
  const RunRequest* request_ = nullptr;
  std::shared_ptr<void> block_;
  RunState* state_ = nullptr;
  bool committing_ = false;
};

}  // namespace aludel::cuda
