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

// Masks are kept as bytes by the million: between float32, which holds every byte, and bytes a vector at a time.
typedef uint8_t vb __attribute__((vector_size(ALUDEL_VW)));
typedef uint8_t vbu __attribute__((vector_size(ALUDEL_VW), aligned(1), may_alias));

void to_bytes(const float* src, uint8_t* dst, int64_t n) {
  const vf most = splat(255.0f);
  int64_t i = 0;
  for (; i + VW <= n; i += VW) {
    vf v = larger(load(src + i), vf{});  // NaN is 0
    v = v < most ? v : most;
    *reinterpret_cast<vbu*>(dst + i) = __builtin_convertvector(__builtin_convertvector(v, vi), vb);
  }
  to_integer(src + i, dst + i, n - i);
}

// One instruction, which GCC does not make of the conversion.
ALUDEL_INLINE vi widened(const uint8_t* src) {
#if ALUDEL_VW == 16 && defined(__AVX512F__)
  return (vi)_mm512_maskz_cvtepu8_epi32(0xFFFF, _mm_loadu_si128(reinterpret_cast<const __m128i*>(src)));
#elif ALUDEL_VW == 8 && defined(__AVX2__)
  return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(src)));
#else
  return __builtin_convertvector(*reinterpret_cast<const vbu*>(src), vi);
#endif
}

void from_bytes(const uint8_t* src, float* dst, int64_t n) {
  int64_t i = 0;
  for (; i + VW <= n; i += VW) store(dst + i, __builtin_convertvector(widened(src + i), vf));
  for (; i < n; ++i) dst[i] = static_cast<float>(src[i]);
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
        if (y.dtype == DType::u8) return to_bytes(x.as<const float>() + begin, y.as<uint8_t>() + begin, n);
        return cast_from(x.as<const float>() + begin, y, begin, n);
      case DType::f64:
        return cast_from(x.as<const double>() + begin, y, begin, n);
      case DType::i32:
        return cast_from(x.as<const int32_t>() + begin, y, begin, n);
      case DType::u32:
        return cast_from(x.as<const uint32_t>() + begin, y, begin, n);
      case DType::u8:
        if (y.dtype == DType::f32) return from_bytes(x.as<const uint8_t>() + begin, y.as<float>() + begin, n);
        return cast_from(x.as<const uint8_t>() + begin, y, begin, n);
    }
  });
  return {};
}

}  // namespace

extern const Kernel kernel_cast;
const Kernel kernel_cast = {check_cast, nullptr, run_cast};

}  // namespace aludel::cpu::ALUDEL_ISA
