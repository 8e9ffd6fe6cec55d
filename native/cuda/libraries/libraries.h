// What a device may use of libraries.
#pragma once
#include <memory>
#include <mutex>

#include "native/cuda/libraries/cublas_lt.h"
#include "native/cuda/libraries/cudnn.h"
#include "native/cuda/library_options.h"

namespace aludel::cuda {

class Libraries {
 public:
  explicit Libraries(LibraryUse use) : use_(use) {}

  // The instruction as a library computes it where the tables (or LibraryUse::all) say so and the library can do it, else null: the own
  // kernel. `aligned`: all operands lie at multiples of 16 bytes whenever it runs. While a program is loaded; any thread, with the device
  // current. Looks for a library when it is first wanted.
  std::unique_ptr<LibraryCall> find(const KernelArgs& args, bool aligned, const DeviceInfo& device);
  // Handles; programs that still hold one keep it.
  void close();

 private:
  template <class Handle>
  std::shared_ptr<const Handle> ready(std::shared_ptr<const Handle>* kept);
  template <class Wanted>
  bool wants(const Wanted& wanted, const DeviceInfo& device) const;

  const LibraryUse use_;
  std::mutex mutex_;
  std::shared_ptr<const LtHandle> lt_;
  std::shared_ptr<const DnnHandle> dnn_;
};

}  // namespace aludel::cuda
