// Tiles of the operands in shared memory: how they lie there, and how the threads of a block copy them from global memory.
//
// A tile holds `Lines` lines (rows of A, columns of B) of kGemmDepth k's, in one of two orders:
//   along k      [line][k]: copied 16 bytes at a time from memory that is contiguous along k,
//   along lines  [k][line]: from memory that is contiguous along the lines, or element by element from any memory.
// Both are permuted in units of 16 bytes (four banks) so that neither the copies nor the reads of SIMT and mma cores meet in a bank; the
// reads are then by four consecutive k's (mma cores give them to one thread, see gemm_mma.cuh).
#pragma once
#include "native/cuda/kernels/gemm_plan.h"
#include "native/cuda/ptx.cuh"

namespace aludel::cuda {

// A warp makes 32 rows by 64 columns of the large tile, by 32 of the others.
template <GemmTile Kind>
struct TileShape {
  static constexpr int rows = kGemmTileRows[int(Kind)], columns = kGemmTileColumns[int(Kind)];
  static constexpr int warp_rows = 32, warp_columns = Kind == GemmTile::large ? 64 : 32;
  static constexpr int threads = rows / warp_rows * (columns / warp_columns) * 32;
  static constexpr int row_warps = rows / warp_rows;
};

// Where the four elements at k, k + 1, .. of a line lie in a tile along k; k is a multiple of 4.
__device__ __forceinline__ int along_k_offset(int line, int k) { return line * kGemmDepth + (k ^ ((line >> 1 & 3) << 2)); }
// In a tile along the lines; aligned groups of eight lines stay together.
template <int Lines>
__device__ __forceinline__ int along_lines_offset(int k, int line) {
  return k * Lines + (line ^ ((k >> 2 & 3) << 3));
}

// An element's place in its operand, in units of the Source's vector: what is kept of 64-bit addresses would cost the registers that sums
// need.
constexpr uint32_t kNoElement = ~0u;
constexpr int64_t kMostElements = (int64_t{1} << 32) - 256;  // units of one product's operand

// A Source says where an operand's elements are:
//   static constexpr bool along_k      whether neighbours along k are neighbours in memory (else those along the lines)
//   static constexpr int vector        4: memory allows 16-byte copies of aligned groups along that axis; 1: single elements
//   const float* data                  the first element
//   Line line(int), Inner inner(int)   what is worth keeping of a line's and a k's index; both may be out of range
//   uint32_t place(line, inner)        the element; kNoElement where it counts as zero and is not read
template <class Source, int Lines, int Threads>
class TileCopy {
 public:
  static constexpr bool along_k = Source::along_k && Source::vector == 4;

  __device__ __forceinline__ TileCopy(const Source& source, int first_line) : source_(source), data_(opaque(source.data)) {
#pragma unroll
    for (int i = 0; i < kLineSlots; ++i) lines_[i] = source_.line(first_line + line_of(i));
  }

  // Starts the copies of k0 .. k0 + kGemmDepth - 1.
  __device__ __forceinline__ void start(float* tile, int k0) const {
    const int first = along_k ? along_k_offset(line_of(0), inner_of(0)) : along_lines_offset<Lines>(inner_of(0), line_of(0));
#pragma unroll 4
    for (int j = 0; j < kInnerSlots; ++j) {
      const typename Source::Inner inner = source_.inner(k0 + inner_of(j));
#pragma unroll
      for (int i = 0; i < kLineSlots; ++i) {
        const uint32_t place = source_.place(lines_[i], inner);
        const bool valid = place != kNoElement;
        const float* from = data_ + int64_t{valid ? place : 0} * Source::vector;
        // The permutation of the first slot, and what the slot's steps add to it: see the two offsets above.
        const int to = along_k ? first + i * kStep * kGemmDepth : (first ^ (j * kStep >> 2 & 3) << 3) + j * kStep * Lines;
        cp_async<4 * Source::vector>(tile + to, from, valid);
      }
    }
  }

 private:
  // A thread keeps to one line and several k's, or to one k and several lines: what is known of the fixed one is kept in registers.
  static constexpr int kCopies = Lines * kGemmDepth / Source::vector / Threads;
  static constexpr int kLineSlots = along_k ? kCopies : 1, kInnerSlots = along_k ? 1 : kCopies;
  static constexpr int kGroups = along_k ? kGemmDepth / 4 : Lines / Source::vector;  // of elements that are neighbours in the tile
  static constexpr int kStep = Threads / kGroups;                                    // lines, or k's, from one slot to the next
  static_assert(kCopies >= 1 && Threads % kGroups == 0, "every thread copies the same share");
  static_assert(!along_k || kStep % 8 == 0, "slots along k are permuted alike");

  __device__ __forceinline__ static int line_of(int slot) {
    const int thread = static_cast<int>(threadIdx.x);
    return along_k ? thread / kGroups + slot * kStep : thread % kGroups * Source::vector;
  }
  __device__ __forceinline__ static int inner_of(int slot) {
    const int thread = static_cast<int>(threadIdx.x);
    return along_k ? thread % kGroups * 4 : thread / kGroups + slot * kStep;
  }

  const Source source_;
  const float* data_;
  typename Source::Line lines_[kLineSlots];
};

}  // namespace aludel::cuda
