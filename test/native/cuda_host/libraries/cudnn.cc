// A cuDNN for the emulated device: the symbols that the backend asks for, with the values of the public documentation, apart from the
// backend's own declarations. It convolves what its descriptors say, in float64, operands rounded as the math type allows, and refuses
// whatever does not fit together and algorithms that are not deterministic.
//
// CUDNN_FAKE: old (a version before 9), no-handle, unsupported (every convolution), large (1 GiB of workspace), failing (every call).
#include <atomic>
#include <cstdint>
#include <vector>

#include "fake_library.h"

namespace {

using Status = int;
constexpr Status kSuccess = 0, kNotInitialized = 1001, kBadParam = 2000, kNotSupported = 3000, kExecutionFailed = 5000;
enum Pass { kForward, kInputGrad, kWeightGrad };
const char* const kNames[] = {"forward", "input gradient", "weight gradient"};

struct Handle {
  cudaStream_t stream = nullptr;
  std::atomic<bool> in_use = false;
};
struct Map {  // of a filter: images are filters
  int images = 0, channels = 0, height = 0, width = 0;

  bool empty() const { return images < 1 || channels < 1 || height < 1 || width < 1; }
  int64_t elements() const { return int64_t{images} * channels * height * width; }
  int64_t at(int image, int row, int column, int channel) const {
    return ((int64_t{image} * height + row) * width + column) * channels + channel;
  }
};
struct Convolution {
  int pad_height = 0, pad_width = 0, stride_height = 0, stride_width = 0, math = 0;
};

const fake::Library library("CUDNN_FAKE");

Status refuse(const std::string& why) { return library.refuse(why, kBadParam); }

// One thread at a time, as the documentation says of handles.
class Use {
 public:
  explicit Use(Handle* handle) : handle_(handle), alone_(!handle->in_use.exchange(true)) {}
  ~Use() {
    if (alone_) handle_->in_use = false;
  }
  bool alone() const { return alone_; }

 private:
  Handle* const handle_;
  const bool alone_;
};

struct Problem {
  Pass pass;
  Map x, w, y;
  Convolution convolution;

  size_t workspace_bytes() const { return 4 * static_cast<size_t>(w.elements()) + 16; }
};

int positions(int size, int kernel, int pad, int stride) { return (size + 2 * pad - kernel) / stride + 1; }

Status check(Handle* handle, const Problem& p, int algorithm) {
  if (handle == nullptr) return kNotInitialized;
  const Convolution& c = p.convolution;
  if (p.x.empty() || p.w.empty() || p.y.empty() || c.stride_height < 1) return refuse("a descriptor that was not set");
  if (p.x.images != p.y.images || p.x.channels != p.w.channels || p.y.channels != p.w.images) return refuse("operands that do not fit");
  if (p.y.height != positions(p.x.height, p.w.height, c.pad_height, c.stride_height) ||
      p.y.width != positions(p.x.width, p.w.width, c.pad_width, c.stride_width))
    return refuse("an output of another size");
  if (algorithm != 1) return refuse("an algorithm that is not deterministic, or not known here");
  return library.asked_for("unsupported") ? kNotSupported : kSuccess;
}

Status ask(Handle* handle, const Problem& p, int algorithm, size_t* bytes) {
  if (const Status status = check(handle, p, algorithm); status != kSuccess) return status;
  if (!Use(handle).alone()) return refuse("a handle that two threads use");
  *bytes = library.asked_for("large") ? size_t{1} << 30 : p.workspace_bytes();
  return kSuccess;
}

struct Work {
  Problem problem;
  float *x, *w, *y;
  char* workspace;
};

// Every product of the convolution, in a fixed order: add(to, from, from) of places in y, x and w.
template <class Add>
void each_product(const Problem& p, const Add& add) {
  const Convolution& c = p.convolution;
  for (int n = 0; n < p.y.images; ++n)
    for (int oh = 0; oh < p.y.height; ++oh)
      for (int ow = 0; ow < p.y.width; ++ow)
        for (int r = 0; r < p.w.height; ++r)
          for (int s = 0; s < p.w.width; ++s) {
            const int h = oh * c.stride_height + r - c.pad_height, v = ow * c.stride_width + s - c.pad_width;
            if (h < 0 || h >= p.x.height || v < 0 || v >= p.x.width) continue;
            for (int k = 0; k < p.w.images; ++k)
              for (int i = 0; i < p.w.channels; ++i) add(p.y.at(n, oh, ow, k), p.x.at(n, h, v, i), p.w.at(k, r, s, i));
          }
}

// The workspace is full of NaN before and after: where it overlaps an operand or the output, results show it.
[[maybe_unused]] void convolve(void* data) {
  const Work& t = *static_cast<const Work*>(data);
  const Problem& p = t.problem;
  memset(t.workspace, 0xff, p.workspace_bytes());
  const auto how = p.convolution.math == 3 ? fake::Rounding::none : fake::Rounding::tf32;
  const auto of = [how](const float* from, int64_t at) { return double{fake::rounded(from[at], how)}; };
  float* out = p.pass == kForward ? t.y : p.pass == kInputGrad ? t.x : t.w;
  std::vector<double> sums(static_cast<size_t>((p.pass == kForward ? p.y : p.pass == kInputGrad ? p.x : p.w).elements()));
  const auto sum = [&sums](int64_t at) -> double& { return sums[static_cast<size_t>(at)]; };
  each_product(p, [&](int64_t y, int64_t x, int64_t w) {
    if (p.pass == kForward) sum(y) += of(t.x, x) * of(t.w, w);
    if (p.pass == kInputGrad) sum(x) += of(t.y, y) * of(t.w, w);
    if (p.pass == kWeightGrad) sum(w) += of(t.x, x) * of(t.y, y);
  });
  for (size_t i = 0; i < sums.size(); ++i) out[i] = static_cast<float>(sums[i]);
  memset(t.workspace, 0xff, p.workspace_bytes());
}

[[maybe_unused]] Status put(Handle* handle, const float* alpha, const float* beta, const Work& work, int algorithm,
                            size_t workspace_bytes) {
  if (const Status status = check(handle, work.problem, algorithm); status != kSuccess) return status;
  const Use use(handle);
  if (!use.alone()) return refuse("a handle that two threads use");
  if (library.asked_for("failing")) return kExecutionFailed;
  if (*alpha != 1 || *beta != 0) return refuse("factors");
  for (const void* pointer : {work.x, work.w, work.y})
    if (pointer == nullptr || !fake::aligned(pointer, 16)) return refuse("an operand that is not aligned");
  if (workspace_bytes < work.problem.workspace_bytes() || work.workspace == nullptr || !fake::aligned(work.workspace, 16))
    return refuse("a workspace too small or not aligned");
  if (handle->stream == nullptr) return refuse("no stream");
  const Problem& p = work.problem;
  const auto size = [](int a, int b) { return std::to_string(a) + "x" + std::to_string(b); };
  library.log(std::string(kNames[p.pass]) + " " + std::to_string(p.convolution.math) + ": " + std::to_string(p.x.images) + " of " +
              size(p.x.height, p.x.width) + ", " + size(p.w.height, p.w.width) + ", " + std::to_string(p.x.channels) + " to " +
              std::to_string(p.w.images));
  return fake::put(handle->stream, convolve, work) ? kSuccess : kExecutionFailed;
}

Status set(Map* map, int format, int type, const Map& to) {
  if (format != 1 || type != 0) return refuse("a layout that is not NHWC, or not float32");
  if (to.empty()) return refuse("an empty tensor");
  *map = to;
  return kSuccess;
}

template <class T>
Status create(T** made) {
  *made = new T;
  return kSuccess;
}
template <class T>
Status destroy(T* made) {
  delete made;
  return kSuccess;
}

}  // namespace

EXPORTED size_t cudnnGetVersion() { return library.asked_for("old") ? 80907 : 91002; }

EXPORTED Status cudnnCreate(Handle** handle) { return library.asked_for("no-handle") ? kNotInitialized : create(handle); }
EXPORTED Status cudnnDestroy(Handle* handle) { return destroy(handle); }
EXPORTED Status cudnnSetStream(Handle* handle, cudaStream_t stream) {
  handle->stream = stream;
  return kSuccess;
}

EXPORTED Status cudnnCreateTensorDescriptor(Map** map) { return create(map); }
EXPORTED Status cudnnDestroyTensorDescriptor(Map* map) { return destroy(map); }
EXPORTED Status cudnnSetTensor4dDescriptor(Map* map, int format, int type, int n, int c, int h, int w) {
  return set(map, format, type, {n, c, h, w});
}
EXPORTED Status cudnnCreateFilterDescriptor(Map** map) { return create(map); }
EXPORTED Status cudnnDestroyFilterDescriptor(Map* map) { return destroy(map); }
EXPORTED Status cudnnSetFilter4dDescriptor(Map* map, int type, int format, int k, int c, int h, int w) {
  return set(map, format, type, {k, c, h, w});
}
EXPORTED Status cudnnCreateConvolutionDescriptor(Convolution** convolution) { return create(convolution); }
EXPORTED Status cudnnDestroyConvolutionDescriptor(Convolution* convolution) { return destroy(convolution); }
EXPORTED Status cudnnSetConvolution2dDescriptor(Convolution* convolution, int pad_height, int pad_width, int stride_height,
                                                int stride_width, int dilation_height, int dilation_width, int mode, int compute) {
  if (pad_height < 0 || pad_width < 0 || stride_height < 1 || stride_width < 1) return refuse("padding or strides");
  if (dilation_height != 1 || dilation_width != 1 || mode != 1 || compute != 0) return refuse("dilation, mode or a type to sum in");
  *convolution = {pad_height, pad_width, stride_height, stride_width, 0};
  return kSuccess;
}
EXPORTED Status cudnnSetConvolutionMathType(Convolution* convolution, int math) {
  if (math != 0 && math != 3) return refuse("a math type");
  convolution->math = math;
  return kSuccess;
}

EXPORTED Status cudnnGetConvolutionForwardWorkspaceSize(Handle* handle, Map* x, Map* w, Convolution* c, Map* y, int algorithm,
                                                        size_t* bytes) {
  return ask(handle, {kForward, *x, *w, *y, *c}, algorithm, bytes);
}
EXPORTED Status cudnnGetConvolutionBackwardDataWorkspaceSize(Handle* handle, Map* w, Map* dy, Convolution* c, Map* dx, int algorithm,
                                                             size_t* bytes) {
  return ask(handle, {kInputGrad, *dx, *w, *dy, *c}, algorithm, bytes);
}
EXPORTED Status cudnnGetConvolutionBackwardFilterWorkspaceSize(Handle* handle, Map* x, Map* dy, Convolution* c, Map* dw, int algorithm,
                                                               size_t* bytes) {
  return ask(handle, {kWeightGrad, *x, *dw, *dy, *c}, algorithm, bytes);
}

EXPORTED Status cudnnConvolutionForward(Handle* handle, const float* alpha, Map* x_map, float* x, Map* w_map, float* w, Convolution* c,
                                        int algorithm, char* workspace, size_t bytes, const float* beta, Map* y_map, float* y) {
  return put(handle, alpha, beta, {{kForward, *x_map, *w_map, *y_map, *c}, x, w, y, workspace}, algorithm, bytes);
}
EXPORTED Status cudnnConvolutionBackwardData(Handle* handle, const float* alpha, Map* w_map, float* w, Map* dy_map, float* dy,
                                             Convolution* c, int algorithm, char* workspace, size_t bytes, const float* beta, Map* dx_map,
                                             float* dx) {
  return put(handle, alpha, beta, {{kInputGrad, *dx_map, *w_map, *dy_map, *c}, dx, w, dy, workspace}, algorithm, bytes);
}
#ifndef ALUDEL_FAKE_INCOMPLETE
EXPORTED Status cudnnConvolutionBackwardFilter(Handle* handle, const float* alpha, Map* x_map, float* x, Map* dy_map, float* dy,
                                               Convolution* c, int algorithm, char* workspace, size_t bytes, const float* beta, Map* dw_map,
                                               float* dw) {
  return put(handle, alpha, beta, {{kWeightGrad, *x_map, *dw_map, *dy_map, *c}, x, dw, dy, workspace}, algorithm, bytes);
}
#endif
