// Replays a decoded program on host memory with a table of kernels. One executor belongs to one loaded program and runs on one thread
// at a time; workers see only what parallel() hands them.
#pragma once
#include <memory>
#include <mutex>
#include <vector>

#include "native/core/backend.h"
#include "native/core/kernel.h"
#include "native/core/replay.h"
#include "native/core/workers.h"
#include "native/core/workspace.h"

namespace aludel {

// Indexed by opcode number; null for structural opcodes.
using KernelTable = const Kernel* const*;

class Executor final : public LoadedProgram {
 public:
  // Checks every instruction with its kernel and reserves memory. Both references outlive the executor.
  static Status create(Program program, KernelTable table, Workers& workers, Workspace& workspace,
                       std::shared_ptr<LoadedProgram>* executor);
  ~Executor() override;

  Status run(const RunRequest& request, int64_t* completed) override;
  MemoryNeed memory() const override;

 private:
  struct Worker;     // one per worker: scratch, locals, operand buffer
  struct LoopState;  // shared by the lanes of one loop while it runs

  Executor(Program program, KernelTable table, Workers& workers, Workspace& workspace);
  Status check_kernels();
  Status reserve();
  Status run_step(uint32_t step);
  Status run_instruction(uint32_t index, Worker& worker, const Place& place);
  Status run_loop(const Loop& loop, bool cancellable);
  void run_lane(LoopState& state, int64_t lane, Worker& worker);
  void* address(const Value& value, const Worker& worker, const Place& place) const;
  bool cancelled() const;

  const Program program_;
  KernelTable table_;
  Workers& workers_;
  Workspace& workspace_;
  MemoryNeed need_;
  int64_t reserved_ = -1;
  // Beside the parts of need_ that have one size for each worker: the area of worker w starts at w * loop_shared_bytes_, and an
  // instruction outside loops has all of them as one.
  int64_t scratch_bytes_ = 0;
  int64_t loop_shared_bytes_ = 0;
  std::vector<std::unique_ptr<Worker>> worker_state_;

  // Set for the time of one run().
  const RunRequest* request_ = nullptr;
  uint32_t step_ = 0;
  std::shared_ptr<void> block_;
};

}  // namespace aludel
