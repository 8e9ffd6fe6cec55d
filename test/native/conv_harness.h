// Runs one convolution instruction alone: exact-size tensors, a stand-in for the executor with any number of threads, poisoned scratch,
// and float64 loops that define the right answer.
#pragma once
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

#include "native/core/kernel.h"

namespace aludel::testing {

using Dims = std::vector<int64_t>;

inline int64_t count(const Dims& dims) {
  int64_t n = 1;
  for (int64_t d : dims) n *= d;
  return n;
}

struct Tensor {
  Dims dims;
  std::vector<float> data;

  Tensor() = default;
  explicit Tensor(const Dims& d, float value = 0) : dims(d), data(size_t(count(d)), value) {}
  TensorRef ref() {
    TensorRef r{DType::f32, int32_t(dims.size()), {}, data.data()};
    for (size_t i = 0; i < dims.size(); ++i) r.dims[i] = dims[i];
    return r;
  }
};

inline Tensor random_tensor(const Dims& dims, uint32_t seed) {
  Tensor t(dims);
  for (float& v : t.data) {
    seed = seed * 1664525u + 1013904223u;
    v = float(int32_t(seed >> 8) & 0xffff) / 65536.f - 0.5f;
  }
  return t;
}

// Tasks go to whichever thread asks first; scratch starts as NaN, so that nothing can lean on its contents.
struct FakeExec : Exec {
  int threads;
  int64_t scratch_bytes;

  FakeExec(int threads_, int64_t scratch) : Exec{&FakeExec::spread, false}, threads(threads_), scratch_bytes(scratch) {}

  static void spread(Exec* self, int64_t tasks, void (*body)(void*, int64_t, void*), void* context) {
    auto* exec = static_cast<FakeExec*>(self);
    std::atomic<int64_t> next{0};
    auto work = [&] {
      void* scratch = exec->scratch_bytes > 0 ? std::aligned_alloc(64, size_t((exec->scratch_bytes + 63) / 64 * 64)) : nullptr;
      for (int64_t i = 0; i < exec->scratch_bytes / 4; ++i) static_cast<float*>(scratch)[i] = std::numeric_limits<float>::quiet_NaN();
      for (int64_t task; (task = next.fetch_add(1)) < tasks;) body(context, task, scratch);
      std::free(scratch);
    };
    std::vector<std::thread> pool;
    for (int i = 1; i < exec->threads; ++i) pool.emplace_back(work);
    work();
    for (std::thread& t : pool) t.join();
  }
};

inline Status check_instruction(const Kernel& kernel, const std::vector<Tensor*>& in, const std::vector<Tensor*>& out,
                                const std::vector<double>& attrs) {
  std::vector<TensorRef> refs;
  for (Tensor* t : in) refs.push_back(t->ref());
  for (Tensor* t : out) refs.push_back(t->ref());
  for (TensorRef& r : refs) r.data = nullptr;
  return kernel.check({0, refs.data(), int(in.size()), refs.data() + in.size(), int(out.size()), attrs.data(), int(attrs.size())});
}

inline Status run_instruction(const Kernel& kernel, const std::vector<Tensor*>& in, const std::vector<Tensor*>& out,
                              const std::vector<double>& attrs, int threads) {
  const Status checked = check_instruction(kernel, in, out, attrs);
  if (!checked.ok()) return checked;
  std::vector<TensorRef> refs;
  for (Tensor* t : in) refs.push_back(t->ref());
  for (Tensor* t : out) refs.push_back(t->ref());
  const KernelArgs args{0, refs.data(), int(in.size()), refs.data() + in.size(), int(out.size()), attrs.data(), int(attrs.size())};
  FakeExec exec(threads, kernel.scratch_bytes == nullptr ? 0 : kernel.scratch_bytes(args));
  return kernel.run(args, exec);
}

struct ConvCase {
  int64_t groups, images, height, width, channels, filters, kernel_height, kernel_width, stride_height, stride_width, pad_height, pad_width;

  int64_t out_height() const { return (height + 2 * pad_height - kernel_height) / stride_height + 1; }
  int64_t out_width() const { return (width + 2 * pad_width - kernel_width) / stride_width + 1; }
  Dims x() const { return {groups, images, height, width, channels}; }
  Dims y() const { return {groups, images, out_height(), out_width(), filters}; }
  Dims w() const { return {groups, kernel_height, kernel_width, channels, filters}; }
  Dims bias() const { return {groups, filters}; }
  bool winograd() const {
    return kernel_height == 3 && kernel_width == 3 && stride_height == 1 && stride_width == 1 && pad_height == 1 && pad_width == 1;
  }
  std::vector<double> attrs(int algorithm) const {
    return {double(stride_height), double(stride_width), double(pad_height), double(pad_width), double(algorithm)};
  }
};

// Calls f(x index, w index, y index) for every product of the convolution.
template <typename F>
void each_product(const ConvCase& c, const F& f) {
  for (int64_t gn = 0; gn < c.groups * c.images; ++gn)
    for (int64_t i = 0; i < c.out_height(); ++i)
      for (int64_t j = 0; j < c.out_width(); ++j)
        for (int64_t r = 0; r < c.kernel_height; ++r)
          for (int64_t s = 0; s < c.kernel_width; ++s) {
            const int64_t row = i * c.stride_height - c.pad_height + r, column = j * c.stride_width - c.pad_width + s;
            if (row < 0 || row >= c.height || column < 0 || column >= c.width) continue;
            const int64_t x = ((gn * c.height + row) * c.width + column) * c.channels;
            const int64_t y = ((gn * c.out_height() + i) * c.out_width() + j) * c.filters;
            const int64_t w = ((gn / c.images * c.kernel_height + r) * c.kernel_width + s) * c.channels * c.filters;
            for (int64_t ch = 0; ch < c.channels; ++ch)
              for (int64_t k = 0; k < c.filters; ++k) f(size_t(x + ch), size_t(w + ch * c.filters + k), size_t(y + k));
          }
}

// A sum in float64 and the sum of its terms' magnitudes, which bounds what rounding may do to it.
struct Expected {
  std::vector<double> value, magnitude;

  explicit Expected(const Dims& dims) : value(size_t(count(dims)), 0.0), magnitude(value.size(), 0.0) {}
  void add(size_t i, double term) {
    value[i] += term;
    magnitude[i] += std::fabs(term);
  }
};

struct ConvReference {
  Expected y, dx, dw, db;
};

inline ConvReference reference(const ConvCase& c, const Tensor& x, const Tensor& w, const Tensor& bias, const Tensor& dy) {
  ConvReference e{Expected(c.y()), Expected(c.x()), Expected(c.w()), Expected(c.bias())};
  const size_t filters = size_t(c.filters), group = dy.data.size() / size_t(c.groups);
  for (size_t i = 0; i < dy.data.size(); ++i) {
    const size_t per_filter = i / group * filters + i % filters;
    e.y.add(i, double(bias.data[per_filter]));
    e.db.add(per_filter, double(dy.data[i]));
  }
  each_product(c, [&](size_t xi, size_t wi, size_t yi) {
    e.y.add(yi, double(x.data[xi]) * double(w.data[wi]));
    e.dx.add(xi, double(dy.data[yi]) * double(w.data[wi]));
    e.dw.add(wi, double(x.data[xi]) * double(dy.data[yi]));
  });
  return e;
}

}  // namespace aludel::testing
