// Passes between NHWC maps and the 36 point matrices: gather a 6x6 or 4x4 patch per tile, transform it for VW channels at a time, scatter.
#include "native/cpu/kernels/conv_winograd.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

// patch[i * size + j] = the pixel at (4 * tile_row - border + i, 4 * tile_column - border + j), or zeros outside the map.
template <int size, int border>
ALUDEL_INLINE void locate_patch(const float* map, const TileGrid& grid, int64_t pixel_stride, const TileWalk& at, const float* zeros,
                                const float* (&patch)[size * size]) {
  const int64_t row0 = 4 * at.tile_row - border, column0 = 4 * at.tile_column - border;
  for (int i = 0; i < size; ++i) {
    const int64_t row = row0 + i;
    const bool row_inside = row >= 0 && row < grid.height;
    const float* line = row_inside ? map + (at.image * grid.height + row) * grid.width * pixel_stride : zeros;
    for (int j = 0; j < size; ++j) {
      const int64_t column = column0 + j;
      patch[i * size + j] = row_inside && column >= 0 && column < grid.width ? line + column * pixel_stride : zeros;
    }
  }
}

template <bool whole>
ALUDEL_INLINE vf load_channels(const float* p, int64_t count) {
  if constexpr (whole) return load(p);
  return load_part(p, count);
}

template <bool whole>
ALUDEL_INLINE void input_vector(const float* const (&patch)[36], int64_t channel, int64_t left, float* v, int64_t plane) {
  vf half[6][6];  // [column][point]
#pragma GCC unroll 6
  for (int j = 0; j < 6; ++j) {
    vf column[6];
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) column[i] = load_channels<whole>(patch[i * 6 + j] + channel, left);
    transform_input(column, half[j]);
  }
#pragma GCC unroll 6
  for (int i = 0; i < 6; ++i) {
    vf row[6], points[6];
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) row[j] = half[j][i];
    transform_input(row, points);
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) store(v + (i * 6 + j) * plane, points[j]);
  }
}

template <bool whole>
ALUDEL_INLINE void output_grad_vector(const float* const (&patch)[16], int64_t channel, int64_t left, float* d, int64_t plane) {
  vf half[4][6];  // [column][point]
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    vf column[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) column[i] = load_channels<whole>(patch[i * 4 + j] + channel, left);
    transform_output_grad(column, half[j]);
  }
#pragma GCC unroll 6
  for (int i = 0; i < 6; ++i) {
    const vf row[4] = {half[0][i], half[1][i], half[2][i], half[3][i]};
    vf points[6];
    transform_output_grad(row, points);
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) store(d + (i * 6 + j) * plane, points[j]);
  }
}

// o[i][j] = (A^T M A)[i][j] + bias for VW channels.
ALUDEL_INLINE void output_vector(const float* m, int64_t plane, vf bias, vf (&o)[4][4]) {
  vf half[6][4];  // [column][output row]
#pragma GCC unroll 6
  for (int j = 0; j < 6; ++j) {
    vf column[6];
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) column[i] = load(m + (i * 6 + j) * plane);
    transform_output(column, half[j]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    vf row[6];
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) row[j] = half[j][i];
    transform_output(row, o[i]);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) o[i][j] += bias;
  }
}

}  // namespace

void winograd_input(const float* map, const TileGrid& grid, int64_t pixel_stride, int64_t channels, int64_t first, int64_t count,
                    const float* zeros, const PointMatrices& v) {
  TileWalk at;
  at.seek(grid, first);
  for (int64_t tile = 0; tile < count; ++tile, at.next(grid)) {
    const float* patch[36];
    locate_patch<6, 1>(map, grid, pixel_stride, at, zeros, patch);
    float* row = v.data + tile * v.row;
    int64_t c = 0;
    for (; c + VW <= channels; c += VW) input_vector<true>(patch, c, VW, row + c, v.plane);
    if (c < channels) input_vector<false>(patch, c, channels - c, row + c, v.plane);
  }
}

void winograd_output_grad(const float* map, const TileGrid& grid, int64_t pixel_stride, int64_t channels, int64_t first, int64_t count,
                          const float* zeros, const PointMatrices& d) {
  TileWalk at;
  at.seek(grid, first);
  for (int64_t tile = 0; tile < count; ++tile, at.next(grid)) {
    const float* patch[16];
    locate_patch<4, 0>(map, grid, pixel_stride, at, zeros, patch);
    float* row = d.data + tile * d.row;
    int64_t c = 0;
    for (; c + VW <= channels; c += VW) output_grad_vector<true>(patch, c, VW, row + c, d.plane);
    if (c < channels) output_grad_vector<false>(patch, c, channels - c, row + c, d.plane);
  }
}

void winograd_output(const PointMatrices& m, const TileGrid& grid, int64_t pixel_stride, int64_t channels, int64_t first, int64_t count,
                     const float* bias, float* map) {
  TileWalk at;
  at.seek(grid, first);
  for (int64_t tile = 0; tile < count; ++tile, at.next(grid)) {
    const int64_t row0 = 4 * at.tile_row, column0 = 4 * at.tile_column;
    const int rows = int(smaller(4, grid.height - row0)), columns = int(smaller(4, grid.width - column0));
    float* corner = map + ((at.image * grid.height + row0) * grid.width + column0) * pixel_stride;
    for (int64_t c = 0; c < channels; c += VW) {
      vf o[4][4];
      output_vector(m.data + tile * m.row + c, m.plane, load(bias + c), o);
      float* out = corner + c;
      if (rows == 4 && columns == 4 && c + VW <= channels) {
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
#pragma GCC unroll 4
          for (int j = 0; j < 4; ++j) store(out + (i * grid.width + j) * pixel_stride, o[i][j]);
        }
        continue;
      }
      const int64_t count_here = smaller(VW, channels - c);
      for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < columns; ++j) {
          float lanes[VW];
          store(lanes, o[i][j]);
          for (int64_t lane = 0; lane < count_here; ++lane) out[(i * grid.width + j) * pixel_stride + lane] = lanes[lane];
        }
      }
    }
  }
}

}  // namespace aludel::cpu::ALUDEL_ISA
