// Conversion between dtypes, element by element. Floats become integers by truncation; what does not fit stops at the ends of the
// target's range, and NaN becomes 0.
#include "native/cpu/kernels/checks.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kGrain = 65536;

// ---- kernels --------------------------------------------------------------------------------------------------------------------

template <typename D>
struct Limits;
template <>
struct Limits<int32_t> {
  static constexpr double low = -2147483648.0, high = 2147483647.0;
};
template <>
struct Limits<uint32_t> {
  static constexpr double low = 0.0, high = 4294967295.0;
};
template <>
struct Limits<uint8_t> {
  static constexpr double low = 0.0, high = 255.0;
};

template <typename D, typename S>
void to_integer(const S* src, D* dst, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    double v = static_cast<double>(src[i]);  // holds every 32-bit integer exactly
    v = v > Limits<D>::low ? v : Limits<D>::low;
    v = v < Limits<D>::high ? v : Limits<D>::high;
    dst[i] = src[i] == src[i] ? static_cast<D>(v) : D{0};
  }
}

template <typename S>
void cast_from(const S* src, const TensorRef& out, int64_t begin, int64_t n) {
  switch (out.dtype) {
    case DType::f32:
      for (int64_t i = 0; i < n; ++i) out.as<float>()[begin + i] = static_cast<float>(src[i]);
      break;
    case DType::f64:
      for (int64_t i = 0; i < n; ++i) out.as<double>()[begin + i] = static_cast<double>(src[i]);
      break;
    case DType::i32:
      to_integer(src, out.as<int32_t>() + begin, n);
      break;
    case DType::u32:
      to_integer(src, out.as<uint32_t>() + begin, n);
      break;
    case DType::u8:
      to_integer(src, out.as<uint8_t>() + begin, n);
      break;
  }
}

// ---- entry points ---------------------------------------------------------------------------------------------------------------

Status check_cast(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_arity("cast", args, 1, 1, 0));
  return same_shape(args.in[0], args.out[0]) ? Status{} : wrong("cast", "an output of the input's shape");
}

Status run_cast(const KernelArgs& args, Exec& exec) {
  const TensorRef &x = args.in[0], &y = args.out[0];
  parallel_ranges(exec, x.numel(), kGrain, [&](int64_t begin, int64_t end, void*) {
    int64_t n = end - begin;
    if (x.dtype == y.dtype) {
      int64_t size = size_of(x.dtype);
      memcpy(y.as<char>() + begin * size, x.as<char>() + begin * size, static_cast<size_t>(n * size));
      return;
    }
    switch (x.dtype) {
      case DType::f32:
        return cast_from(x.as<const float>() + begin, y, begin, n);
      case DType::f64:
        return cast_from(x.as<const double>() + begin, y, begin, n);
      case DType::i32:
        return cast_from(x.as<const int32_t>() + begin, y, begin, n);
      case DType::u32:
        return cast_from(x.as<const uint32_t>() + begin, y, begin, n);
      case DType::u8:
        return cast_from(x.as<const uint8_t>() + begin, y, begin, n);
    }
  });
  return {};
}

}  // namespace

extern const Kernel kernel_cast;
const Kernel kernel_cast = {check_cast, nullptr, run_cast};

}  // namespace aludel::cpu::ALUDEL_ISA
