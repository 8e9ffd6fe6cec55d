// Direct weight gradient: dw[tap] = sum over output pixels of x[pixel, tap]^T dy[pixel]. A band of output rows is copied into panels that
// stay in L1: x with its halo of zeros as [channel panel][row][column][kRows], dy as [block][pixel][kBlock]; every tap then walks the same
// two panels at another offset. Few channels are packed with their taps into rows instead, as in the forward pass.
#include <string.h>

#include "native/cpu/kernels/conv_weight_grad.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kPackedChannels = 8;

bool packed(const ConvGeometry& g) { return g.channels <= kPackedChannels; }

WeightGradSplit make_split(const ConvGeometry& g) {
  const bool split = worth_splitting(g);
  WeightGradSplit s;
  s.channels = split && !packed(g) ? round_up(ceil_div(g.channels, 2), kRows) : g.channels;
  s.filters = split ? round_up(ceil_div(g.filters, 2), kBlock) : g.filters;
  s.channel_parts = ceil_div(g.channels, s.channels);
  s.filter_parts = ceil_div(g.filters, s.filters);
  return s;
}

// A band: `rows` output rows of each of `images` images. More than one image only when a band holds whole maps.
struct Band {
  int64_t images, rows;
  int64_t in_rows, in_columns;  // of x, with halo

  ALUDEL_INLINE int64_t panel_width() const { return images * in_rows * in_columns; }
};

Band make_band(const ConvGeometry& g) {
  // Pixels whose dy block (64 to 128 bytes each) and x panel fit L1 together, and enough of them to amortise the accumulators.
  const int64_t pixels = packed(g) ? larger(16, smaller(128, (64 << 10) / (4 * g.taps() * g.channels))) : 128;
  Band b;
  b.rows = smaller(g.out_height, larger(1, pixels / g.out_width));
  b.images = b.rows == g.out_height ? smaller(g.images, larger(1, pixels / (g.out_height * g.out_width))) : 1;
  b.in_rows = (b.rows - 1) * g.stride_height + g.kernel_height;
  b.in_columns = (g.out_width - 1) * g.stride_width + g.kernel_width;
  return b;
}

struct Scratch {
  double* bias_grad;
  float* x;   // [channel panel][image][row][column][kRows], or [pixel][taps * channels] when packed
  float* dy;  // [block][image][row][column][kBlock]
};

Scratch carve(const ConvGeometry& g, const WeightGradSplit& split, const Band& band, ScratchCursor& cursor) {
  const int64_t pixels = band.images * band.rows * g.out_width;
  Scratch s;
  s.bias_grad = cursor.take<double>(split.filters);
  // The last tile of a packed row reads up to kRows floats beyond it.
  s.x = packed(g) ? cursor.take<float>(pixels * g.taps() * g.channels + kRows)
                  : cursor.take<float>(ceil_div(split.channels, kRows) * band.panel_width() * kRows);
  s.dy = cursor.take<float>(ceil_div(split.filters, kBlock) * pixels * kBlock);
  return s;
}

// Which images and output rows the band covers now.
struct BandPosition {
  int64_t image0, images;
  int64_t row0, rows;
};

// One pixel's channels into panels of kRows, zeros behind the last channel.
ALUDEL_INLINE void scatter_channels(const float* from, int64_t channels, float* to, int64_t panel) {
  int64_t c = 0;
  for (; c + kRows <= channels; c += kRows, to += panel) memcpy(to, from + c, sizeof(float) * kRows);
  if (c == channels) return;
  for (int64_t p = 0; p < kRows; ++p) to[p] = c + p < channels ? from[c + p] : 0;
}

ALUDEL_INLINE void clear_channels(int64_t channels, float* to, int64_t panel) {
  for (int64_t c = 0; c < channels; c += kRows, to += panel) memset(to, 0, sizeof(float) * kRows);
}

void pack_channel_panels(const ConvGeometry& g, const Band& band, const BandPosition& at, const float* x, int64_t channels, float* to) {
  const int64_t panel = band.panel_width() * kRows;
  for (int64_t n = 0; n < at.images; ++n) {
    for (int64_t i = 0; i < band.in_rows; ++i) {
      const int64_t row = at.row0 * g.stride_height - g.pad_height + i;
      float* line = to + (n * band.in_rows + i) * band.in_columns * kRows;
      const float* from = x + ((at.image0 + n) * g.height + row) * g.width * g.channels;
      for (int64_t j = 0; j < band.in_columns; ++j) {
        const int64_t column = j - g.pad_width;
        if (row >= 0 && row < g.height && column >= 0 && column < g.width) {
          scatter_channels(from + column * g.channels, channels, line + j * kRows, panel);
        } else {
          clear_channels(channels, line + j * kRows, panel);
        }
      }
    }
  }
}

// One row of taps x channels per output pixel.
void pack_tap_rows(const ConvGeometry& g, const BandPosition& at, const float* x, float* to) {
  for (int64_t n = at.image0; n < at.image0 + at.images; ++n) {
    for (int64_t i = at.row0; i < at.row0 + at.rows; ++i) {
      for (int64_t j = 0; j < g.out_width; ++j) {
        const int64_t column0 = j * g.stride_width - g.pad_width;
        // Kernel columns that fall inside the map; a kernel row of them is contiguous.
        const int64_t inside0 = smaller(g.kernel_width, larger(0, -column0));
        const int64_t inside1 = larger(inside0, smaller(g.kernel_width, g.width - column0));
        for (int64_t r = 0; r < g.kernel_height; ++r, to += g.kernel_width * g.channels) {
          const int64_t row = i * g.stride_height - g.pad_height + r;
          const bool valid = row >= 0 && row < g.height && inside1 > inside0;
          const int64_t before = (valid ? inside0 : g.kernel_width) * g.channels, end = (valid ? inside1 : g.kernel_width) * g.channels;
          if (before == 0 && end == g.kernel_width * g.channels) {
            copy_floats(x + ((n * g.height + row) * g.width + column0) * g.channels, to, end);
            continue;
          }
          const float* from = valid ? x + ((n * g.height + row) * g.width + column0 + inside0) * g.channels : x;
          for (int64_t c = 0; c < before; ++c) to[c] = 0;
          for (int64_t c = before; c < end; ++c) to[c] = from[c - before];
          for (int64_t c = end; c < g.kernel_width * g.channels; ++c) to[c] = 0;
        }
      }
    }
  }
}

void pack_output_grad(const ConvGeometry& g, const BandPosition& at, const float* dy, int64_t filters, int64_t panel, float* to) {
  for (int64_t n = at.image0; n < at.image0 + at.images; ++n) {
    const float* from = dy + (n * g.out_height + at.row0) * g.out_width * g.filters;
    for (int64_t pixel = 0; pixel < at.rows * g.out_width; ++pixel, from += g.filters, to += kBlock) {
      float* block = to;
      int64_t k = 0;
      for (; k + kBlock <= filters; k += kBlock, block += panel) {
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) store(block + v * VW, load(from + k + v * VW));
      }
      if (k == filters) continue;
      for (int64_t lane = 0; lane < kBlock; ++lane) block[lane] = k + lane < filters ? from[k + lane] : 0;
    }
  }
}

// db += column sums: float32 within a few pixels, float64 beyond.
void add_column_sums(const float* dy, int64_t panel, int64_t pixels, int64_t filters, double* sums) {
  constexpr int64_t kShort = 16;
  for (int64_t k = 0; k < filters; k += kBlock, dy += panel) {
    for (int64_t first = 0; first < pixels; first += kShort) {
      vf sum[kVectors] = {};
      const int64_t end = smaller(pixels, first + kShort);
      for (int64_t pixel = first; pixel < end; ++pixel) {
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sum[v] += load(dy + pixel * kBlock + v * VW);
      }
      float lanes[kBlock];
      store_part(lanes, sum, kBlock);
      for (int64_t lane = 0; lane < smaller(kBlock, filters - k); ++lane) sums[k + lane] += double(lanes[lane]);
    }
  }
}

// out[row][0..columns) for up to kRows rows.
void multiply_panel(const float* a, const float* b, const ReductionWalk& walk, float* out, int64_t out_row, int64_t rows, int64_t columns,
                    bool add) {
  if (rows <= kHalfRows) {
    outer_tile<kHalfRows>(a, b, walk, out, out_row, rows, columns, add);
  } else {
    outer_tile<kRows>(a, b, walk, out, out_row, rows, columns, add);
  }
}

void multiply_band(const ConvGeometry& g, const Band& band, const WeightGradPart& part, const BandPosition& at, const Scratch& s, float* dw,
                   bool add) {
  const int64_t band_pixels = band.images * band.rows * g.out_width;
  const int64_t image_pixels = at.rows * g.out_width;
  for (int64_t k = 0; k < part.filters; k += kBlock) {
    const float* b = s.dy + k * band_pixels;
    const int64_t columns = part.filters - k;
    if (packed(g)) {
      const int64_t length = g.taps() * g.channels;
      const ReductionWalk walk{1, 1, at.images * image_pixels, 0, 0, length, 0, 0, kBlock};
      for (int64_t row = 0; row < length; row += kRows) {
        multiply_panel(s.x + row, b, walk, dw + row * g.filters + k, g.filters, length - row, columns, add);
      }
      continue;
    }
    const ReductionWalk walk{at.images,
                             at.rows,
                             g.out_width,
                             band.in_rows * band.in_columns * kRows,
                             g.stride_height * band.in_columns * kRows,
                             g.stride_width * kRows,
                             image_pixels * kBlock,
                             g.out_width * kBlock,
                             kBlock};
    for (int64_t c = 0; c < part.channels; c += kRows) {
      const float* panel = s.x + c * band.panel_width();
      for (int64_t tap = 0; tap < g.taps(); ++tap) {
        const int64_t r = tap / g.kernel_width, q = tap % g.kernel_width;
        float* out = dw + (tap * g.channels + c) * g.filters + k;
        multiply_panel(panel + (r * band.in_columns + q) * kRows, b, walk, out, g.filters, part.channels - c, columns, add);
      }
    }
  }
}

// The whole batch for one rectangle, band by band in a fixed order.
void run_part(const ConvGeometry& g, const Band& band, const WeightGradPart& part, const float* x, const float* dy, float* dw,
              const Scratch& s) {
  const int64_t panel = band.images * band.rows * g.out_width * kBlock;
  bool add = false;
  for (int64_t image = 0; image < g.images; image += band.images) {
    for (int64_t row = 0; row < g.out_height; row += band.rows) {
      const BandPosition at{image, smaller(band.images, g.images - image), row, smaller(band.rows, g.out_height - row)};
      if (packed(g)) {
        pack_tap_rows(g, at, x, s.x);
      } else {
        pack_channel_panels(g, band, at, x, part.channels, s.x);
      }
      pack_output_grad(g, at, dy, part.filters, panel, s.dy);
      multiply_band(g, band, part, at, s, dw, add);
      if (part.channel0 == 0) add_column_sums(s.dy, panel, at.images * at.rows * g.out_width, part.filters, s.bias_grad);
      add = true;
    }
  }
}

void run_task(const ConvGeometry& g, const WeightGradOperands& operands, int64_t task, void* memory) {
  const WeightGradSplit split = make_split(g);
  const Band band = make_band(g);
  const WeightGradPart part = part_of(g, split, task);
  ScratchCursor cursor{reinterpret_cast<uintptr_t>(memory)};
  const Scratch s = carve(g, split, band, cursor);
  memset(s.bias_grad, 0, sizeof(double) * size_t(split.filters));
  const float* x = operands.x + part.group * g.images * g.height * g.width * g.channels + part.channel0;
  const float* dy = operands.dy + part.group * g.images * g.out_height * g.out_width * g.filters + part.filter0;
  float* dw = operands.dw + (part.group * g.taps() * g.channels + part.channel0) * g.filters + part.filter0;
  run_part(g, band, part, x, dy, dw, s);
  if (part.channel0 != 0) return;
  float* db = operands.db + part.group * g.filters + part.filter0;
  for (int64_t k = 0; k < part.filters; ++k) db[k] = float(s.bias_grad[k]);
}

}  // namespace

int64_t direct_weight_grad_scratch_bytes(const ConvGeometry& g) {
  ScratchCursor cursor{0};
  carve(g, make_split(g), make_band(g), cursor);
  return cursor.bytes;
}

void run_direct_weight_grad(const ConvGeometry& g, const WeightGradOperands& operands, Exec& exec) {
  parallel_for(exec, g.groups * make_split(g).parts(), [&](int64_t task, void* memory) { run_task(g, operands, task, memory); });
}

void direct_weight_grad_of_group(const ConvGeometry& g, const WeightGradOperands& operands, void* scratch) {
  for (int64_t task = 0; task < make_split(g).parts(); ++task) run_task(g, operands, task, scratch);
}

}  // namespace aludel::cpu::ALUDEL_ISA
