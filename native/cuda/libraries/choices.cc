#include "native/cuda/libraries/choices.h"

#include <algorithm>
#include <bit>
#include <iterator>

namespace aludel::cuda {
namespace {

#define ALUDEL_CONVOLUTION(...)
#define ALUDEL_PRODUCT(architecture, precision, ...) {architecture, Precision::precision, __VA_ARGS__},
constexpr ProductChoice kProducts[] = {
#include "native/cuda/libraries/choices.inc"
#ifdef ALUDEL_CUDA_MORE_CHOICES  // the emulated build's, for an architecture that nothing else is tested on
#include ALUDEL_CUDA_MORE_CHOICES
#endif
    {}};
#undef ALUDEL_CONVOLUTION
#undef ALUDEL_PRODUCT

#define ALUDEL_PRODUCT(...)
#define ALUDEL_CONVOLUTION(architecture, precision, pass, ...) {architecture, Precision::precision, Convolution::pass, __VA_ARGS__},
constexpr ConvolutionChoice kConvolutions[] = {
#include "native/cuda/libraries/choices.inc"
#ifdef ALUDEL_CUDA_MORE_CHOICES
#include ALUDEL_CUDA_MORE_CHOICES
#endif
    {}};
#undef ALUDEL_CONVOLUTION
#undef ALUDEL_PRODUCT

int log2_up(int64_t size) { return size <= 1 ? 0 : static_cast<int>(std::bit_width(static_cast<uint64_t>(size - 1))); }
int architecture(const DeviceInfo& device) { return 10 * device.major + device.minor; }

}  // namespace

bool is_chosen(const DeviceInfo& device, const Product& p) {
  const bool vectors = p.m % 4 == 0 && p.n % 4 == 0 && p.k % 4 == 0;
  const ProductChoice wanted = {architecture(device), device.precision, log2_up(p.batch), log2_up(p.m), log2_up(p.n),
                                log2_up(p.k),         p.transpose_a,    p.transpose_b,    vectors};
  return std::ranges::find(kProducts, wanted) != std::end(kProducts);
}

bool is_chosen(const DeviceInfo& device, const Convolution& c) {
  const ConvShape& s = c.shape;
  const bool vectors = s.channels % 4 == 0 && s.filters % 4 == 0;
  const ConvolutionChoice wanted = {architecture(device), device.precision,   c.pass,
                                    s.kernel_height,      s.kernel_width,     s.stride_height,
                                    s.stride_width,       log2_up(s.groups),  log2_up(s.positions()),
                                    log2_up(s.channels),  log2_up(s.filters), vectors};
  return std::ranges::find(kConvolutions, wanted) != std::end(kConvolutions);
}

}  // namespace aludel::cuda
