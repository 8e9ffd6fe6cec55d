// image_gather: rows of a uint8 image set by index, as float32 with a scale and a shift per channel, in one pass.
// Indices are checked before anything is written.
#include "native/cpu/kernels/checks.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kGrain = 32768;    // elements of one task
constexpr int64_t kMaxPattern = 16;  // channels whose pattern of coefficients is kept as vectors

typedef uint8_t byte_vector __attribute__((vector_size(ALUDEL_VW), aligned(1), may_alias));

// ---- kernels --------------------------------------------------------------------------------------------------------------------

// VW pixels of C channels are C whole vectors: the coefficients repeat with that period.
struct Pattern {
  vf scale[kMaxPattern], shift[kMaxPattern];
};

void fill_pattern(const float* scale, const float* shift, int64_t channels, Pattern* pattern) {
  for (int64_t j = 0; j < channels; ++j)
    for (int64_t i = 0; i < VW; ++i) {
      pattern->scale[j][i] = scale[(j * VW + i) % channels];
      pattern->shift[j][i] = shift[(j * VW + i) % channels];
    }
}

void convert_image(const uint8_t* x, const float* scale, const float* shift, const Pattern* pattern, int64_t channels, int64_t n,
                   float* y) {
  int64_t i = 0, period = channels * VW;
  for (; pattern && i + period <= n; i += period)
    for (int64_t j = 0; j < channels; ++j) {
      vi wide = __builtin_convertvector(*reinterpret_cast<const byte_vector*>(x + i + j * VW), vi);
      store(y + i + j * VW, __builtin_convertvector(wide, vf) * pattern->scale[j] + pattern->shift[j]);
    }
  for (int64_t c = 0; i < n; ++i) {
    y[i] = static_cast<float>(x[i]) * scale[c] + shift[c];
    if (++c == channels) c = 0;
  }
}

// ---- entry points ---------------------------------------------------------------------------------------------------------------

Status check_image_gather(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_arity("image_gather", args, 4, 1, 0));
  const TensorRef &x = args.in[0], &index = args.in[1], &y = args.out[0];
  if (x.dtype != DType::u8 || x.rank != 4 || y.dtype != DType::f32 || y.rank != 4)
    return wrong("image_gather", "u8 [R,H,W,C] in, f32 [M,H,W,C] out");
  if (index.dtype != DType::i32 || index.rank != 1 || index.dims[0] != y.dims[0]) return wrong("image_gather", "an i32 index [M]");
  for (int d = 1; d < 4; ++d)
    if (x.dims[d] != y.dims[d]) return wrong("image_gather", "images of one shape on both sides");
  for (int i = 2; i < 4; ++i)
    if (args.in[i].dtype != DType::f32 || args.in[i].rank != 1 || args.in[i].dims[0] != x.dims[3])
      return wrong("image_gather", "f32 scale [C] and shift [C]");
  return {};
}

Status run_image_gather(const KernelArgs& args, Exec& exec) {
  const TensorRef &x = args.in[0], &y = args.out[0];
  const int32_t* index = args.in[1].as<const int32_t>();
  const float *scale = args.in[2].as<const float>(), *shift = args.in[3].as<const float>();
  for (int64_t m = 0; m < y.dims[0]; ++m)
    if (index[m] < 0 || index[m] >= x.dims[0])
      return fail(Code::invalid_index, "image_gather: index %d at position %lld is outside 0..%lld", index[m], static_cast<long long>(m),
                  static_cast<long long>(x.dims[0] - 1));
  int64_t channels = x.dims[3], image = x.dims[1] * x.dims[2] * channels;
  if (image == 0) return {};
  Pattern pattern;
  bool patterned = channels <= kMaxPattern;
  if (patterned) fill_pattern(scale, shift, channels, &pattern);
  parallel_ranges(exec, y.dims[0], max_of(1, kGrain / image), [&](int64_t begin, int64_t end, void*) {
    for (int64_t m = begin; m < end; ++m)
      convert_image(x.as<const uint8_t>() + index[m] * image, scale, shift, patterned ? &pattern : nullptr, channels, image,
                    y.as<float>() + m * image);
  });
  return {};
}

}  // namespace

extern const Kernel kernel_image_gather;
const Kernel kernel_image_gather = {check_image_gather, nullptr, run_image_gather};

}  // namespace aludel::cpu::ALUDEL_ISA
