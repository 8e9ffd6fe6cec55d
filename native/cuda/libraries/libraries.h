// What a device may use of libraries, and what a program uses.
#pragma once
#include <memory>
#include <mutex>
#include <string>

#include "native/cuda/libraries/cublas_lt.h"
#include "native/cuda/library_options.h"

namespace aludel::cuda {

class Libraries {
 public:
  explicit Libraries(LibraryUse use) : use_(use) {}

  // The product of a matmul instruction where the table (or LibraryUse::all) says so and the library can do it, else null: the own kernel.
  // While a program is loaded; any thread, with the device current. Looks for the library when it is first wanted.
  std::unique_ptr<LtProduct> product(const Product& product, const DeviceInfo& device);
  // What bits of its products depend on beside the architecture: cuBLASLt 13.1.0 (132 multiprocessors).
  std::string name(const DeviceInfo& device) const;
  // Handles; programs that still hold one keep it.
  void close();

 private:
  const LibraryUse use_;
  mutable std::mutex mutex_;
  std::shared_ptr<const LtHandle> handle_;
};

}  // namespace aludel::cuda
