// A stable radix sort, 8 bits a pass. Every block counts the digits of a tile of its own, the counts are summed digit by
// digit, and every block then knows where its elements go: equal digits in the order of tiles, warps, rounds and lanes, which is the order
// they came in. Nothing depends on who is first.
#include "native/cuda/kernels/radix_sort.h"

namespace aludel::cuda {
namespace {

constexpr int kSortThreads = kSortDigits;  // a thread for each digit
constexpr int kSortRounds = kSortTile / kSortThreads;
constexpr int kSortWarps = kSortThreads / 32;

// Sum of x over the lanes up to this one.
__device__ __forceinline__ uint32_t sum_to_lane(uint32_t x, int lane) {
#pragma unroll
  for (int d = 1; d < 32; d *= 2) {
    const uint32_t below = __shfl_up_sync(0xffffffffu, x, static_cast<unsigned>(d));
    if (lane >= d) x += below;
  }
  return x;
}

__global__ void __launch_bounds__(kSortThreads) count_digits(Guard guard, const uint32_t* keys, int64_t n, int shift, uint32_t* counts) {
  if (guard.stopped()) return;
  __shared__ uint32_t count[kSortDigits];
  const int thread = static_cast<int>(threadIdx.x);
  count[thread] = 0;
  __syncthreads();
#pragma unroll
  for (int round = 0; round < kSortRounds; ++round) {
    const int64_t i = int64_t{blockIdx.x} * kSortTile + round * kSortThreads + thread;
    if (i < n) atomicAdd(&count[keys[i] >> shift & (kSortDigits - 1)], 1u);
  }
  __syncthreads();
  counts[int64_t{thread} * gridDim.x + blockIdx.x] = count[thread];
}

// A warp for each digit: its counts become the number of its elements in the tiles before.
__global__ void __launch_bounds__(kSortThreads) sum_tiles(Guard guard, uint32_t* counts, int64_t tiles, uint32_t* totals) {
  if (guard.stopped()) return;
  const int lane = static_cast<int>(threadIdx.x) % 32, digit = static_cast<int>(blockIdx.x * kSortThreads + threadIdx.x) / 32;
  uint32_t* row = counts + digit * tiles;
  uint32_t before = 0;
  for (int64_t first = 0; first < tiles; first += 32) {
    const uint32_t own = first + lane < tiles ? row[first + lane] : 0, sum = sum_to_lane(own, lane);
    if (first + lane < tiles) row[first + lane] = before + sum - own;
    before += __shfl_sync(0xffffffffu, sum, 31);
  }
  if (lane == 0) totals[digit] = before;
}

__global__ void __launch_bounds__(kSortThreads)
    place(Guard guard, const uint32_t* keys, const int32_t* ids, int64_t n, int shift, const uint32_t* counts, const uint32_t* totals,
          uint32_t* keys_out, int32_t* ids_out) {
  if (guard.stopped()) return;
  __shared__ uint32_t at[kSortWarps][kSortDigits];  // counts of each warp, then where its next element of the digit goes
  __shared__ uint32_t warp_total[kSortWarps];
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  for (int w = 0; w < kSortWarps; ++w) at[w][thread] = 0;
  const uint32_t total = totals[thread], sum = sum_to_lane(total, lane);
  if (lane == 31) warp_total[warp] = sum;
  __syncthreads();

  uint32_t key[kSortRounds], rank[kSortRounds];
  const int64_t first = int64_t{blockIdx.x} * kSortTile + warp * (32 * kSortRounds) + lane;
#pragma unroll
  for (int round = 0; round < kSortRounds; ++round) key[round] = first + round * 32 < n ? keys[first + round * 32] : 0;
#pragma unroll
  for (int round = 0; round < kSortRounds; ++round) {
    const bool valid = first + round * 32 < n;
    const uint32_t digit = key[round] >> shift & (kSortDigits - 1);
    const unsigned peers = __match_any_sync(0xffffffffu, valid ? digit : static_cast<uint32_t>(kSortDigits));
    const unsigned before = peers & ((1u << lane) - 1);
    if (valid) rank[round] = at[warp][digit] + static_cast<uint32_t>(__popc(before));
    __syncwarp();
    if (valid && before == 0) at[warp][digit] += static_cast<uint32_t>(__popc(peers));
    __syncwarp();
  }
  __syncthreads();

  // This thread's digit: elements of smaller digits, of this one in the tiles before, and in the warps before.
  uint32_t start = sum - total + counts[int64_t{thread} * gridDim.x + blockIdx.x];
  for (int w = 0; w < warp; ++w) start += warp_total[w];
  for (int w = 0; w < kSortWarps; ++w) {
    const uint32_t count = at[w][thread];
    at[w][thread] = start;
    start += count;
  }
  __syncthreads();
#pragma unroll
  for (int round = 0; round < kSortRounds; ++round) {
    const int64_t i = first + round * 32;
    if (i >= n) continue;
    const uint32_t to = at[warp][key[round] >> shift & (kSortDigits - 1)] + rank[round];
    if (keys_out != nullptr) keys_out[to] = key[round];
    ids_out[to] = ids == nullptr ? static_cast<int32_t>(i) : ids[i];
  }
}

}  // namespace

Status launch_radix_sort(const Context& context, const RadixSort& sort, int passes, bool keep_keys) {
  const unsigned tiles = static_cast<unsigned>(sort.tiles());
  for (int pass = 0; pass < passes; ++pass) {
    const int from = pass % 2, to = 1 - from, shift = 8 * pass;
    const bool last = pass + 1 == passes;
    ALUDEL_RETURN_IF_ERROR(launched(context, count_digits, tiles, kSortThreads, 0, sort.keys[from], sort.n, shift, sort.counts));
    ALUDEL_RETURN_IF_ERROR(launched(context, sum_tiles, kSortDigits / kSortWarps, kSortThreads, 0, sort.counts, sort.tiles(), sort.totals));
    ALUDEL_RETURN_IF_ERROR(launched(context, place, tiles, kSortThreads, 0, sort.keys[from],
                                    pass == 0 ? static_cast<const int32_t*>(nullptr) : sort.ids[from], sort.n, shift, sort.counts,
                                    sort.totals, last && !keep_keys ? static_cast<uint32_t*>(nullptr) : sort.keys[to], sort.ids[to]));
  }
  return {};
}

}  // namespace aludel::cuda
