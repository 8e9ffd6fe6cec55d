#include "native/cuda/libraries/libraries.h"

#include "native/cuda/libraries/choices.h"

namespace aludel::cuda {

std::unique_ptr<LtProduct> Libraries::product(const Product& product, const DeviceInfo& device) {
  if (use_ == LibraryUse::off || (use_ == LibraryUse::chosen && !is_chosen(device, product))) return nullptr;
  std::shared_ptr<const LtHandle> handle;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (handle_ == nullptr) handle_ = std::make_shared<LtHandle>();
    handle = handle_;
  }
  if (!handle->ready()) return nullptr;
  return LtProduct::find(std::move(handle), product, device.precision);
}

std::string Libraries::name(const DeviceInfo& device) const {
  return "cuBLASLt " + CublasLt::loaded().version + " (" + std::to_string(device.multiprocessors) + " multiprocessors)";
}

void Libraries::close() {
  const std::lock_guard<std::mutex> lock(mutex_);
  handle_.reset();
}

}  // namespace aludel::cuda
