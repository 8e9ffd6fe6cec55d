// What kernels over channels-last maps share: a block of threads looks at a tile of channels, threads side by side at neighbouring
// channels (`lanes` vectors of VW), and the rows of threads at different pixels. Everything is fixed by shapes.
#pragma once
#include <initializer_list>

#include "native/cuda/kernels/launching.h"

namespace aludel::cuda {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr unsigned kAllLanes = 0xffffffffu;

template <int VW>
struct Vec {
  float v[VW];
};

template <int VW>
__device__ __forceinline__ Vec<VW> load(const float* p) {
  Vec<VW> r;
  if constexpr (VW == 4) {
    const float4 q = *reinterpret_cast<const float4*>(p);
    r.v[0] = q.x, r.v[1] = q.y, r.v[2] = q.z, r.v[3] = q.w;
  } else if constexpr (VW == 2) {
    const float2 q = *reinterpret_cast<const float2*>(p);
    r.v[0] = q.x, r.v[1] = q.y;
  } else {
    r.v[0] = *p;
  }
  return r;
}

template <int VW>
__device__ __forceinline__ void store(float* p, const Vec<VW>& r) {
  if constexpr (VW == 4) {
    *reinterpret_cast<float4*>(p) = make_float4(r.v[0], r.v[1], r.v[2], r.v[3]);
  } else if constexpr (VW == 2) {
    *reinterpret_cast<float2*>(p) = make_float2(r.v[0], r.v[1]);
  } else {
    *p = r.v[0];
  }
}

template <int VW>
__device__ __forceinline__ Vec<VW> zeros() {
  Vec<VW> r;
#pragma unroll
  for (int i = 0; i < VW; ++i) r.v[i] = 0.0f;
  return r;
}

// Whether rows of C floats may be read as vectors of `vw`.
inline bool takes_vectors(int64_t C, int vw, std::initializer_list<const void*> pointers) {
  bool aligned = C % vw == 0;
  for (const void* p : pointers) aligned = aligned && reinterpret_cast<uintptr_t>(p) % (sizeof(float) * vw) == 0;
  return aligned;
}

inline int power_of_two_above(int64_t n, int most) {
  int p = 1;
  while (p < n && p < most) p *= 2;
  return p;
}

// Sums over the rows of a block: `sums` of every thread for its VW channels, `lanes` (a power of two, at most 32) threads side by side.
// Thread c < lanes * VW gets the totals of channel c of the tile; the others get nothing of use. `shared`: kWarps * S * lanes * VW doubles,
// free again after the next barrier.
template <int S, int VW>
__device__ __forceinline__ void sum_rows(double (&sums)[S][VW], int lanes, double* shared, double (&totals)[S]) {
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32, tile = lanes * VW;
#pragma unroll
  for (int s = 0; s < S; ++s)
#pragma unroll
    for (int i = 0; i < VW; ++i)
      for (int offset = 16; offset >= lanes; offset /= 2) sums[s][i] += __shfl_xor_sync(kAllLanes, sums[s][i], offset);
  if (lane < lanes)
#pragma unroll
    for (int s = 0; s < S; ++s)
#pragma unroll
      for (int i = 0; i < VW; ++i) shared[(warp * S + s) * tile + lane * VW + i] = sums[s][i];
  __syncthreads();
#pragma unroll
  for (int s = 0; s < S; ++s) {
    totals[s] = 0;
    if (thread < tile)
      for (int w = 0; w < kWarps; ++w) totals[s] += shared[(w * S + s) * tile + thread];
  }
}

template <typename T>
__device__ __forceinline__ T sum_warp(T v) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) v += __shfl_xor_sync(kAllLanes, v, offset);
  return v;
}

__device__ __forceinline__ float whole_power(float v, int power) {
  const float square = v * v;
  return power == 1 ? v : power == 2 ? square : power == 3 ? square * v : square * square;
}

}  // namespace aludel::cuda
