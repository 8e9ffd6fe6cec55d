// float4 and its kin, with CUDA's alignments, and dim3.
#pragma once

#define CUDA_HOST_VECTOR(T, name)                                       \
  struct name##1 {                                                      \
    T x;                                                                \
  };                                                                    \
  struct alignas(sizeof(T) * 2 > 16 ? 16 : sizeof(T) * 2) name##2 {     \
    T x, y;                                                             \
  };                                                                    \
  struct name##3 {                                                      \
    T x, y, z;                                                          \
  };                                                                    \
  struct alignas(sizeof(T) * 4 > 16 ? 16 : sizeof(T) * 4) name##4 {     \
    T x, y, z, w;                                                       \
  };                                                                    \
  constexpr name##1 make_##name##1(T x) { return {x}; }                 \
  constexpr name##2 make_##name##2(T x, T y) { return {x, y}; }         \
  constexpr name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; } \
  constexpr name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }

CUDA_HOST_VECTOR(signed char, char)
CUDA_HOST_VECTOR(unsigned char, uchar)
CUDA_HOST_VECTOR(short, short)
CUDA_HOST_VECTOR(unsigned short, ushort)
CUDA_HOST_VECTOR(int, int)
CUDA_HOST_VECTOR(unsigned int, uint)
CUDA_HOST_VECTOR(long long, longlong)
CUDA_HOST_VECTOR(unsigned long long, ulonglong)
CUDA_HOST_VECTOR(float, float)
CUDA_HOST_VECTOR(double, double)
#undef CUDA_HOST_VECTOR

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
  constexpr operator uint3() const { return {x, y, z}; }
};
