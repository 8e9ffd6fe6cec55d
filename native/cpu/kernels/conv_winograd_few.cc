// For each chunk of tiles V is made once, four channels to a vector; then every block of output channels passes over the chunk with its
// 36 small panels in L1. The panels are those that conv2d_prepare writes.
#include "native/cpu/kernels/conv_winograd_few.h"

#include <string.h>

#include "native/cpu/kernels/conv_prepare.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

typedef float quad __attribute__((vector_size(16)));
typedef float quadu __attribute__((vector_size(16), aligned(4), may_alias));

constexpr int64_t kChunkTiles = 16;  // their V is 9 KiB
constexpr int64_t kTileFloats = kWinogradPoints * kFewChannels;
constexpr int64_t kPatchRow = 6 * kFewChannels + VW;  // a vector may start at the last pixel

struct FewConv {
  TileGrid grid;
  int64_t in_channels, out_channels;
  ConvRole role;
  bool prepared;

  ALUDEL_INLINE int64_t blocks() const { return ceil_div(out_channels, kBlock); }
  ALUDEL_INLINE int64_t panel() const { return kWinogradPoints * in_channels * kBlock; }
  // Unprepared weights are transformed once per task, so tasks are larger then.
  ALUDEL_INLINE int64_t task_tiles() const { return prepared ? 4 * kChunkTiles : 64 * kChunkTiles; }
};

FewConv make_conv(const ConvGeometry& g, ConvRole role) {
  const bool forward = role == ConvRole::forward;
  return {make_tile_grid(g.images, g.height, g.width), forward ? g.channels : g.filters, forward ? g.filters : g.channels, role,
          g.prepared};
}

struct Scratch {
  float* bias;  // padded to whole blocks
  float* v;     // [tile][36][kFewChannels]
  float* u;     // [block][36][in_channels][kBlock], when the weights come unprepared
};

Scratch carve(const FewConv& w, ScratchCursor& cursor) {
  Scratch s;
  s.bias = cursor.take<float>(w.blocks() * kBlock);
  s.v = cursor.take<float>(kChunkTiles * kTileFloats);
  s.u = w.prepared ? nullptr : cursor.take<float>(w.blocks() * w.panel());
  return s;
}

// The 6x6 pixels around a tile, zeros outside the map. Staged, because four floats from the last pixel would leave the tensor.
ALUDEL_INLINE void stage_patch(const FewConv& w, const TileWalk& at, const float* in, float (&patch)[6][kPatchRow]) {
  const TileGrid& grid = w.grid;
  const int64_t row0 = 4 * at.tile_row - 1, column0 = 4 * at.tile_column - 1, C = w.in_channels;
  const int64_t inside0 = larger(0, -column0), inside1 = smaller(6, grid.width - column0);
  for (int i = 0; i < 6; ++i) {
    const int64_t row = row0 + i;
    const bool valid = row >= 0 && row < grid.height;
    if (!valid || inside0 > 0 || inside1 < 6) memset(patch[i], 0, sizeof(float) * size_t(6 * C));
    if (!valid) continue;
    const float* line = in + ((at.image * grid.height + row) * grid.width + column0 + inside0) * C;
    copy_floats(line, patch[i] + inside0 * C, (inside1 - inside0) * C);
  }
}

// v[point] = (B^T d B)[point] for all channels at once; lanes beyond the channels hold neighbouring pixels' and are not read.
ALUDEL_INLINE void input_tile(const float (&patch)[6][kPatchRow], int64_t channels, float* v) {
  quad half[6][6];  // [column][point]
  for (int j = 0; j < 6; ++j) {
    quad column[6];
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) column[i] = *reinterpret_cast<const quadu*>(patch[i] + j * channels);
    transform_input(column, half[j]);
  }
  for (int i = 0; i < 6; ++i) {
    const quad row[6] = {half[0][i], half[1][i], half[2][i], half[3][i], half[4][i], half[5][i]};
    quad points[6];
    transform_input(row, points);
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) *reinterpret_cast<quadu*>(v + (i * 6 + j) * kFewChannels) = points[j];
  }
}

// A^T (V U) for one tile and block, column by column of points: half[column][vector][output row].
template <int C>
ALUDEL_INLINE void multiply_columns(const float* v, const float* u, vf (&half)[6][kVectors][4]) {
  for (int j = 0; j < 6; ++j, v += kFewChannels, u += C * kBlock) {
    vf m[kVectors][6];
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) {
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) {
        const vf a = splat(v[i * 6 * kFewChannels + c]);
#pragma GCC unroll 2
        for (int k = 0; k < kVectors; ++k) {
          const vf product = a * load(u + (i * 6 * C + c) * kBlock + k * VW);
          m[k][i] = c == 0 ? product : m[k][i] + product;
        }
      }
    }
#pragma GCC unroll 2
    for (int k = 0; k < kVectors; ++k) transform_output(m[k], half[j][k]);
  }
}

// Where a tile's outputs go and how much of it exists.
struct OutputTile {
  float* corner;  // of the block's first channel
  int64_t pixel, line;
  int rows, columns;
  int64_t channels;
};

// One row of outputs; `whole` leaves out every test of what exists.
template <bool whole>
ALUDEL_INLINE void write_row(const vf (&half)[6][kVectors][4], int i, const float* bias, const OutputTile& out) {
  vf o[kVectors][4];
#pragma GCC unroll 2
  for (int k = 0; k < kVectors; ++k) {
    const vf row[6] = {half[0][k][i], half[1][k][i], half[2][k][i], half[3][k][i], half[4][k][i], half[5][k][i]};
    transform_output(row, o[k]);
  }
  float* to = out.corner + i * out.line;
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j, to += out.pixel) {
    const vf pixel[kVectors] = {o[0][j] + load(bias), o[1][j] + load(bias + VW)};
    if constexpr (whole) {
      store(to, pixel[0]);
      store(to + VW, pixel[1]);
    } else if (j < out.columns) {
      store_part(to, pixel, out.channels);
    }
  }
}

template <int C>
ALUDEL_TILE void compute_tile(const float* v, const float* u, const float* bias, const OutputTile& out) {
  vf half[6][kVectors][4];
  multiply_columns<C>(v, u, half);
  if (out.rows == 4 && out.columns == 4 && out.channels == kBlock) {
    for (int i = 0; i < 4; ++i) write_row<true>(half, i, bias, out);
  } else {
    for (int i = 0; i < out.rows; ++i) write_row<false>(half, i, bias, out);
  }
}

ALUDEL_INLINE OutputTile output_tile(const FewConv& w, const TileWalk& at, int64_t block, float* out) {
  const int64_t row0 = 4 * at.tile_row, column0 = 4 * at.tile_column, K = w.out_channels;
  float* corner = out + ((at.image * w.grid.height + row0) * w.grid.width + column0) * K + block * kBlock;
  return {corner,
          K,
          w.grid.width * K,
          int(smaller(4, w.grid.height - row0)),
          int(smaller(4, w.grid.width - column0)),
          smaller(kBlock, K - block * kBlock)};
}

template <int C>
void run_tiles(const FewConv& w, int64_t first, int64_t end, const float* in, const float* u, float* out, const Scratch& s) {
  for (int64_t chunk = first; chunk < end; chunk += kChunkTiles) {
    const int64_t tiles = smaller(kChunkTiles, end - chunk);
    TileWalk at;
    at.seek(w.grid, chunk);
    for (int64_t tile = 0; tile < tiles; ++tile, at.next(w.grid)) {
      float patch[6][kPatchRow];
      stage_patch(w, at, in, patch);
      input_tile(patch, C, s.v + tile * kTileFloats);
    }
    for (int64_t block = 0; block < w.blocks(); ++block) {
      at.seek(w.grid, chunk);
      for (int64_t tile = 0; tile < tiles; ++tile, at.next(w.grid)) {
        compute_tile<C>(s.v + tile * kTileFloats, u + block * w.panel(), s.bias + block * kBlock, output_tile(w, at, block, out));
      }
    }
  }
}

}  // namespace

int64_t few_channels_scratch_bytes(const ConvGeometry& geometry, ConvRole role) {
  ScratchCursor cursor{0};
  carve(make_conv(geometry, role), cursor);
  return cursor.bytes;
}

void run_few_channels(const ConvGeometry& g, ConvRole role, const float* in, const float* weights, const float* bias, float* out,
                      Exec& exec) {
  const FewConv w = make_conv(g, role);
  const int64_t tasks = ceil_div(w.grid.tiles(), w.task_tiles()), pixels = g.images * g.height * g.width;
  const int64_t weight_group =
      w.prepared ? kWinogradPoints * w.in_channels * round_up(w.out_channels, kPreparedMultiple) : 9 * w.in_channels * w.out_channels;
  constexpr decltype(&run_tiles<1>) run[] = {run_tiles<1>, run_tiles<2>, run_tiles<3>, run_tiles<4>};
  parallel_for(exec, g.groups * tasks, [&](int64_t task, void* memory) {
    const int64_t group = task / tasks, first = task % tasks * w.task_tiles();
    ScratchCursor cursor{reinterpret_cast<uintptr_t>(memory)};
    const Scratch s = carve(w, cursor);
    memset(s.bias, 0, sizeof(float) * size_t(w.blocks() * kBlock));
    if (bias != nullptr) memcpy(s.bias, bias + group * w.out_channels, sizeof(float) * size_t(w.out_channels));
    const float* u = weights + group * weight_group;
    if (!w.prepared) {
      const WeightSource source{u, 3, 3, g.channels, g.filters, role};
      for (int64_t block = 0; block < w.blocks(); ++block) pack_winograd_block(source, block, s.u + block * w.panel());
      u = s.u;
    }
    run[w.in_channels - 1](w, first, smaller(w.grid.tiles(), first + w.task_tiles()), in + group * pixels * w.in_channels, u,
                           out + group * pixels * w.out_channels, s);
  });
}

}  // namespace aludel::cpu::ALUDEL_ISA
