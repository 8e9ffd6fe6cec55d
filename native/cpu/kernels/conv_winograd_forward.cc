// Winograd convolution over chunks of tiles. Tiles of several images share a chunk, so that small maps still fill the 36 products. The
// products go point by point: of the three sets of 36 matrices only one point's slices are in use at a time.
#include "native/cpu/kernels/conv_winograd_forward.h"

#include <string.h>

#include "native/cpu/kernels/conv_prepare.h"
#include "native/cpu/kernels/conv_winograd_few.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

struct WinogradConv {
  TileGrid grid;
  int64_t in_channels, out_channels;
  ConvRole role;
  bool prepared;

  ALUDEL_INLINE int64_t blocks() const { return ceil_div(out_channels, kBlock); }
  ALUDEL_INLINE int64_t panel() const { return in_channels * kBlock; }
};

WinogradConv make_winograd(const ConvGeometry& g, ConvRole role) {
  const bool forward = role == ConvRole::forward;
  return {make_tile_grid(g.images, g.height, g.width), forward ? g.channels : g.filters, forward ? g.filters : g.channels, role,
          g.prepared};
}

// Blocks of output channels handled at once: all of them with prepared weights, otherwise as many as U's share of scratch holds.
int64_t blocks_at_once(const WinogradConv& w) {
  if (w.prepared) return w.blocks();
  return larger(1, smaller(w.blocks(), (int64_t{5} << 19) / (kWinogradPoints * w.panel() * int64_t(sizeof(float)))));
}

// Tiles per chunk. Long chunks read the weights less often, short ones keep V and M nearer. Even chunks: the last one is as full.
int64_t chunk_tiles(const WinogradConv& w) {
  const int64_t tile_bytes = kWinogradPoints * 4 * (point_row(w.in_channels) + point_row(w.out_channels));
  const int64_t most = larger(kRows, smaller(larger((int64_t{5} << 18) / tile_bytes, 48), (int64_t{7} << 20) / tile_bytes));
  const int64_t tiles = w.grid.tiles();
  return round_up(ceil_div(tiles, ceil_div(tiles, most)), kRows);
}

// Chunks per task. Unprepared weights are transformed once per task, so tasks are larger then.
int64_t task_chunks(const WinogradConv& w) { return w.prepared ? 1 : ceil_div(1024, chunk_tiles(w)); }

struct Scratch {
  float* zeros;  // one input pixel
  float* bias;   // padded to whole blocks
  PointMatrices v, m;
  float* u;  // [blocks_at_once][36][in_channels][kBlock], when the weights come unprepared
};

Scratch carve(const WinogradConv& w, ScratchCursor& cursor) {
  const int64_t tiles = chunk_tiles(w);
  Scratch s;
  s.zeros = cursor.take<float>(w.in_channels);
  s.bias = cursor.take<float>(w.blocks() * kBlock);
  s.v = take_point_matrices(cursor, tiles, w.in_channels);
  s.m = take_point_matrices(cursor, tiles, w.out_channels);
  s.u = w.prepared ? nullptr : cursor.take<float>(kWinogradPoints * blocks_at_once(w) * w.panel());
  return s;
}

// M = V U for blocks [block0, block0 + blocks). Scratch rows exist for a whole last tile; what it computes beyond `tiles` is not read.
void multiply_points(const WinogradConv& w, const Scratch& s, const float* u, int64_t block0, int64_t blocks, int64_t tiles) {
  for (int64_t point = 0; point < kWinogradPoints; ++point) {
    const float* v = s.v.data + point * s.v.plane;
    for (int64_t block = 0; block < blocks; ++block) {
      const float* panel = u + (block * kWinogradPoints + point) * w.panel();
      float* m = s.m.data + point * s.m.plane + (block0 + block) * kBlock;
      for (int64_t tile = 0; tile < tiles; tile += kRows) {
        if (tiles - tile <= kHalfRows) {
          inner_tile<kHalfRows>(v + tile * s.v.row, s.v.row, panel, w.in_channels, m + tile * s.m.row, s.m.row);
        } else {
          inner_tile<kRows>(v + tile * s.v.row, s.v.row, panel, w.in_channels, m + tile * s.m.row, s.m.row);
        }
      }
    }
  }
}

// One group's operands.
struct Operands {
  const float *in, *weights;
  float* out;
};

void run_chunks(const WinogradConv& w, int64_t first, int64_t end, const Operands& o, const Scratch& s) {
  const int64_t step = chunk_tiles(w), at_once = blocks_at_once(w);
  const bool forward = w.role == ConvRole::forward;
  const WeightSource source{o.weights, 3, 3, forward ? w.in_channels : w.out_channels, forward ? w.out_channels : w.in_channels, w.role};
  for (int64_t block0 = 0; block0 < w.blocks(); block0 += at_once) {
    const int64_t blocks = smaller(at_once, w.blocks() - block0);
    if (!w.prepared) {
      for (int64_t b = 0; b < blocks; ++b) pack_winograd_block(source, block0 + b, s.u + b * kWinogradPoints * w.panel());
    }
    const int64_t channel0 = block0 * kBlock, channels = smaller(w.out_channels - channel0, blocks * kBlock);
    PointMatrices m = s.m;
    m.data += channel0;
    for (int64_t tile = first; tile < end; tile += step) {
      const int64_t tiles = smaller(step, end - tile);
      winograd_input(o.in, w.grid, w.in_channels, w.in_channels, tile, tiles, s.zeros, s.v);
      multiply_points(w, s, w.prepared ? o.weights : s.u, block0, blocks, tiles);
      winograd_output(m, w.grid, w.out_channels, channels, tile, tiles, s.bias + channel0, o.out + channel0);
    }
  }
}

}  // namespace

int64_t winograd_scratch_bytes(const ConvGeometry& geometry, ConvRole role) {
  const WinogradConv w = make_winograd(geometry, role);
  if (w.in_channels <= kFewChannels) return few_channels_scratch_bytes(geometry, role);
  ScratchCursor cursor{0};
  carve(w, cursor);
  return cursor.bytes;
}

void run_winograd(const ConvGeometry& g, ConvRole role, const float* in, const float* weights, const float* bias, float* out, Exec& exec) {
  const WinogradConv w = make_winograd(g, role);
  if (w.in_channels <= kFewChannels) return run_few_channels(g, role, in, weights, bias, out, exec);
  const int64_t task_tiles = task_chunks(w) * chunk_tiles(w);
  const int64_t tasks = ceil_div(w.grid.tiles(), task_tiles);
  const int64_t pixels = g.images * g.height * g.width;
  const int64_t weight_group =
      w.prepared ? kWinogradPoints * w.in_channels * round_up(w.out_channels, kPreparedMultiple) : 9 * w.in_channels * w.out_channels;
  parallel_for(exec, g.groups * tasks, [&](int64_t task, void* memory) {
    const int64_t group = task / tasks, first = task % tasks * task_tiles;
    ScratchCursor cursor{reinterpret_cast<uintptr_t>(memory)};
    const Scratch s = carve(w, cursor);
    memset(s.zeros, 0, sizeof(float) * size_t(w.in_channels));
    memset(s.bias, 0, sizeof(float) * size_t(w.blocks() * kBlock));
    if (bias != nullptr) memcpy(s.bias, bias + group * w.out_channels, sizeof(float) * size_t(w.out_channels));
    const Operands o{in + group * pixels * w.in_channels, weights + group * weight_group, out + group * pixels * w.out_channels};
    run_chunks(w, first, smaller(w.grid.tiles(), first + task_tiles), o, s);
  });
}

}  // namespace aludel::cpu::ALUDEL_ISA
