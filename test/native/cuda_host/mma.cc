// Tensor core products of a warp. Products are exact and a sum is rounded once, to nearest or, as tensor cores seem to do, toward zero; the
// float64 form is a chain of fused multiply-adds.
#include <bit>
#include <cmath>

#include "cuda_host/control.h"
#include "cuda_host/tensor_core.h"
#include "test/native/cuda_host/scheduler.h"

namespace cuda_host {
namespace {

struct MmaOperands {
  float* d;
  const uint32_t *a, *b;
};
using Row = double __attribute__((vector_size(64)));

void need_whole_warp(const char* name, unsigned mask) {
  if (mask != ~0u) fail("%s with exited lanes (live %08x)", name, mask);
}

float low_tf32(uint32_t u) { return std::bit_cast<float>(u & 0xffffe000u); }  // the hardware ignores the low 13 bits
float low_bf16(uint32_t u) { return std::bit_cast<float>(u << 16); }
float high_bf16(uint32_t u) { return std::bit_cast<float>(u & 0xffff0000u); }

template <int K>
struct Tile {
  double a[16][K];
  Row b[K], d[16];
};

// The one loop that takes time, once per instruction set. All products fit a double exactly, so fusing changes nothing.
template <int K>
__attribute__((always_inline)) inline void multiply_tile(Tile<K>& t) {
  for (int i = 0; i < 16; ++i) {
    Row r = t.d[i];
    for (int k = 0; k < K; ++k) r += t.a[i][k] * t.b[k];
    t.d[i] = r;
  }
}
template <int K>
void multiply_portable(Tile<K>& t) {
  multiply_tile(t);
}
#if defined(__x86_64__)
template <int K>
__attribute__((target("avx2,fma"))) void multiply_avx2(Tile<K>& t) {
  multiply_tile(t);
}
template <int K>
__attribute__((target("avx512f"))) void multiply_avx512(Tile<K>& t) {
  multiply_tile(t);
}
#endif

template <int K>
auto choose_multiply() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return multiply_avx512<K>;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return multiply_avx2<K>;
#endif
  return multiply_portable<K>;
}

float round_sum(double sum, bool to_zero) {
  const float r = static_cast<float>(sum);
  return to_zero && std::abs(static_cast<double>(r)) > std::abs(sum) ? std::nextafter(r, 0.0f) : r;
}

// 16 x 8 x K with E elements per register, first() the one with the lower k.
template <int K, int E, auto first, auto second>
void mma_16x8(void* const* operands, unsigned mask) {
  need_whole_warp("mma.sync", mask);
  static const auto multiply = choose_multiply<K>();
  const auto lanes = reinterpret_cast<MmaOperands* const*>(operands);
  Tile<K> tile;
  for (int l = 0; l < 32; ++l) {
    const int g = l / 4, t = l % 4;
    const MmaOperands& m = *lanes[l];
    for (int e = 0; e < E; ++e) {
      for (int q = 0; q < 4; ++q) tile.a[g + q % 2 * 8][q / 2 * (K / 2) + t * E + e] = (e ? second : first)(m.a[q]);
      for (int q = 0; q < 2; ++q) tile.b[q * (K / 2) + t * E + e][g] = (e ? second : first)(m.b[q]);
    }
    for (int q = 0; q < 4; ++q) tile.d[g + q / 2 * 8][2 * t + q % 2] = m.d[q];
  }
  multiply(tile);
  const bool to_zero = config().round_to_zero;
  for (int l = 0; l < 32; ++l)
    for (int q = 0; q < 4; ++q) lanes[l]->d[q] = round_sum(tile.d[l / 4 + q / 2 * 8][2 * (l % 4) + q % 2], to_zero);
  ++counters.mmas;
}

struct Mma64Operands {
  double *d, a, b;
};

void mma_8x8x4(void* const* operands, unsigned mask) {
  need_whole_warp("mma.sync", mask);
  const auto lanes = reinterpret_cast<Mma64Operands* const*>(operands);
  for (int l = 0; l < 32; ++l)
    for (int q = 0; q < 2; ++q)
      for (int k = 0; k < 4; ++k) {
        const int row = l / 4, column = 2 * (l % 4) + q;
        lanes[l]->d[q] = std::fma(lanes[row * 4 + k]->a, lanes[column * 4 + k]->b, lanes[l]->d[q]);
      }
  ++counters.mmas;
}

const Operation tf32_operation{"mma.m16n8k8.tf32", mma_16x8<8, 1, low_tf32, low_tf32>, false};
const Operation bf16_operation{"mma.m16n8k16.bf16", mma_16x8<16, 2, low_bf16, high_bf16>, false};
const Operation f64_operation{"mma.m8n8k4.f64", mma_8x8x4, false};

}  // namespace

void mma_m16n8k8_tf32(float* d, const uint32_t* a, const uint32_t* b, Location place) {
  MmaOperands m{d, a, b};
  collective(tf32_operation, ~0u, &m, place);
}

void mma_m16n8k16_bf16(float* d, const uint32_t* a, const uint32_t* b, Location place) {
  MmaOperands m{d, a, b};
  collective(bf16_operation, ~0u, &m, place);
}

void mma_m8n8k4_f64(double* d, double a, double b, Location place) {
  Mma64Operands m{d, a, b};
  collective(f64_operation, ~0u, &m, place);
}

}  // namespace cuda_host
