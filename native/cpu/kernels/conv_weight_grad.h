// Weight gradient engines. Both split the (channels x filters) plane of dw into rectangles by shape alone; a rectangle is one task that
// walks the whole batch in a fixed order, so that nothing is ever added across threads.
#pragma once
#include "native/cpu/kernels/conv_microkernel.h"

namespace aludel::cpu::ALUDEL_ISA {

// The rectangles of one group: channel_parts x filter_parts, each at most channels x filters.
struct WeightGradSplit {
  int64_t channels, filters;
  int64_t channel_parts, filter_parts;

  ALUDEL_INLINE int64_t parts() const { return channel_parts * filter_parts; }
};

// One rectangle of one group.
struct WeightGradPart {
  int64_t group;
  int64_t channel0, channels;
  int64_t filter0, filters;
};

ALUDEL_INLINE WeightGradPart part_of(const ConvGeometry& g, const WeightGradSplit& split, int64_t task) {
  const int64_t part = task % split.parts();
  const int64_t channel0 = part / split.filter_parts * split.channels, filter0 = part % split.filter_parts * split.filters;
  return {task / split.parts(), channel0, smaller(split.channels, g.channels - channel0), filter0,
          smaller(split.filters, g.filters - filter0)};
}

// Every rectangle reads (and transforms or packs) its share of x and dy anew, so calls the size of a slice stay whole; only calls whose
// maps are far beyond a slice are cut for the sake of more threads.
ALUDEL_INLINE bool worth_splitting(const ConvGeometry& g) {
  const int64_t maps = g.images * (g.height * g.width * g.channels + g.out_height * g.out_width * g.filters);
  return g.groups == 1 && maps * int64_t(sizeof(float)) > int64_t{9} << 20;
}

// Operands of a whole call.
struct WeightGradOperands {
  const float *x, *dy;
  float *dw, *db;
};

int64_t direct_weight_grad_scratch_bytes(const ConvGeometry& geometry);
void run_direct_weight_grad(const ConvGeometry& geometry, const WeightGradOperands& operands, Exec& exec);
// The only group of `geometry` on the calling thread, in direct_weight_grad_scratch_bytes() of scratch.
void direct_weight_grad_of_group(const ConvGeometry& geometry, const WeightGradOperands& operands, void* scratch);

int64_t winograd_weight_grad_scratch_bytes(const ConvGeometry& geometry);
void run_winograd_weight_grad(const ConvGeometry& geometry, const WeightGradOperands& operands, Exec& exec);

// One register tile of a product reduced over a walk: out[p][0..columns) for p < rows, stored or added.
template <int P>
ALUDEL_TILE void outer_tile(const float* a, const float* b, const ReductionWalk& walk, float* out, int64_t out_row, int64_t rows,
                            int64_t columns, bool add) {
  vf sum[P][kVectors] = {};
  outer_products<P>(sum, a, b, walk);
#pragma GCC unroll 16
  for (int p = 0; p < P; ++p) {
    if (p >= rows) break;
    float* to = out + p * out_row;
    if (columns >= kBlock) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) store(to + v * VW, add ? load(to + v * VW) + sum[p][v] : sum[p][v]);
      continue;
    }
    if (add) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[p][v] += load_part(to + v * VW, larger(0, smaller(VW, columns - v * VW)));
    }
    store_part(to, sum[p], columns);
  }
}

}  // namespace aludel::cpu::ALUDEL_ISA
