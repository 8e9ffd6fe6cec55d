// cuBLASLt where there is one: found at run time, never needed. Products that it computes, and what their bits depend on.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "native/cuda/libraries/cublas_lt_api.h"
#include "native/cuda/libraries/product.h"

namespace aludel::cuda {

// The library as the dynamic linker finds it (LD_LIBRARY_PATH, the system's folders): version 13, else 12. Once per process; never
// unloaded.
struct CublasLt {
  lt::Functions call{};
  std::string version;  // 13.1.0; empty: there is none that can be used
  std::string missing;  // why

  static const CublasLt& loaded();  // any thread
};

// A handle on one device. Any thread, with the device current.
class LtHandle {
 public:
  LtHandle();  // looks for the library
  ~LtHandle();
  LtHandle(const LtHandle&) = delete;
  LtHandle& operator=(const LtHandle&) = delete;

  bool ready() const { return handle_ != nullptr; }
  const CublasLt& library() const { return library_; }
  lt::Handle* get() const { return handle_; }

 private:
  const CublasLt& library_;
  lt::Handle* handle_ = nullptr;
};

// One matrix product as the library computes it. The algorithm is what its heuristic names first, asked once, here, for a fixed workspace
// and for sums in a fixed order: a pure function of shape, precision, library and model of GPU.
class LtProduct {
 public:
  // Null where the library has no algorithm or fails: the own kernel computes it then.
  static std::unique_ptr<LtProduct> find(std::shared_ptr<const LtHandle> handle, const Product& product, Precision precision);
  ~LtProduct();
  LtProduct(const LtProduct&) = delete;
  LtProduct& operator=(const LtProduct&) = delete;

  int64_t workspace_bytes() const { return static_cast<int64_t>(chosen_.workspace_bytes); }
  // Puts it on the context's stream. It cannot look at the guard: only where a refused step may write the output.
  Status launch(const KernelArgs& args, const Context& context) const;

 private:
  explicit LtProduct(std::shared_ptr<const LtHandle> handle) : handle_(std::move(handle)) {}
  lt::Status describe(const Product& product, Precision precision);
  lt::Status choose(const Product& product);

  const std::shared_ptr<const LtHandle> handle_;
  lt::MatmulDesc* desc_ = nullptr;
  lt::Layout *a_ = nullptr, *b_ = nullptr, *out_ = nullptr;
  lt::Heuristic chosen_{};
};

}  // namespace aludel::cuda
