// A stable sort of (key, id) by key.
#pragma once
#include "native/cuda/kernels/launching.h"

namespace aludel::cuda {

constexpr int kSortTile = 2048;   // elements of a block
constexpr int kSortDigits = 256;  // a pass sorts by one digit of 8 bits

struct RadixSort {
  int64_t n;
  uint32_t* keys[2];  // the keys are given in keys[0], the ids are 0..n-1
  int32_t* ids[2];
  uint32_t* counts;  // [digit][tile]
  uint32_t* totals;  // [digit]

  int64_t tiles() const { return ceil_div(n, kSortTile); }
};

// Bytes of the counts, behind which the totals lie.
inline int64_t sort_count_bytes(int64_t n) { return (ceil_div(n, kSortTile) + 1) * kSortDigits * 4; }

// Sorts by the lowest 8 * passes bits. Keys and ids end in keys[passes % 2] and ids[passes % 2]; without `keep_keys` only the ids do.
Status launch_radix_sort(const Context& context, const RadixSort& sort, int passes, bool keep_keys);

}  // namespace aludel::cuda
