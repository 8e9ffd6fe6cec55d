// Winograd weight gradient: dw = G^T [ sum over tiles (B^T d B) . (A dy A^T) ] G. Each point's [channels x filters] product takes all tiles
// of a chunk at once, so its accumulators are touched once per chunk. db comes free: point (1, 1) of A dy A^T is the tile's plain sum.
#include <string.h>

#include "native/cpu/kernels/conv_weight_grad.h"
#include "native/cpu/kernels/conv_winograd.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int kTileSumPoint = 7;  // (1, 1)

WeightGradSplit make_split(const ConvGeometry& g) {
  const int64_t side = worth_splitting(g) && g.channels * g.filters <= 128 * 128 ? 64 : 128;
  WeightGradSplit s;
  s.channels = smaller(side, g.channels);
  s.filters = smaller(side, g.filters);
  s.channel_parts = ceil_div(g.channels, s.channels);
  s.filter_parts = ceil_div(g.filters, s.filters);
  return s;
}

// Tiles per chunk: as many as 3 MiB of V and D hold, in even chunks.
int64_t chunk_tiles(const WeightGradSplit& split, int64_t tiles) {
  const int64_t tile_bytes = kWinogradPoints * 4 * (point_row(split.channels) + point_row(split.filters));
  const int64_t most = larger(16, (int64_t{3} << 20) / tile_bytes);
  return ceil_div(tiles, ceil_div(tiles, most));
}

struct Scratch {
  float* zeros;
  double* bias_grad;
  PointMatrices v, d, m;  // V [tile][channel], D [tile][filter], M [channel][filter]
};

Scratch carve(const WeightGradSplit& split, int64_t tiles, ScratchCursor& cursor) {
  const int64_t chunk = chunk_tiles(split, tiles);
  Scratch s;
  s.zeros = cursor.take<float>(larger(split.channels, split.filters));
  s.bias_grad = cursor.take<double>(split.filters);
  s.v = take_point_matrices(cursor, chunk, split.channels);
  s.d = take_point_matrices(cursor, chunk, split.filters);
  s.m = take_point_matrices(cursor, split.channels, split.filters);
  return s;
}

// M += V^T D over the chunk's tiles, point by point.
void multiply_points(const WeightGradPart& part, const Scratch& s, int64_t tiles, bool add) {
  const ReductionWalk walk{1, 1, tiles, 0, 0, s.v.row, 0, 0, s.d.row};
  for (int64_t point = 0; point < kWinogradPoints; ++point) {
    const float* v = s.v.data + point * s.v.plane;
    const float* d = s.d.data + point * s.d.plane;
    float* m = s.m.data + point * s.m.plane;
    for (int64_t k = 0; k < part.filters; k += kBlock) {
      for (int64_t c = 0; c < part.channels; c += kRows) {
        // M's rows are padded to whole blocks; rows beyond the channels are not stored.
        const int64_t rows = part.channels - c;
        if (rows <= kHalfRows) {
          outer_tile<kHalfRows>(v + c, d + k, walk, m + c * s.m.row + k, s.m.row, rows, kBlock, add);
        } else {
          outer_tile<kRows>(v + c, d + k, walk, m + c * s.m.row + k, s.m.row, rows, kBlock, add);
        }
      }
    }
  }
}

void add_tile_sums(const WeightGradPart& part, const Scratch& s, int64_t tiles) {
  const float* sums = s.d.data + kTileSumPoint * s.d.plane;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    for (int64_t k = 0; k < part.filters; ++k) s.bias_grad[k] += double(sums[tile * s.d.row + k]);
  }
}

// dw = G^T M G for VW filters of one channel: o[r * 3 + s].
ALUDEL_INLINE void weight_grad_vector(const float* m, int64_t plane, vf (&o)[9]) {
  vf half[6][3];  // [column][row of G^T M]
#pragma GCC unroll 6
  for (int j = 0; j < 6; ++j) {
    vf column[6];
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) column[i] = load(m + (i * 6 + j) * plane);
    transform_weight_grad(column, half[j]);
  }
#pragma GCC unroll 3
  for (int i = 0; i < 3; ++i) {
    const vf row[6] = {half[0][i], half[1][i], half[2][i], half[3][i], half[4][i], half[5][i]};
    vf taps[3];
    transform_weight_grad(row, taps);
#pragma GCC unroll 3
    for (int j = 0; j < 3; ++j) o[i * 3 + j] = taps[j];
  }
}

void write_weight_grad(const ConvGeometry& g, const WeightGradPart& part, const PointMatrices& m, float* dw) {
  for (int64_t c = 0; c < part.channels; ++c) {
    float* row = dw + (part.channel0 + c) * g.filters + part.filter0;
    for (int64_t k = 0; k < part.filters; k += VW) {
      vf taps[9];
      weight_grad_vector(m.data + c * m.row + k, m.plane, taps);
      for (int tap = 0; tap < 9; ++tap) {
        float* out = row + tap * g.channels * g.filters + k;
        if (k + VW <= part.filters) {
          store(out, taps[tap]);
          continue;
        }
        float lanes[VW];
        store(lanes, taps[tap]);
        for (int64_t lane = 0; k + lane < part.filters; ++lane) out[lane] = lanes[lane];
      }
    }
  }
}

}  // namespace

int64_t winograd_weight_grad_scratch_bytes(const ConvGeometry& g) {
  ScratchCursor cursor{0};
  carve(make_split(g), make_tile_grid(g.images, g.height, g.width).tiles(), cursor);
  return cursor.bytes;
}

void run_winograd_weight_grad(const ConvGeometry& g, const WeightGradOperands& operands, Exec& exec) {
  const WeightGradSplit split = make_split(g);
  const TileGrid grid = make_tile_grid(g.images, g.height, g.width);
  const int64_t chunk = chunk_tiles(split, grid.tiles()), pixels = g.images * g.height * g.width;
  parallel_for(exec, g.groups * split.parts(), [&](int64_t task, void* memory) {
    const WeightGradPart part = part_of(g, split, task);
    ScratchCursor cursor{reinterpret_cast<uintptr_t>(memory)};
    const Scratch s = carve(split, grid.tiles(), cursor);
    memset(s.zeros, 0, sizeof(float) * size_t(larger(split.channels, split.filters)));
    memset(s.bias_grad, 0, sizeof(double) * size_t(split.filters));
    const float* x = operands.x + part.group * pixels * g.channels + part.channel0;
    const float* dy = operands.dy + part.group * pixels * g.filters + part.filter0;
    for (int64_t tile = 0; tile < grid.tiles(); tile += chunk) {
      const int64_t tiles = smaller(chunk, grid.tiles() - tile);
      winograd_input(x, grid, g.channels, part.channels, tile, tiles, s.zeros, s.v);
      winograd_output_grad(dy, grid, g.filters, part.filters, tile, tiles, s.zeros, s.d);
      multiply_points(part, s, tiles, tile > 0);
      if (part.channel0 == 0) add_tile_sums(part, s, tiles);
    }
    write_weight_grad(g, part, s.m, operands.dw + part.group * 9 * g.channels * g.filters);
    if (part.channel0 != 0) return;
    float* db = operands.db + part.group * g.filters + part.filter0;
    for (int64_t k = 0; k < part.filters; ++k) db[k] = float(s.bias_grad[k]);
  });
}

}  // namespace aludel::cpu::ALUDEL_ISA
