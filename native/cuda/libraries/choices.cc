#include "native/cuda/libraries/choices.h"

#include <bit>

namespace aludel::cuda {
namespace {

#define ALUDEL_CHOICE(architecture, precision, batch, m, n, k, transpose_a, transpose_b, vectors) \
  {architecture, Precision::precision, batch, m, n, k, transpose_a, transpose_b, vectors},
constexpr Choice kChoices[] = {
#include "native/cuda/libraries/choices.inc"
#ifdef ALUDEL_CUDA_MORE_CHOICES  // the emulated build's, for an architecture that nothing else is tested on
#include ALUDEL_CUDA_MORE_CHOICES
#endif
    {}};
#undef ALUDEL_CHOICE

int log2_up(int64_t size) { return size <= 1 ? 0 : static_cast<int>(std::bit_width(static_cast<uint64_t>(size - 1))); }

}  // namespace

bool is_chosen(const DeviceInfo& device, const Product& p) {
  const bool vectors = p.m % 4 == 0 && p.n % 4 == 0 && p.k % 4 == 0;
  for (const Choice& choice : kChoices) {
    if (choice.architecture == 10 * device.major + device.minor && choice.precision == device.precision &&
        choice.log2_batch == log2_up(p.batch) && choice.log2_m == log2_up(p.m) && choice.log2_n == log2_up(p.n) &&
        choice.log2_k == log2_up(p.k) && choice.transpose_a == p.transpose_a && choice.transpose_b == p.transpose_b &&
        choice.vectors == vectors)
      return true;
  }
  return false;
}

}  // namespace aludel::cuda
