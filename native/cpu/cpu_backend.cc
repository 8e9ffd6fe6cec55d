// Ties the generic executor to host memory and the kernel table.
#include "native/cpu/cpu_backend.h"

#include <cstdlib>
#include <cstring>
#include <system_error>
#include <thread>
#if defined(__linux__)
#include <sched.h>
#endif

#include "native/cpu/isa.h"
#include "native/cpu/thread_pool.h"

namespace aludel::cpu {
namespace {

class HostMemory final : public DeviceMemory {
 public:
  HostMemory(Block block, int64_t size) : block_(std::move(block)) { bytes = size; }

  Status upload(int64_t offset, const void* source, int64_t count) override {
    memcpy(at(offset), source, static_cast<size_t>(count));
    return {};
  }
  bool begin_upload(int64_t offset, const void* source, int64_t count) override {
    memcpy(at(offset), source, static_cast<size_t>(count));
    return true;
  }
  Status end_upload() override { return {}; }
  Status download(int64_t offset, void* target, int64_t count) override {
    memcpy(target, at(offset), static_cast<size_t>(count));
    return {};
  }
  Status copy_from(const DeviceMemory& source, int64_t count) override {
    memmove(block_.get(), source.data(), static_cast<size_t>(count));
    return {};
  }
  void* data() const override { return block_.get(); }

 private:
  char* at(int64_t offset) const { return static_cast<char*>(block_.get()) + offset; }
  Block block_;
};

// The pool as kernels see it outside a program.
class PoolExec final : public Exec {
 public:
  explicit PoolExec(ThreadPool& pool) : pool_(pool) {
    first_slice = false;
    parallel = [](Exec* self, int64_t tasks, void (*body)(void* context, int64_t task, void* scratch), void* context) {
      const Call call{body, context};
      static_cast<PoolExec*>(self)->pool_.parallel(
          tasks,
          [](void* made, int64_t task, int) {
            const auto* inner = static_cast<const Call*>(made);
            inner->body(inner->context, task, nullptr);
          },
          const_cast<Call*>(&call));
    };
  }

 private:
  struct Call {
    void (*body)(void* context, int64_t task, void* scratch);
    void* context;
  };
  ThreadPool& pool_;
};

bool is_set(const std::atomic<bool>* flag) { return flag != nullptr && flag->load(std::memory_order_relaxed); }

class CpuBackend final : public Backend {
 public:
  CpuBackend(int threads, const Isa& isa) : isa_(isa), pool_(threads) {}

  Status allocate(int64_t bytes, std::shared_ptr<DeviceMemory>* memory) override {
    Block block;
    ALUDEL_RETURN_IF_ERROR(allocate_block(bytes, "the array", &block));
    *memory = std::make_shared<HostMemory>(std::move(block), bytes);
    return {};
  }
  Status load(const uint8_t* bytes, size_t size, std::shared_ptr<LoadedProgram>* program) override {
    Program decoded;
    ALUDEL_RETURN_IF_ERROR(decode_program(bytes, size, &decoded));
    return Executor::create(std::move(decoded), isa_.table(), pool_, workspace_, program);
  }
  Status symmetric_eigen(const EigenRequest& request) override {
    const EigenKernel& kernel = *isa_.symmetric_eigen();
    Block work;
    const int64_t bytes = kernel.work_doubles(request.n) * static_cast<int64_t>(sizeof(double));
    ALUDEL_RETURN_IF_ERROR(allocate_block(bytes, "the eigendecomposition's working memory", &work));
    SymmetricEigen problem = {};
    problem.matrix = static_cast<double*>(request.matrix->data());
    problem.values = static_cast<double*>(request.values->data());
    problem.n = request.n;
    problem.work = static_cast<double*>(work.get());
    problem.context = &request;
    problem.cancelled = [](const void* context) {
      const auto* asked = static_cast<const EigenRequest*>(context);
      return is_set(asked->cancel) || is_set(asked->stop);
    };
    PoolExec exec(pool_);
    return kernel.run(problem, exec);
  }
  const char* isa() const override { return isa_.name; }
  int threads() const override { return pool_.count(); }
  int64_t workspace_bytes() const override { return workspace_.bytes(); }

 private:
  const Isa& isa_;
  Workspace workspace_;
  ThreadPool pool_;
};

}  // namespace

int available_cores() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  const unsigned n = std::thread::hardware_concurrency();
  return n > 0 ? static_cast<int>(n) : 1;
}

Status create_backend(int threads, const std::string& isa, std::unique_ptr<Backend>* backend) {
  if (threads < 1 || threads > kMaxThreads) {
    return fail(Code::invalid_argument, "threads: expected a whole number from 1 to %d but received %d", kMaxThreads, threads);
  }
  const char* forced = std::getenv("ALUDEL_ISA");
  const Isa* chosen = nullptr;
  ALUDEL_RETURN_IF_ERROR(choose_isa(isa.empty() && forced != nullptr ? forced : isa, &chosen));
  try {
    *backend = std::make_unique<CpuBackend>(threads, *chosen);
  } catch (const std::system_error&) {
    return fail(Code::unavailable, "threads: the system does not start %d threads; use fewer", threads);
  }
  return {};
}

}  // namespace aludel::cpu
