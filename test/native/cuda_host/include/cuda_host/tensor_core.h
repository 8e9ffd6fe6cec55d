// What the PTX wrappers of native/cuda/ptx.cuh call instead of instructions: conversions, mma, ldmatrix, cp.async.
#pragma once
#include <bit>

#include "cuda_host/execution.h"

namespace cuda_host {

inline uint32_t to_tf32(float x) {
  const uint32_t u = std::bit_cast<uint32_t>(x);
  if ((u & 0x7f800000u) == 0x7f800000u) return u & 0x7fffffu ? 0x7fffe000u : u;
  return (u + 0x1000u) & 0xffffe000u;
}
inline uint32_t to_bf16(float x) {
  const uint32_t u = std::bit_cast<uint32_t>(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
  return (u + 0x7fffu + (u >> 16 & 1)) >> 16;
}
inline uint32_t to_bf16x2(float low, float high) { return to_bf16(low) | to_bf16(high) << 16; }

void mma_m16n8k8_tf32(float* d, const uint32_t* a, const uint32_t* b, Location place);
void mma_m16n8k16_bf16(float* d, const uint32_t* a, const uint32_t* b, Location place);
void mma_m8n8k4_f64(double* d, double a, double b, Location place);
void ldmatrix(uint32_t* r, const void* row, int matrices, bool transposed, Location place);

void cp_async(void* target, const void* source, int bytes, int valid, Location place);
void cp_async_commit();
void cp_async_wait(int pending);

}  // namespace cuda_host
