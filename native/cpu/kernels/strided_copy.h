// One copy engine for all movement ops. Runs of the innermost dimension where they are contiguous, tiles of 32 x 32 where another dimension
// is the contiguous one.
#pragma once
#include "native/core/strided_copy.h"
#include "native/cpu/kernels/checks.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kCopyGrain = 32768;  // elements of one task
constexpr int64_t kTile = 32;

template <typename T>
ALUDEL_INLINE void copy_run(const T* src, int64_t src_stride, T* dst, int64_t dst_stride, int64_t n) {
  if (src_stride == 1 && dst_stride == 1) {
    memcpy(dst, src, static_cast<size_t>(n) * sizeof(T));
  } else if (src_stride == 0 && dst_stride == 1) {
    T value = *src;
    for (int64_t i = 0; i < n; ++i) dst[i] = value;
  } else if (dst_stride == 1) {
    for (int64_t i = 0; i < n; ++i) dst[i] = src[i * src_stride];
  } else {
    for (int64_t i = 0; i < n; ++i) dst[i * dst_stride] = src[i * src_stride];
  }
}

// rows x columns, source contiguous along rows, destination along columns: blocks of 4 x 4 keep whole words in registers.
template <typename T>
ALUDEL_INLINE void copy_tile(const T* src, int64_t src_column, T* dst, int64_t dst_row, int64_t rows, int64_t columns) {
  int64_t c = 0;
  for (; c + 4 <= columns; c += 4) {
    const T *s0 = src + c * src_column, *s1 = s0 + src_column, *s2 = s1 + src_column, *s3 = s2 + src_column;
    for (int64_t r = 0; r < rows; ++r) {
      T* to = dst + r * dst_row + c;
      T v0 = s0[r], v1 = s1[r], v2 = s2[r], v3 = s3[r];
      to[0] = v0;
      to[1] = v1;
      to[2] = v2;
      to[3] = v3;
    }
  }
  for (; c < columns; ++c)
    for (int64_t r = 0; r < rows; ++r) dst[r * dst_row + c] = src[c * src_column + r];
}

// Offsets of outer index `flat` over all dimensions except the skipped ones.
ALUDEL_INLINE void outer_offsets(const StridedCopy& copy, int64_t flat, int skip_a, int skip_b, int64_t* src, int64_t* dst) {
  *src = *dst = 0;
  for (int d = copy.rank - 1; d >= 0; --d) {
    if (d == skip_a || d == skip_b) continue;
    int64_t i = flat % copy.dims[d];
    flat /= copy.dims[d];
    *src += i * copy.src_strides[d];
    *dst += i * copy.dst_strides[d];
  }
}

template <typename T>
void copy_by_runs(const StridedCopy& copy, int64_t total, Exec& exec) {
  int last = copy.rank - 1;
  int64_t inner = copy.dims[last];
  int64_t segment = min_of(inner, kCopyGrain), segments = ceil_div(inner, segment);
  int64_t units = total / inner * segments, per_task = max_of(1, kCopyGrain / segment);
  const T* src = reinterpret_cast<const T*>(copy.src);
  T* dst = reinterpret_cast<T*>(copy.dst);
  parallel_ranges(exec, units, per_task, [&](int64_t begin, int64_t end, void*) {
    for (int64_t u = begin; u < end; ++u) {
      int64_t first = u % segments * segment, from, to;
      outer_offsets(copy, u / segments, last, last, &from, &to);
      int64_t s = copy.src_strides[last], d = copy.dst_strides[last];
      copy_run(src + from + first * s, s, dst + to + first * d, d, min_of(segment, inner - first));
    }
  });
}

// `row` is the dimension in which the source is contiguous; the destination is contiguous in the last one.
template <typename T>
void copy_by_tiles(const StridedCopy& copy, int64_t total, int row, Exec& exec) {
  int last = copy.rank - 1;
  int64_t rows = copy.dims[row], columns = copy.dims[last];
  int64_t row_tiles = ceil_div(rows, kTile), column_tiles = ceil_div(columns, kTile);
  int64_t tiles = total / (rows * columns) * row_tiles * column_tiles;
  int64_t per_task = max_of(1, kCopyGrain / (min_of(rows, kTile) * min_of(columns, kTile)));
  const T* src = reinterpret_cast<const T*>(copy.src);
  T* dst = reinterpret_cast<T*>(copy.dst);
  parallel_ranges(exec, tiles, per_task, [&](int64_t begin, int64_t end, void*) {
    for (int64_t t = begin; t < end; ++t) {
      int64_t c = t % column_tiles * kTile, r = t / column_tiles % row_tiles * kTile, from, to;
      outer_offsets(copy, t / column_tiles / row_tiles, row, last, &from, &to);
      copy_tile(src + from + r + c * copy.src_strides[last], copy.src_strides[last], dst + to + r * copy.dst_strides[row] + c,
                copy.dst_strides[row], min_of(kTile, rows - r), min_of(kTile, columns - c));
    }
  });
}

template <typename T>
void copy_typed(const StridedCopy& copy, int64_t total, Exec& exec) {
  int last = copy.rank - 1;
  if (copy.dst_strides[last] == 1 && copy.src_strides[last] > 1)
    for (int d = 0; d < last; ++d)
      if (copy.src_strides[d] == 1) return copy_by_tiles<T>(copy, total, d, exec);
  copy_by_runs<T>(copy, total, exec);
}

[[maybe_unused]] void strided_copy(StridedCopy copy, Exec& exec) {
  int64_t total = 1;
  for (int d = 0; d < copy.rank; ++d) total *= copy.dims[d];
  if (total == 0) return;
  collapse_copy(&copy);
  if (copy.element_bytes == 1) return copy_typed<uint8_t>(copy, total, exec);
  if (copy.element_bytes == 4) return copy_typed<uint32_t>(copy, total, exec);
  copy_typed<uint64_t>(copy, total, exec);
}

}  // namespace
}  // namespace aludel::cpu::ALUDEL_ISA
