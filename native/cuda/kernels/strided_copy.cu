// Strided copies: as few dimensions and as wide elements (to 16 bytes) as the strides allow. Where source and destination are contiguous in
// different dimensions, tiles go through shared memory, so that both sides move whole lines.
#include "native/cuda/kernels/division.cuh"
#include "native/cuda/kernels/strided_copy.h"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kPerThread = 4;                       // of a thread, on their way together
constexpr int kTileElements = 2048;                 // of a block
constexpr int kTileShared = kTileElements / 2 * 3;  // with a gap behind each column: worst where columns are 2 long
constexpr int64_t kSmallestTile = 512;

// ---- planning -------------------------------------------------------------------------------------------------------------------

// Two elements as one, as long as they stay together on both sides.
void widen_copy(StridedCopy* copy) {
  const int last = copy->rank - 1;
  while (copy->element_bytes < 16) {
    bool pairs = copy->src_strides[last] == 1 && copy->dst_strides[last] == 1 && copy->dims[last] % 2 == 0 &&
                 aligned_to(copy->src, 2 * copy->element_bytes) && aligned_to(copy->dst, 2 * copy->element_bytes);
    for (int d = 0; d < last; ++d) pairs = pairs && copy->src_strides[d] % 2 == 0 && copy->dst_strides[d] % 2 == 0;
    if (!pairs) return;
    copy->element_bytes *= 2;
    copy->dims[last] /= 2;
    for (int d = 0; d < last; ++d) {
      copy->src_strides[d] /= 2;
      copy->dst_strides[d] /= 2;
    }
  }
}

// ---- element by element ---------------------------------------------------------------------------------------------------------

template <typename I>
struct CopyAxis {
  Division<I> size{1};
  int64_t src = 0, dst = 0;
};
template <typename I>
struct CopyAxes {
  CopyAxis<I> axis[kMaxRank];  // outermost first
  int rank = 0;

  void push(int64_t size, int64_t src, int64_t dst) { axis[rank++] = {Division<I>(static_cast<I>(size)), src, dst}; }
  __device__ __forceinline__ void offsets(I i, int64_t* src, int64_t* dst) const {
    *src = *dst = 0;
    for (int d = rank - 1; d >= 0; --d) {
      const I rest = d > 0 ? axis[d].size.quotient(i) : 0;
      const int64_t at = static_cast<int64_t>(i - rest * axis[d].size.divisor());
      *src += at * axis[d].src;
      *dst += at * axis[d].dst;
      i = rest;
    }
  }
};

template <typename U, typename I>
__global__ void __launch_bounds__(kThreads)
    copy_elements(Guard guard, const U* src, U* dst, I n, const __grid_constant__ CopyAxes<I> axes) {
  if (guard.stopped()) return;
  constexpr I tile = kThreads * kPerThread;
  for (I begin = blockIdx.x * tile; begin < n; begin += gridDim.x * tile) {
    U value[kPerThread];
    int64_t to[kPerThread];
#pragma unroll
    for (int e = 0; e < kPerThread; ++e) {
      const I i = begin + static_cast<I>(e * kThreads) + threadIdx.x;
      if (i >= n) continue;
      int64_t from;
      axes.offsets(i, &from, &to[e]);
      value[e] = src[from];
    }
#pragma unroll
    for (int e = 0; e < kPerThread; ++e)
      if (begin + static_cast<I>(e * kThreads) + threadIdx.x < n) dst[to[e]] = value[e];
  }
}

// ---- by tiles -------------------------------------------------------------------------------------------------------------------

// The source is contiguous along rows, the destination along columns.
struct TileShape {
  int64_t rows, columns, src_column, dst_row;
  int row_bits, column_bits;  // of a tile: 2^row_bits x 2^column_bits, at most kTileElements
};

template <typename U, typename I>
__global__ void __launch_bounds__(kThreads, 4)
    copy_tiles(Guard guard, const U* src, U* dst, I tiles, Division<I> row_tiles, Division<I> column_tiles, TileShape shape,
               const __grid_constant__ CopyAxes<I> outer) {
  if (guard.stopped()) return;
  __shared__ U tile[kTileShared];
  const int pitch = (1 << shape.row_bits) + 1, elements = 1 << (shape.row_bits + shape.column_bits);
  for (I t = blockIdx.x; t < tiles; t += gridDim.x) {
    const I by_column = column_tiles.quotient(t), by_row = row_tiles.quotient(by_column);
    const int64_t first_column = static_cast<int64_t>(t - by_column * column_tiles.divisor()) << shape.column_bits;
    const int64_t first_row = static_cast<int64_t>(by_column - by_row * row_tiles.divisor()) << shape.row_bits;
    int64_t from, to;
    outer.offsets(by_row, &from, &to);
    from += first_row + first_column * shape.src_column;
    to += first_row * shape.dst_row + first_column;
    const int rows = static_cast<int>(min(shape.rows - first_row, int64_t{1} << shape.row_bits));
    const int columns = static_cast<int>(min(shape.columns - first_column, int64_t{1} << shape.column_bits));
#pragma unroll 4
    for (int e = 0; e < kTileElements / kThreads; ++e) {
      const int k = e * kThreads + static_cast<int>(threadIdx.x);
      const int r = k & ((1 << shape.row_bits) - 1), c = k >> shape.row_bits;
      if (k < elements && r < rows && c < columns) tile[c * pitch + r] = src[from + r + c * shape.src_column];
    }
    __syncthreads();
#pragma unroll 4
    for (int e = 0; e < kTileElements / kThreads; ++e) {
      const int k = e * kThreads + static_cast<int>(threadIdx.x);
      const int c = k & ((1 << shape.column_bits) - 1), r = k >> shape.column_bits;
      if (k < elements && r < rows && c < columns) dst[to + r * shape.dst_row + c] = tile[c * pitch + r];
    }
    __syncthreads();
  }
}

// ---- launching ------------------------------------------------------------------------------------------------------------------

int bits_to_hold(int64_t n, int most) {
  int bits = 0;
  while (bits < most && (int64_t{1} << bits) < n) ++bits;
  return bits;
}

template <typename U, typename I>
Status launch_elements(const StridedCopy& copy, int64_t n, const Context& context) {
  CopyAxes<I> axes;
  for (int d = 0; d < copy.rank; ++d) axes.push(copy.dims[d], copy.src_strides[d], copy.dst_strides[d]);
  return launched(context, copy_elements<U, I>, grid_for(n, kThreads, *context.device, kPerThread), kThreads, 0,
                  reinterpret_cast<const U*>(copy.src), reinterpret_cast<U*>(copy.dst), static_cast<I>(n), axes);
}

template <typename U, typename I>
Status launch_tiles(const StridedCopy& copy, int64_t n, int row, const Context& context) {
  constexpr int tile_bits = 11;
  static_assert(1 << tile_bits == kTileElements);
  const int last = copy.rank - 1;
  TileShape shape = {copy.dims[row], copy.dims[last], copy.src_strides[last], copy.dst_strides[row], 0, 0};
  shape.column_bits = bits_to_hold(shape.columns, tile_bits - bits_to_hold(shape.rows, 5));
  shape.row_bits = bits_to_hold(shape.rows, tile_bits - shape.column_bits);
  CopyAxes<I> outer;
  for (int d = 0; d < last; ++d)
    if (d != row) outer.push(copy.dims[d], copy.src_strides[d], copy.dst_strides[d]);
  const int64_t row_tiles = ceil_div(shape.rows, int64_t{1} << shape.row_bits);
  const int64_t column_tiles = ceil_div(shape.columns, int64_t{1} << shape.column_bits);
  const int64_t tiles = n / (shape.rows * shape.columns) * row_tiles * column_tiles;
  return launched(context, copy_tiles<U, I>, grid_for(tiles, 1, *context.device), kThreads, 0, reinterpret_cast<const U*>(copy.src),
                  reinterpret_cast<U*>(copy.dst), static_cast<I>(tiles), Division<I>(static_cast<I>(row_tiles)),
                  Division<I>(static_cast<I>(column_tiles)), shape, outer);
}

template <typename U, typename I>
Status launch_copy_of(const StridedCopy& copy, int64_t n, const Context& context) {
  if constexpr (sizeof(U) == 1 || sizeof(U) == 4 || sizeof(U) == 8) {
    const int last = copy.rank - 1;
    if (copy.dst_strides[last] == 1 && copy.src_strides[last] > 1)
      for (int d = 0; d < last; ++d)
        if (copy.src_strides[d] == 1 && copy.dims[d] * copy.dims[last] >= kSmallestTile) return launch_tiles<U, I>(copy, n, d, context);
  }
  return launch_elements<U, I>(copy, n, context);
}

template <typename I>
Status launch_copy_by(const StridedCopy& copy, int64_t n, const Context& context) {
  switch (copy.element_bytes) {
    case 1:
      return launch_copy_of<uint8_t, I>(copy, n, context);
    case 2:
      return launch_copy_of<uint16_t, I>(copy, n, context);
    case 4:
      return launch_copy_of<uint32_t, I>(copy, n, context);
    case 8:
      return launch_copy_of<uint2, I>(copy, n, context);
    default:
      return launch_copy_of<uint4, I>(copy, n, context);
  }
}

}  // namespace

Status launch_strided_copy(StridedCopy copy, const Context& context) {
  for (int d = 0; d < copy.rank; ++d)
    if (copy.dims[d] == 0) return {};
  collapse_copy(&copy);
  widen_copy(&copy);
  collapse_copy(&copy);
  int64_t n = 1;
  for (int d = 0; d < copy.rank; ++d) n *= copy.dims[d];
  return n < kNarrowElements ? launch_copy_by<uint32_t>(copy, n, context) : launch_copy_by<uint64_t>(copy, n, context);
}

}  // namespace aludel::cuda
