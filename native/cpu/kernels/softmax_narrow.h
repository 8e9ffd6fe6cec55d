// Softmax of rows of few classes: one vector lane for each row, VW rows at a time, so that nothing is ever summed across lanes.
// A group's logits are turned over into columns (one vector for each class) that stay in the first-level cache.
#pragma once
#include "native/cpu/kernels/lanes.h"
#include "native/cpu/kernels/softmax.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kNarrow = 256;  // classes; columns of a group are at most 16 KiB then

constexpr int64_t kAhead = 512;  // elements, at least

ALUDEL_INLINE vf column(const float* columns, int64_t k) { return *reinterpret_cast<const vf*>(columns + k * VW); }
ALUDEL_INLINE void put_column(float* columns, int64_t k, vf v) { *reinterpret_cast<vf*>(columns + k * VW) = v; }

// Calls f(first, rest) for blocks of VW classes: `rest` is AllLanes, or the lanes that there are when K < VW. The last block overlaps the
// one before it rather than reaching past the row.
template <typename F>
ALUDEL_INLINE void for_class_blocks(int64_t K, const F& f) {
  if (K < VW) return f(0, first_lanes(static_cast<int>(K)));
  int64_t k = 0;
  for (; k + VW <= K; k += VW) f(k, AllLanes{});
  if (k < K) f(K - VW, AllLanes{});
}

// VW classes of VW rows of K numbers, turned into columns.
ALUDEL_INLINE void turn_block(const float* z, int64_t K, vf* block) {
#pragma GCC unroll 16
  for (int row = 0; row < VW; ++row) block[row] = load(z + row * K);
  transpose(block);
}

// VW / 2 classes by half as many shuffles: a vector takes those of two rows, and both halves are turned at once.
#if ALUDEL_VW == 16 && defined(__AVX512F__)
constexpr bool kTurnsHalves = true;
ALUDEL_INLINE void turn_half_block(const float* z, int64_t K, vf* block) {
#pragma GCC unroll 8
  for (int row = 0; row < VW / 2; ++row) {
    const __m512 first = _mm512_castps256_ps512(_mm256_loadu_ps(z + row * K));
    block[row] = (vf)_mm512_insertf32x8(first, _mm256_loadu_ps(z + (row + VW / 2) * K), 1);
  }
  transpose_halves(block);
}
#else
constexpr bool kTurnsHalves = false;
ALUDEL_INLINE void turn_half_block(const float*, int64_t, vf*) {}
#endif

typedef double loose_double __attribute__((aligned(4), may_alias));

template <int... J>
ALUDEL_INLINE vd pick_pairs(const float* z, int64_t K, LaneList<J...>) {
  return vd{*reinterpret_cast<const loose_double*>(z + J * K)...};
}
// Two neighbouring classes of VW rows: a row's pair is moved as one double.
ALUDEL_INLINE void pick_two(const float* z, int64_t K, vf* columns) {
  const vf low = (vf)pick_pairs(z, K, FirstLanes<VD>::List{}), high = (vf)pick_pairs(z + VD * K, K, FirstLanes<VD>::List{});
  columns[0] = even_lanes(low, high, FirstLanes<VW>::List{}), columns[1] = odd_lanes(low, high, FirstLanes<VW>::List{});
}

// One class of VW rows of K numbers.
template <int... J>
ALUDEL_INLINE vf pick_class(const float* z, int64_t K, LaneList<J...>) {
  return vf{z[J * K]...};
}
ALUDEL_INLINE vf pick_class(const float* z, int64_t K) { return pick_class(z, K, FirstLanes<VW>::List{}); }

// Short runs of many rows are no order that a processor foresees: the next groups are asked for here.
ALUDEL_INLINE void ask_ahead(const float* z, int64_t K) {
  const float* ahead = z + max_of(VW * K, kAhead);
  for (int row = 0; row < VW; ++row) __builtin_prefetch(ahead + row * K);
}

// Rows z[0..VW) of K numbers into columns. A few classes left over are cheaper to pick than a block to turn.
ALUDEL_INLINE void load_columns(const float* z, int64_t K, float* columns) {
  constexpr int64_t kPicked = VW / 4;
  const auto put = [&](int64_t first, const vf* block, int64_t classes) {
    for (int64_t j = 0; j < classes; ++j) put_column(columns, first + j, block[j]);
  };
  vf block[VW];
  int64_t k = 0;
  for (; k + VW <= K; k += VW) ask_ahead(z + k, K), turn_block(z + k, K, block), put(k, block, VW);
  if constexpr (kTurnsHalves) {
    if (K - k >= VW / 2) ask_ahead(z + k, K), turn_half_block(z + k, K, block), put(k, block, VW / 2), k += VW / 2;
  }
  if (K - k > kPicked && K >= VW) return turn_block(z + K - VW, K, block), put(K - VW, block, VW);  // some of them once more
  for (; k + 2 <= K; k += 2) pick_two(z + k, K, block), put(k, block, 2);
  if (k < K) put_column(columns, k, pick_class(z + k, K));
}

// The same of a fixed K that fits into registers.
template <int K>
ALUDEL_INLINE void fixed_columns(const float* z, vf* columns) {
  constexpr int kWhole = K / VW * VW, kHalf = kTurnsHalves && K - kWhole >= VW / 2 ? VW / 2 : 0;
  ask_ahead(z, K);
#pragma GCC unroll 16
  for (int k = 0; k < kWhole; k += VW) turn_block(z + k, K, columns + k);
  if constexpr (kHalf > 0) turn_half_block(z + kWhole, K, columns + kWhole);
#pragma GCC unroll 16
  for (int k = kWhole + kHalf; k + 2 <= K; k += 2) pick_two(z + k, K, columns + k);
  if constexpr (K % 2 == 1) columns[K - 1] = pick_class(z + K - 1, K);
}

// Columns back into rows.
ALUDEL_INLINE void store_columns(const float* columns, int64_t K, float* z) {
  for_class_blocks(K, [&](int64_t first, const auto& lanes) {
    vf block[VW] = {};
    const int64_t classes = K < VW ? K : VW;
    for (int j = 0; j < VW; ++j)
      if (j < classes) block[j] = column(columns, first + j);
    transpose(block);
    for (int row = 0; row < VW; ++row) store(z + row * K + first, block[row], lanes);
  });
}

// The largest of each row. A NaN is passed over; exp(NaN - max) then carries it on.
ALUDEL_INLINE vf column_max(const float* columns, int64_t K) {
  vf best[2] = {splat(-INFINITY), splat(-INFINITY)};
  int64_t k = 0;
  for (; k + 2 <= K; k += 2) best[0] = larger(column(columns, k), best[0]), best[1] = larger(column(columns, k + 1), best[1]);
  if (k < K) best[0] = larger(column(columns, k), best[0]);
  return larger(best[0], best[1]);
}

template <int K>
ALUDEL_INLINE vf fixed_max(const vf* columns) {
  vf best[K];
#pragma GCC unroll 16
  for (int k = 0; k < K; ++k) best[k] = larger(columns[k], splat(-INFINITY));
#pragma GCC unroll 8
  for (int n = K; n > 1; n -= n / 2)
#pragma GCC unroll 16
    for (int k = 0; k < n / 2; ++k) best[k] = larger(best[k], best[n - 1 - k]);
  return best[0];
}

// Calls f(Bundle, k) for four classes from k on, and at the end for those that are left: the bundle says how many. Sums of four runs add
// at most 64 numbers up in one float32.
template <typename F>
ALUDEL_INLINE void for_classes(int64_t K, const F& f) {
  int64_t k = 0;
  for (; k + 4 <= K; k += 4) f(Bundle<4>{}, k);
  if (K - k == 3) f(Bundle<3>{}, k);
  if (K - k == 2) f(Bundle<2>{}, k);
  if (K - k == 1) f(Bundle<1>{}, k);
}
template <int U>
ALUDEL_INLINE void put_columns(float* columns, int64_t k, const Bundle<U>& b) {
#pragma GCC unroll 8
  for (int i = 0; i < U; ++i) put_column(columns, k + i, b.v[i]);
}

struct ColumnSum {
  vf part[4] = {};
  template <int U>
  ALUDEL_INLINE void add(const Bundle<U>& b) {
#pragma GCC unroll 8
    for (int i = 0; i < U; ++i) part[i] += b.v[i];
  }
  template <int U>
  ALUDEL_INLINE void add_squares(const Bundle<U>& b) {
#pragma GCC unroll 8
    for (int i = 0; i < U; ++i) part[i] += b.v[i] * b.v[i];
  }
  ALUDEL_INLINE vf total() const { return (part[0] + part[1]) + (part[2] + part[3]); }
};

// One group's scratch: columns of logits and of soft targets, and the rows of a last group that is not full.
struct NarrowScratch {
  float *z, *t, *z_rows, *t_rows;

  ALUDEL_INLINE NarrowScratch(void* scratch, int64_t K)
      : z(static_cast<float*>(scratch)), t(z + K * VW), z_rows(t + K * VW), t_rows(z_rows + K * VW) {}
  ALUDEL_INLINE static int64_t bytes(int64_t K) { return 4 * K * VW * static_cast<int64_t>(sizeof(float)); }
};

// Copies `count` words to the start of a group's VW rows of `width` words and zeros to the rest.
ALUDEL_INLINE void fill_group(float* rows, const void* from, size_t count, int64_t width) {
  memcpy(rows, from, count * sizeof(float));
  memset(rows + count, 0, (static_cast<size_t>(width * VW) - count) * sizeof(float));
}

}  // namespace
}  // namespace aludel::cpu::ALUDEL_ISA
