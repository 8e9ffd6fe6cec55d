// Every PTX instruction the backend uses, as an inline function; the only file with inline assembly. Without nvcc each one is a call of
// the emulation in test/native/cuda_host that means the same. Fragment layouts are those of the PTX ISA, with g = lane / 4, t = lane % 4;
// all mma and ldmatrix calls need a whole, converged warp.
#pragma once
#include "native/cuda/launch.cuh"

// The emulation names the line of the kernel in its reports.
#ifdef __CUDACC__
#define ALUDEL_CUDA_CALLER
#else
#define ALUDEL_CUDA_CALLER , ::cuda_host::Location caller = ::cuda_host::Location::current()
#endif

namespace aludel::cuda {

#ifdef __CUDACC__
__device__ __forceinline__ uint32_t shared_address(const void* p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); }
#endif

// f32 to tf32, to nearest, ties away from zero. The low 13 bits are cleared here because PTX does not promise it: the result is an f32
// value.
__device__ __forceinline__ uint32_t to_tf32(float x) {
#ifdef __CUDACC__
  uint32_t r;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
  return r & 0xffffe000u;
#else
  return cuda_host::to_tf32(x);
#endif
}

// Two f32 to bf16, to nearest even, in one register: `low` in the low half.
__device__ __forceinline__ uint32_t to_bf16x2(float low, float high) {
#ifdef __CUDACC__
  uint32_t r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
#else
  return cuda_host::to_bf16x2(low, high);
#endif
}

// d += a b, 16x8x8. a: (g,t) (g+8,t) (g,t+4) (g+8,t+4); b: (t,g) (t+4,g); d: (g,2t) (g,2t+1) (g+8,2t) (g+8,2t+1).
__device__ __forceinline__ void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2] ALUDEL_CUDA_CALLER) {
#ifdef __CUDACC__
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  cuda_host::mma_m16n8k8_tf32(d, a, b, caller);
#endif
}

// d += a b, 16x8x16, two bf16 per register, the lower k in the low half.
// a: (g,2t..) (g+8,2t..) (g,2t+8..) (g+8,2t+8..); b: (2t..,g) (2t+8..,g); d as above.
__device__ __forceinline__ void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2] ALUDEL_CUDA_CALLER) {
#ifdef __CUDACC__
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  cuda_host::mma_m16n8k16_bf16(d, a, b, caller);
#endif
}

// d += a b in float64, 8x8x4. a: (g,t); b: (t,g); d: (g,2t) (g,2t+1).
__device__ __forceinline__ void mma_m8n8k4_f64(double (&d)[2], double a, double b ALUDEL_CUDA_CALLER) {
#ifdef __CUDACC__
  asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0,%1},{%2},{%3},{%0,%1};" : "+d"(d[0]), "+d"(d[1]) : "d"(a), "d"(b));
#else
  cuda_host::mma_m8n8k4_f64(d, a, b, caller);
#endif
}

// N (1, 2, 4) matrices of 8x8 16-bit elements from shared memory; lanes 8i..8i+7 give the 16-byte aligned row addresses of matrix i.
// r[i]: (g,2t) in the low half and (g,2t+1), or of the transposed matrix.
template <int N, bool Transposed = false>
__device__ __forceinline__ void ldmatrix(uint32_t (&r)[N], const void* row ALUDEL_CUDA_CALLER) {
  static_assert(N == 1 || N == 2 || N == 4);
#ifdef __CUDACC__
  const uint32_t s = shared_address(row);
  if constexpr (N == 1 && !Transposed) asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0},[%1];" : "=r"(r[0]) : "r"(s) : "memory");
  if constexpr (N == 1 && Transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0},[%1];" : "=r"(r[0]) : "r"(s) : "memory");
  if constexpr (N == 2 && !Transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1},[%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(s) : "memory");
  if constexpr (N == 2 && Transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1},[%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(s) : "memory");
  if constexpr (N == 4 && !Transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3},[%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(s)
                 : "memory");
  if constexpr (N == 4 && Transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3},[%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(s)
                 : "memory");
#else
  cuda_host::ldmatrix(r, row, N, Transposed, caller);
#endif
}

// Bytes (4, 8 or 16, the alignment of both sides) from global to shared memory while the thread goes on. Without `valid` zeros are written
// and `source` is not read. Part of the group that the next cp_async_commit() closes. The "memory" clobbers keep loads behind the waits.
template <int Bytes>
__device__ __forceinline__ void cp_async(void* target, const void* source, bool valid = true ALUDEL_CUDA_CALLER) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
#ifdef __CUDACC__
  const int read = valid ? Bytes : 0;
  if constexpr (Bytes == 16)  // past L1: every byte is used once
    asm volatile("cp.async.cg.shared.global [%0],[%1],16,%2;" ::"r"(shared_address(target)), "l"(source), "r"(read) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0],[%1],%2,%3;" ::"r"(shared_address(target)), "l"(source), "n"(Bytes), "r"(read) : "memory");
#else
  cuda_host::cp_async(target, source, Bytes, valid ? Bytes : 0, caller);
#endif
}

__device__ __forceinline__ void cp_async_commit() {
#ifdef __CUDACC__
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  cuda_host::cp_async_commit();
#endif
}

// Waits until at most `Pending` of this thread's newest groups are on their way. Other threads see the data only after a barrier.
template <int Pending>
__device__ __forceinline__ void cp_async_wait() {
#ifdef __CUDACC__
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
#else
  cuda_host::cp_async_wait(Pending);
#endif
}

// x, but unknown to the compiler: what is computed from it stays where it stands instead of being kept in registers through a loop.
__device__ __forceinline__ int opaque(int x) {
#ifdef __CUDACC__
  asm volatile("" : "+r"(x));
#endif
  return x;
}
// A sum of an address is kept as one number, not as its terms.
__device__ __forceinline__ const float* opaque(const float* x) {
#ifdef __CUDACC__
  asm volatile("" : "+l"(x));
#endif
  return x;
}

// Four floats of shared memory, 16-byte aligned, by one load: the compiler makes four of it where other instructions stand between the
// uses.
__device__ __forceinline__ float4 load_shared(const float* from) {
#ifdef __CUDACC__
  float4 v;
  asm volatile("ld.shared.v4.f32 {%0,%1,%2,%3},[%4];" : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "r"(shared_address(from)) : "memory");
  return v;
#else
  return *reinterpret_cast<const float4*>(from);
#endif
}

}  // namespace aludel::cuda
