// Channel blocks would be mostly padding for an image's 1 or 3 channels; taps * channels fill them. A task makes a band of rows of dx:
// P for the rows of dy that reach it (rows at the seams are computed by both neighbours), then the sums over taps, row by row.
#include "native/cpu/kernels/conv_input_grad_narrow.h"

#include <string.h>

namespace aludel::cpu::ALUDEL_ISA {
namespace {

// Floats per pixel while taps are summed: enough lanes for kNarrowChannels in whole vectors.
constexpr int64_t kLanes = VW > kNarrowChannels ? VW : kNarrowChannels;

struct Narrow {
  ConvGeometry g;
  int64_t columns, blocks;  // of P: taps * channels, and in blocks
  int64_t band_rows;        // of dx
  int64_t dy_rows;          // most rows of dy that a band meets

  ALUDEL_INLINE int64_t product_row() const { return blocks * kBlock; }
};

Narrow make_narrow(const ConvGeometry& g) {
  Narrow n;
  n.g = g;
  n.columns = g.taps() * g.channels;
  n.blocks = ceil_div(n.columns, kBlock);
  // P of a band stays in L2; below a few kernel heights the seams would cost more than that brings.
  const int64_t rows = (int64_t{192} << 10) / (g.out_width * n.product_row() * int64_t(sizeof(float)));
  n.band_rows = smaller(g.height, larger(4 * g.kernel_height, rows * g.stride_height));
  n.dy_rows = smaller(g.out_height, (n.band_rows + g.kernel_height - 2) / g.stride_height + 1);
  return n;
}

struct Scratch {
  float* products;  // P [dy row][column][product_row]
  float* sums;      // one row of dx, [width][kLanes]
  float* panels;    // when the weights come unprepared
};

Scratch carve(const Narrow& n, ScratchCursor& cursor) {
  Scratch s;
  // A tap's vector reads up to kLanes past its channels.
  s.products = cursor.take<float>(n.dy_rows * n.g.out_width * n.product_row() + kLanes);
  s.sums = cursor.take<float>(n.g.width * kLanes);
  s.panels = n.g.prepared ? nullptr : cursor.take<float>(n.blocks * n.g.filters * kBlock);
  return s;
}

template <int P>
void multiply_tile(const Narrow& n, const float* dy, const float* panels, float* products) {
  const int64_t filters = n.g.filters, row = n.product_row();
  for (int64_t block = 0; block < n.blocks; ++block) {
    inner_tile<P>(dy, filters, panels + block * filters * kBlock, filters, products + block * kBlock, row);
  }
}

// P for `pixels` consecutive pixels of dy. The last tile overlaps the one before it rather than run past dy.
void multiply_pixels(const Narrow& n, const float* dy, int64_t pixels, const float* panels, float* products) {
  if (pixels < kRows) {
    for (int64_t pixel = 0; pixel < pixels; ++pixel) {
      multiply_tile<1>(n, dy + pixel * n.g.filters, panels, products + pixel * n.product_row());
    }
    return;
  }
  for (int64_t pixel = 0; pixel < pixels; pixel += kRows) {
    const int64_t first = smaller(pixel, pixels - kRows);
    multiply_tile<kRows>(n, dy + first * n.g.filters, panels, products + first * n.product_row());
  }
}

// sums[column] += P of kernel row r, for one row of dx and the row of P that this kernel row reads.
void add_kernel_row(const Narrow& n, int64_t r, const float* products, float* sums) {
  const ConvGeometry& g = n.g;
  for (int64_t s = 0; s < g.kernel_width; ++s) {
    // Column of dx that output column j meets: j * stride - pad + s.
    const int64_t origin = s - g.pad_width;
    const int64_t first = origin >= 0 ? 0 : ceil_div(-origin, g.stride_width);
    const int64_t end = origin >= g.width ? 0 : smaller(g.out_width, (g.width - 1 - origin) / g.stride_width + 1);
    const float* from = products + first * n.product_row() + (r * g.kernel_width + s) * g.channels;
    float* to = sums + (first * g.stride_width + origin) * kLanes;
    for (int64_t j = first; j < end; ++j, from += n.product_row(), to += g.stride_width * kLanes) {
      for (int64_t lane = 0; lane < kLanes; lane += VW) store(to + lane, load(to + lane) + load(from + lane));
    }
  }
}

void sum_row(const Narrow& n, int64_t row, int64_t dy_row0, const Scratch& s, float* dx) {
  const ConvGeometry& g = n.g;
  memset(s.sums, 0, sizeof(float) * size_t(g.width * kLanes));
  for (int64_t r = 0; r < g.kernel_height; ++r) {
    const int64_t position = row + g.pad_height - r;
    if (position < 0 || position % g.stride_height != 0 || position / g.stride_height >= g.out_height) continue;
    add_kernel_row(n, r, s.products + (position / g.stride_height - dy_row0) * g.out_width * n.product_row(), s.sums);
  }
  for (int64_t column = 0; column < g.width; ++column, dx += g.channels) {
    for (int64_t c = 0; c < g.channels; ++c) dx[c] = s.sums[column * kLanes + c];
  }
}

// Rows [row0, row1) of one image's dx.
void run_band(const Narrow& n, int64_t row0, int64_t row1, const float* dy, const float* panels, const Scratch& s, float* dx) {
  const ConvGeometry& g = n.g;
  const int64_t dy_row0 = ceil_div(larger(0, row0 + g.pad_height - g.kernel_height + 1), g.stride_height);
  const int64_t dy_row1 = smaller(g.out_height, (row1 - 1 + g.pad_height) / g.stride_height + 1);
  if (dy_row0 < dy_row1) {
    multiply_pixels(n, dy + dy_row0 * g.out_width * g.filters, (dy_row1 - dy_row0) * g.out_width, panels, s.products);
  }
  for (int64_t row = row0; row < row1; ++row) sum_row(n, row, dy_row0, s, dx + row * g.width * g.channels);
}

}  // namespace

int64_t narrow_input_grad_scratch_bytes(const ConvGeometry& geometry) {
  ScratchCursor cursor{0};
  carve(make_narrow(geometry), cursor);
  return cursor.bytes;
}

void run_narrow_input_grad(const ConvGeometry& g, const float* dy, const float* weights, float* dx, Exec& exec) {
  const Narrow n = make_narrow(g);
  const int64_t bands = ceil_div(g.height, n.band_rows);
  const int64_t weight_group = g.taps() * g.filters * (g.prepared ? round_up(g.channels, kPreparedMultiple) : g.channels);
  parallel_for(exec, g.groups * g.images * bands, [&](int64_t task, void* memory) {
    const int64_t image = task / bands, row0 = task % bands * n.band_rows;
    ScratchCursor cursor{reinterpret_cast<uintptr_t>(memory)};
    const Scratch s = carve(n, cursor);
    const float* panels = weights + image / g.images * weight_group;
    if (!g.prepared) {
      const WeightSource source{panels, g.kernel_height, g.kernel_width, g.channels, g.filters, ConvRole::input_grad};
      for (int64_t b = 0; b < n.blocks; ++b) pack_direct_block(taps_as_channels(source), b, s.panels + b * g.filters * kBlock);
      panels = s.panels;
    }
    run_band(n, row0, smaller(g.height, row0 + n.band_rows), dy + image * g.out_height * g.out_width * g.filters, panels, s,
             dx + image * g.height * g.width * g.channels);
  });
}

}  // namespace aludel::cpu::ALUDEL_ISA
