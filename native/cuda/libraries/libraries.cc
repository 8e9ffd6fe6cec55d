#include "native/cuda/libraries/libraries.h"

#include "native/cuda/libraries/choices.h"

namespace aludel::cuda {

// Null where the library cannot be used.
template <class Handle>
std::shared_ptr<const Handle> Libraries::ready(std::shared_ptr<const Handle>* kept) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (*kept == nullptr) *kept = std::make_shared<Handle>();
  return (*kept)->ready() ? *kept : nullptr;
}

template <class Wanted>
bool Libraries::wants(const Wanted& wanted, const DeviceInfo& device) const {
  return use_ == LibraryUse::all || (use_ == LibraryUse::chosen && is_chosen(device, wanted));
}

std::unique_ptr<LibraryCall> Libraries::find(const KernelArgs& args, bool aligned, const DeviceInfo& device) {
  if (use_ == LibraryUse::off) return nullptr;
  switch (static_cast<Opcode>(args.opcode)) {
    case Opcode::matmul: {
      if (args.out[0].dtype != DType::f32) return nullptr;
      const Product product = Product::of(args);
      DeviceInfo wanted = device;
      if (args.nattrs > 2 && args.attrs[2] != 0) wanted.precision = Precision::f32;
      const auto handle = wants(product, wanted) ? ready(&lt_) : nullptr;
      return handle == nullptr ? nullptr : LtProduct::find(handle, product, aligned, wanted.precision);
    }
    case Opcode::conv2d:
    case Opcode::conv2d_input_grad:
    case Opcode::conv2d_weight_grad: {
      const Convolution convolution = Convolution::of(args);
      const auto handle = aligned && wants(convolution, device) ? ready(&dnn_) : nullptr;
      return handle == nullptr ? nullptr : DnnConvolution::find(handle, convolution, device);
    }
    default:
      return nullptr;
  }
}

void Libraries::close() {
  const std::lock_guard<std::mutex> lock(mutex_);
  lt_.reset();
  dnn_.reset();
}

}  // namespace aludel::cuda
