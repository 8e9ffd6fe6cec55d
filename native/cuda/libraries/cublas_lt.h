// cuBLASLt where there is one: found at run time, never needed. Products that it computes, and what their bits depend on.
#pragma once
#include <memory>

#include "native/cuda/libraries/cublas_lt_api.h"
#include "native/cuda/libraries/library_call.h"
#include "native/cuda/libraries/loading.h"
#include "native/cuda/libraries/product.h"

namespace aludel::cuda {

// Version 13, else 12. Looked for once per process.
struct CublasLt : FoundLibrary {
  lt::Functions call{};

  static const CublasLt& loaded();  // any thread

 private:
  CublasLt();
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

// One matrix product. The algorithm is what the library's heuristic names first, asked once, here, for a fixed workspace and for sums in a
// fixed order.
class LtProduct final : public LibraryCall {
 public:
  // Null where the library has no algorithm or fails: the own kernel computes it then.
  static std::unique_ptr<LibraryCall> find(std::shared_ptr<const LtHandle> handle, const Product& product, bool aligned,
                                           Precision precision);
  ~LtProduct() override;
  LtProduct(const LtProduct&) = delete;
  LtProduct& operator=(const LtProduct&) = delete;

  std::string library() const override;
  int64_t workspace_bytes() const override { return static_cast<int64_t>(chosen_.workspace_bytes); }
  Status launch(const KernelArgs& args, const Context& context) const override;

 private:
  explicit LtProduct(std::shared_ptr<const LtHandle> handle) : handle_(std::move(handle)) {}
  lt::Status describe(const Product& product, Precision precision);
  lt::Status choose(const Product& product, bool aligned);

  const std::shared_ptr<const LtHandle> handle_;
  lt::MatmulDesc* desc_ = nullptr;
  lt::Layout *a_ = nullptr, *b_ = nullptr, *out_ = nullptr;
  lt::Heuristic chosen_{};
};

}  // namespace aludel::cuda
