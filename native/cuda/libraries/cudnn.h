// cuDNN where there is one: found at run time, never needed. Convolutions that it computes.
#pragma once
#include <memory>
#include <mutex>

#include "native/cuda/libraries/convolution.h"
#include "native/cuda/libraries/cudnn_api.h"
#include "native/cuda/libraries/library_call.h"
#include "native/cuda/libraries/loading.h"

namespace aludel::cuda {

// Version 9. Looked for once per process.
struct Cudnn : FoundLibrary {
  dnn::Functions call{};

  static const Cudnn& loaded();  // any thread

 private:
  Cudnn();
};

// A handle on one device, with the device current. One thread at a time may use it: the one that holds `mutex`.
class DnnHandle {
 public:
  DnnHandle();  // looks for the library
  ~DnnHandle();
  DnnHandle(const DnnHandle&) = delete;
  DnnHandle& operator=(const DnnHandle&) = delete;

  bool ready() const { return handle_ != nullptr; }
  const Cudnn& library() const { return library_; }
  dnn::Handle* get() const { return handle_; }
  std::mutex& mutex() const { return mutex_; }

 private:
  const Cudnn& library_;
  dnn::Handle* handle_ = nullptr;
  mutable std::mutex mutex_;
};

// One convolution, one call for each group. The library's weights are [filters][taps][channels]: they are turned in the workspace. Biases
// and their gradients are the own kernels'.
class DnnConvolution final : public LibraryCall {
 public:
  // Null where the library cannot or may not: the own kernel computes it then.
  static std::unique_ptr<LibraryCall> find(std::shared_ptr<const DnnHandle> handle, const Convolution& convolution,
                                           const DeviceInfo& device);
  ~DnnConvolution() override;
  DnnConvolution(const DnnConvolution&) = delete;
  DnnConvolution& operator=(const DnnConvolution&) = delete;

  std::string library() const override;
  int64_t workspace_bytes() const override;
  Status launch(const KernelArgs& args, const Context& context) const override;

 private:
  DnnConvolution(std::shared_ptr<const DnnHandle> handle, const Convolution& convolution)
      : handle_(std::move(handle)), convolution_(convolution) {}
  dnn::Status describe(Precision precision);
  dnn::Status ask();
  int64_t turned_stride() const;  // floats
  int64_t turned_bytes() const;
  Status call(const float* x, const float* y, float* w, const Context& context) const;
  dnn::Status call_group(const float* x, const float* y, float* w, void* workspace) const;

  const std::shared_ptr<const DnnHandle> handle_;
  const Convolution convolution_;
  dnn::Tensor *x_ = nullptr, *y_ = nullptr;
  dnn::Filter* w_ = nullptr;
  dnn::ConvolutionDesc* desc_ = nullptr;
  size_t library_bytes_ = 0;  // of workspace
  int64_t rest_bytes_ = 0;    // behind the turned weights
};

}  // namespace aludel::cuda
