// Winograd F(4x4, 3x3) in one dimension (Lavin and Gray 2016, points 0, 1, -1, 2, -2): Y = A^T [(G g) . (B^T d)], and the adjoints that
// give the weight gradient, dg = G^T [(B^T d) . (A dy)]. Two dimensions nest them.
#pragma once
#include "native/cpu/kernels/conv_microkernel.h"

namespace aludel::cpu::ALUDEL_ISA {

// B^T: 6 input samples -> 6 points. V: vf, or four lanes where a vector holds a pixel's channels.
template <typename V>
ALUDEL_INLINE void transform_input(const V (&d)[6], V (&o)[6]) {
  const V even = d[4] - 4.f * d[2], odd = d[3] - 4.f * d[1];
  const V wide = d[4] - d[2], slope = 2.f * (d[3] - d[1]);
  o[0] = 4.f * d[0] - 5.f * d[2] + d[4];
  o[1] = even + odd;
  o[2] = even - odd;
  o[3] = wide + slope;
  o[4] = wide - slope;
  o[5] = 4.f * d[1] - 5.f * d[3] + d[5];
}

// A^T: 6 points -> 4 outputs.
ALUDEL_INLINE void transform_output(const vf (&m)[6], vf (&o)[4]) {
  const vf sum1 = m[1] + m[2], difference1 = m[1] - m[2];
  const vf sum2 = m[3] + m[4], difference2 = m[3] - m[4];
  o[0] = m[0] + sum1 + sum2;
  o[1] = difference1 + 2.f * difference2;
  o[2] = sum1 + 4.f * sum2;
  o[3] = difference1 + 8.f * difference2 + m[5];
}

// A: 4 output gradients -> 6 points. Point 1 is their plain sum.
ALUDEL_INLINE void transform_output_grad(const vf (&d)[4], vf (&o)[6]) {
  const vf even1 = d[0] + d[2], odd1 = d[1] + d[3];
  const vf even2 = d[0] + 4.f * d[2], odd2 = 2.f * d[1] + 8.f * d[3];
  o[0] = d[0];
  o[1] = even1 + odd1;
  o[2] = even1 - odd1;
  o[3] = even2 + odd2;
  o[4] = even2 - odd2;
  o[5] = d[3];
}

// G: 3 weights -> 6 points.
ALUDEL_INLINE void transform_weights(const vf (&g)[3], vf (&o)[6]) {
  const vf outer1 = (g[0] + g[2]) * (-1.f / 6.f), middle1 = g[1] * (1.f / 6.f);
  const vf outer2 = g[0] * (1.f / 24.f) + g[2] * (1.f / 6.f), middle2 = g[1] * (1.f / 12.f);
  o[0] = g[0] * 0.25f;
  o[1] = outer1 - middle1;
  o[2] = outer1 + middle1;
  o[3] = outer2 + middle2;
  o[4] = outer2 - middle2;
  o[5] = g[2];
}

// G^T: 6 points -> 3 weight gradients.
ALUDEL_INLINE void transform_weight_grad(const vf (&m)[6], vf (&o)[3]) {
  const vf sum1 = m[1] + m[2], difference1 = m[2] - m[1];
  const vf sum2 = m[3] + m[4], difference2 = m[3] - m[4];
  o[0] = 0.25f * m[0] - sum1 * (1.f / 6.f) + sum2 * (1.f / 24.f);
  o[1] = difference1 * (1.f / 6.f) + difference2 * (1.f / 12.f);
  o[2] = (sum2 - sum1) * (1.f / 6.f) + m[5];
}

// The 4x4 output tiles of a map, numbered image by image, row by row; tiles overhang the right and bottom edge.
struct TileGrid {
  int64_t images, height, width;
  int64_t tile_rows, tile_columns;

  ALUDEL_INLINE int64_t tiles() const { return images * tile_rows * tile_columns; }
};

ALUDEL_INLINE TileGrid make_tile_grid(int64_t images, int64_t height, int64_t width) {
  return {images, height, width, ceil_div(height, 4), ceil_div(width, 4)};
}

// Where one tile stands, advanced without divisions.
struct TileWalk {
  int64_t image, tile_row, tile_column;

  ALUDEL_INLINE void seek(const TileGrid& grid, int64_t tile) {
    tile_column = tile % grid.tile_columns;
    tile_row = tile / grid.tile_columns % grid.tile_rows;
    image = tile / (grid.tile_columns * grid.tile_rows);
  }
  ALUDEL_INLINE void next(const TileGrid& grid) {
    if (++tile_column < grid.tile_columns) return;
    tile_column = 0;
    if (++tile_row < grid.tile_rows) return;
    tile_row = 0;
    ++image;
  }
};

// Matrices of one chunk of tiles, one per point: element (point, tile, channel) at point * plane + tile * row + channel.
struct PointMatrices {
  float* data;
  int64_t plane, row;
};

// Rows of an odd number of cache lines and planes one line off the 4 KiB grid keep 36 streams out of each other's cache sets.
ALUDEL_INLINE int64_t point_row(int64_t channels) { return round_up(channels, 32) + 16; }
ALUDEL_INLINE int64_t point_plane(int64_t rows, int64_t row) { return round_up(rows * row, 1024) + 16; }

ALUDEL_INLINE PointMatrices take_point_matrices(ScratchCursor& cursor, int64_t rows, int64_t channels) {
  PointMatrices m;
  m.row = point_row(channels);
  m.plane = point_plane(rows, m.row);
  m.data = cursor.take<float>(kWinogradPoints * m.plane);
  return m;
}

// V = B^T d B for tiles [first, first + count) and channels [0, channels) of a map whose pixels are pixel_stride floats apart.
// zeros: at least `channels` zeros. Channels up to the next multiple of VW are written as zeros.
void winograd_input(const float* map, const TileGrid& grid, int64_t pixel_stride, int64_t channels, int64_t first, int64_t count,
                    const float* zeros, const PointMatrices& v);

// D = A dy A^T, with the same conventions.
void winograd_output_grad(const float* map, const TileGrid& grid, int64_t pixel_stride, int64_t channels, int64_t first, int64_t count,
                          const float* zeros, const PointMatrices& d);

// y = A^T M A + bias; overhanging pixels are dropped. bias: `channels` rounded up to VW floats.
void winograd_output(const PointMatrices& m, const TileGrid& grid, int64_t pixel_stride, int64_t channels, int64_t first, int64_t count,
                     const float* bias, float* map);

}  // namespace aludel::cpu::ALUDEL_ISA
