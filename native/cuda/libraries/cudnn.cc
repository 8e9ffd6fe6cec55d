#include "native/cuda/libraries/cudnn.h"

#include <algorithm>

#include "native/cuda/kernels/conv_library.h"

namespace aludel::cuda {
namespace {

constexpr size_t kMostWorkspaceBytes = size_t{256} << 20;
constexpr int64_t kMostGroups = 16;  // the own kernels compute many small ones at once
constexpr int64_t kAlignment = 256;

constexpr int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// The library's sizes are 32-bit numbers, and what it reads and writes is to be aligned to 16 bytes, which `aligned` says of the first
// group.
bool can_take(const ConvShape& s) {
  constexpr int64_t most = INT32_MAX;
  if (s.groups > kMostGroups || s.x_stride() > most || s.y_stride() > most || s.weights() > most) return false;
  return s.groups == 1 || (s.x_stride() % 4 == 0 && s.y_stride() % 4 == 0);
}

}  // namespace

// Its parts it would load when they are first needed, and end the process where they are not there.
Cudnn::Cudnn() {
  static_cast<FoundLibrary&>(*this) = find_library({.name = "cuDNN",
                                                    .files = {"libcudnn.so.9"},
                                                    .parts = {"libcudnn_graph.so.9", "libcudnn_ops.so.9", "libcudnn_cnn.so.9",
                                                              "libcudnn_heuristic.so.9", "libcudnn_engines_precompiled.so.9"},
                                                    .symbols = {ALUDEL_CUDNN_FUNCTIONS(ALUDEL_LIBRARY_SYMBOL)},
                                                    .version = &call.version,
                                                    .oldest = 90000});
}

const Cudnn& Cudnn::loaded() {
  static const auto* found = new Cudnn;  // never destroyed: programs may outlive static destruction
  return *found;
}

DnnHandle::DnnHandle() : library_(Cudnn::loaded()) {
  if (!library_.version.empty() && library_.call.create(&handle_) != dnn::kSuccess) handle_ = nullptr;
}

DnnHandle::~DnnHandle() {
  if (handle_ != nullptr) library_.call.destroy(handle_);
}

std::unique_ptr<LibraryCall> DnnConvolution::find(std::shared_ptr<const DnnHandle> handle, const Convolution& convolution,
                                                  const DeviceInfo& device) {
  // The library rounds to TF32 or not at all, as far as inputs and outputs are float32.
  if (device.precision != Precision::f32 && device.precision != Precision::tf32) return nullptr;
  if (!can_take(convolution.shape)) return nullptr;
  std::unique_ptr<DnnConvolution> made(new DnnConvolution(std::move(handle), convolution));
  if (made->describe(device.precision) != dnn::kSuccess || made->ask() != dnn::kSuccess) return nullptr;
  if (made->library_bytes_ > kMostWorkspaceBytes) return nullptr;
  made->rest_bytes_ = static_cast<int64_t>(made->library_bytes_);
  if (convolution.pass == Convolution::weight_grad)
    made->rest_bytes_ = std::max(made->rest_bytes_, bias_grad_workspace_bytes(convolution.shape, device));
  return made;
}

dnn::Status DnnConvolution::describe(Precision precision) {
  const dnn::Functions& call = handle_->library().call;
  const ConvShape& s = convolution_.shape;
  dnn::Status status = call.create_tensor(&x_);
  const auto next = [&](auto function, auto... arguments) {
    if (status == dnn::kSuccess) status = function(arguments...);
  };
  const auto images = static_cast<int>(s.images);
  next(call.set_tensor, x_, dnn::kNhwc, dnn::kFloat32, images, s.channels, s.height, s.width);
  next(call.create_tensor, &y_);
  next(call.set_tensor, y_, dnn::kNhwc, dnn::kFloat32, images, s.filters, s.out_height, s.out_width);
  next(call.create_filter, &w_);
  next(call.set_filter, w_, dnn::kFloat32, dnn::kNhwc, s.filters, s.channels, s.kernel_height, s.kernel_width);
  next(call.create_convolution, &desc_);
  next(call.set_convolution, desc_, s.pad_height, s.pad_width, s.stride_height, s.stride_width, 1, 1, dnn::kCrossCorrelation,
       dnn::kFloat32);
  next(call.set_math, desc_, precision == Precision::tf32 ? dnn::kDefaultMath : dnn::kFmaMath);
  return status;
}

dnn::Status DnnConvolution::ask() {
  const dnn::Functions& call = handle_->library().call;
  const std::lock_guard<std::mutex> lock(handle_->mutex());
  switch (convolution_.pass) {
    case Convolution::forward:
      return call.forward_bytes(handle_->get(), x_, w_, desc_, y_, dnn::kImplicitPrecomputed, &library_bytes_);
    case Convolution::input_grad:
      return call.input_grad_bytes(handle_->get(), w_, y_, desc_, x_, dnn::kInputGrad1, &library_bytes_);
    default:
      return call.weight_grad_bytes(handle_->get(), x_, y_, desc_, w_, dnn::kWeightGrad1, &library_bytes_);
  }
}

DnnConvolution::~DnnConvolution() {
  const dnn::Functions& call = handle_->library().call;
  for (dnn::Tensor* tensor : {x_, y_})
    if (tensor != nullptr) call.destroy_tensor(tensor);
  if (w_ != nullptr) call.destroy_filter(w_);
  if (desc_ != nullptr) call.destroy_convolution(desc_);
}

std::string DnnConvolution::library() const { return "cuDNN " + handle_->library().version; }

// In the workspace: the turned weights of all groups, then what the library, or the sum of a bias's gradient, wants.
int64_t DnnConvolution::turned_stride() const {
  return aligned(convolution_.shape.weights() * int64_t{sizeof(float)}) / int64_t{sizeof(float)};
}
int64_t DnnConvolution::turned_bytes() const { return convolution_.shape.groups * turned_stride() * int64_t{sizeof(float)}; }
int64_t DnnConvolution::workspace_bytes() const { return turned_bytes() + rest_bytes_; }

Status DnnConvolution::launch(const KernelArgs& args, const Context& context) const {
  const ConvShape& s = convolution_.shape;
  auto* turned = static_cast<float*>(context.workspace);
  Context rest = context;
  rest.workspace = static_cast<char*>(context.workspace) + turned_bytes();
  const auto *first = args.in[0].as<const float>(), *second = args.in[1].as<const float>();
  auto* out = args.out[0].as<float>();
  if (convolution_.pass == Convolution::weight_grad) {
    ALUDEL_RETURN_IF_ERROR(call(first, second, turned, rest));
    ALUDEL_RETURN_IF_ERROR(turn_weights_back(s, turned, turned_stride(), out, rest));
    return bias_grad(s, second, args.out[1].as<float>(), rest);
  }
  ALUDEL_RETURN_IF_ERROR(turn_weights(s, second, turned, turned_stride(), rest));
  if (convolution_.pass == Convolution::input_grad) return call(out, first, turned, rest);
  ALUDEL_RETURN_IF_ERROR(call(first, out, turned, rest));
  return args.nin == 3 ? add_bias(s, args.in[2].as<const float>(), out, rest) : Status{};
}

// x, y and w or their gradients; which of them is written is the pass's.
Status DnnConvolution::call(const float* x, const float* y, float* w, const Context& context) const {
  const ConvShape& s = convolution_.shape;
  const std::lock_guard<std::mutex> lock(handle_->mutex());
  dnn::Status status = handle_->library().call.set_stream(handle_->get(), context.stream);
  for (int64_t g = 0; g < s.groups && status == dnn::kSuccess; ++g)
    status = call_group(x + g * s.x_stride(), y + g * s.y_stride(), w + g * turned_stride(), context.workspace);
  if (status == dnn::kSuccess) return {};
  return refused(*this, "convolution", status);
}

dnn::Status DnnConvolution::call_group(const float* x, const float* y, float* w, void* workspace) const {
  const dnn::Functions& call = handle_->library().call;
  const float one = 1, zero = 0;
  switch (convolution_.pass) {
    case Convolution::forward:
      return call.forward(handle_->get(), &one, x_, x, w_, w, desc_, dnn::kImplicitPrecomputed, workspace, library_bytes_, &zero, y_,
                          const_cast<float*>(y));
    case Convolution::input_grad:
      return call.input_grad(handle_->get(), &one, w_, w, y_, y, desc_, dnn::kInputGrad1, workspace, library_bytes_, &zero, x_,
                             const_cast<float*>(x));
    default:
      return call.weight_grad(handle_->get(), &one, x_, x, y_, y, desc_, dnn::kWeightGrad1, workspace, library_bytes_, &zero, w_, w);
  }
}

}  // namespace aludel::cuda
