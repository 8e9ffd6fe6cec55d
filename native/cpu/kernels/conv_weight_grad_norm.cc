// conv2d_weight_grad_squared_norm: ||dw||^2 and ||db||^2 of each group, for the dw and db of conv2d_weight_grad, of which no more than one
// group per worker ever exists. Products are float32, their sums float64.
//
// Direct: dw of a group in the worker's scratch, then the sum of its squares.
// Gram, for one image a group: dw is the sum over output pixels s of x_s d_s^T, x_s the patch of x under s and d_s the pixel of dy, so
//   ||dw||^2 = sum over s, t of <x_s, x_t> <d_s, d_t>,   <x_s, x_t> = sum over taps of the product of the two pixels of x under that tap.
// Products of pixels do not grow with taps times channels times filters: with many channels and few pixels this is a fraction of dw.
#include <string.h>

#include "native/cpu/kernels/conv_weight_grad.h"
#include "native/cpu/kernels/lanes.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kMostGramTaps = 64;
constexpr int64_t kMostGramPixels = 1 << 12;  // with margins: their products are at most 64 MiB
constexpr int64_t kGroupsPerTask = 4;
constexpr int kTileRows = VW == 16 ? 8 : 4;  // of a tile of products; divides kBlock, so that one packing serves both sides

static_assert(kBlock % kTileRows == 0, "a tile's rows lie in one panel");

// ---- sums in float64 --------------------------------------------------------------------------------------------------------------------

ALUDEL_INLINE vd as_doubles(const float* x) {
  typedef float vh __attribute__((vector_size(VD * 4), aligned(4), may_alias));
  return __builtin_convertvector(*reinterpret_cast<const vh*>(x), vd);
}

struct DoubleSum {
  vd low{}, high{};

  ALUDEL_INLINE void add_product(vf a, vf b) {
    typedef float vh __attribute__((vector_size(VW * 2)));
    vh x[2], y[2];
    __builtin_memcpy(x, &a, sizeof a);
    __builtin_memcpy(y, &b, sizeof b);
    low += __builtin_convertvector(x[0], vd) * __builtin_convertvector(y[0], vd);
    high += __builtin_convertvector(x[1], vd) * __builtin_convertvector(y[1], vd);
  }
  ALUDEL_INLINE double total() const {
    const vd sum = low + high;
    double all = 0;
    for (int lane = 0; lane < VD; ++lane) all += sum[lane];
    return all;
  }
};

double sum_of_squares(const float* x, int64_t count) {
  DoubleSum sum[2];
  int64_t i = 0;
  for (; i + 2 * VW <= count; i += 2 * VW) {
    const vf a = load(x + i), b = load(x + i + VW);
    sum[0].add_product(a, a), sum[1].add_product(b, b);
  }
  double rest = 0;
  for (; i < count; ++i) rest += double(x[i]) * double(x[i]);
  return sum[0].total() + sum[1].total() + rest;
}

// ---- direct -----------------------------------------------------------------------------------------------------------------------------

struct DirectScratch {
  float *dw, *db;
  void* engine;
};

DirectScratch carve_direct(const ConvGeometry& group, ScratchCursor& cursor) {
  DirectScratch s;
  s.dw = cursor.take<float>(group.taps() * group.channels * group.filters);
  s.db = cursor.take<float>(group.filters);
  s.engine = cursor.take<char>(direct_weight_grad_scratch_bytes(group));
  return s;
}

void direct_squares(const ConvGeometry& group, const float* x, const float* dy, void* memory, float* dw, float* db) {
  ScratchCursor cursor{reinterpret_cast<uintptr_t>(memory)};
  const DirectScratch s = carve_direct(group, cursor);
  direct_weight_grad_of_group(group, {x, dy, s.dw, s.db}, s.engine);
  *dw = float(sum_of_squares(s.dw, group.taps() * group.channels * group.filters));
  *db = float(sum_of_squares(s.db, group.filters));
}

// ---- Gram -------------------------------------------------------------------------------------------------------------------------------

// The pixels of x that a tap ever reads, and the grid with margins that taps walk over.
struct Grid {
  int64_t rows, columns;            // of the grid
  int64_t read_rows, read_columns;  // of x, from its first pixel

  ALUDEL_INLINE int64_t pixels() const { return rows * columns; }
  ALUDEL_INLINE int64_t line() const { return pixels() + VW; }  // a vector may reach past the last pixel
};

Grid grid_of(const ConvGeometry& g) {
  Grid grid;
  grid.rows = (g.out_height - 1) * g.stride_height + g.kernel_height;
  grid.columns = (g.out_width - 1) * g.stride_width + g.kernel_width;
  grid.read_rows = smaller(g.height, larger(0, grid.rows - g.pad_height));
  grid.read_columns = smaller(g.width, larger(0, grid.columns - g.pad_width));
  return grid;
}

ALUDEL_INLINE bool one_position(const ConvGeometry& g) { return g.height * g.width * g.taps() == 1; }

struct GramScratch {
  float* panels;        // [block of pixels][channel][kBlock]
  float* x_products;    // [pixel of the grid][line]: only from the diagonal on
  float* dy_products;   // [position][line of positions]: the same
  int64_t* grid_index;  // of a pixel that is read
};

int64_t positions_of(const ConvGeometry& g) { return g.out_height * g.out_width; }

GramScratch carve_gram(const ConvGeometry& g, ScratchCursor& cursor) {
  const Grid grid = grid_of(g);
  const int64_t read = grid.read_rows * grid.read_columns, positions = positions_of(g);
  GramScratch s;
  s.panels = cursor.take<float>(larger(round_up(read, kBlock) * g.channels, round_up(positions, kBlock) * g.filters));
  s.x_products = cursor.take<float>(grid.pixels() * grid.line());
  s.dy_products = cursor.take<float>(round_up(positions, kTileRows) * round_up(positions, kBlock));
  s.grid_index = cursor.take<int64_t>(read);
  return s;
}

// VW pixels of VW channels turned over: a panel holds a channel's kBlock pixels side by side.
ALUDEL_INLINE void turn(const float* const* pixel, int64_t channel, float* to) {
  vf block[VW];
#pragma GCC unroll 16
  for (int i = 0; i < VW; ++i) block[i] = load(pixel[i] + channel);
  transpose(block);
#pragma GCC unroll 16
  for (int i = 0; i < VW; ++i) store(to + i * kBlock, block[i]);
}

// Panels of `count` pixels, pixel i at pixel_at(i); zeros behind the last one.
template <typename F>
ALUDEL_INLINE void pack_panels(int64_t count, int64_t channels, const F& pixel_at, float* to) {
  for (int64_t first = 0; first < count; first += VW) {
    const float* pixel[VW];
    const int64_t n = smaller(VW, count - first);
    for (int64_t i = 0; i < n; ++i) pixel[i] = pixel_at(first + i);
    float* panel = to + first / kBlock * kBlock * channels + first % kBlock;
    int64_t c = 0;
    if (n == VW)
      for (; c + VW <= channels; c += VW) turn(pixel, c, panel + c * kBlock);
    for (; c < channels; ++c)
      for (int64_t i = 0; i < VW; ++i) panel[c * kBlock + i] = i < n ? pixel[i][c] : 0;
  }
  const int64_t behind = round_up(count, VW), end = round_up(count, kBlock);
  if (behind == end) return;
  float* panel = to + behind / kBlock * kBlock * channels + behind % kBlock;
  for (int64_t c = 0; c < channels; ++c) memset(panel + c * kBlock, 0, sizeof(float) * size_t(end - behind));
}

// Calls put(row, first column, tile) for tiles of products of pixels, rows of kBlock floats, that reach the diagonal or lie beyond it.
template <typename F>
ALUDEL_INLINE void multiply_pixels(const float* panels, int64_t count, int64_t channels, const F& put) {
  const ReductionWalk walk{1, 1, channels, 0, 0, kBlock, 0, 0, kBlock};
  float tile[kTileRows * kBlock];
  for (int64_t row = 0; row < count; row += kTileRows) {
    const int64_t block = row / kBlock * kBlock;
    for (int64_t column = block; column < count; column += kBlock) {
      outer_tile<kTileRows>(panels + block * channels + row % kBlock, panels + column * channels, walk, tile, kBlock, kTileRows, kBlock,
                            false);
      put(row, column, tile);
    }
  }
}

void multiply_inputs(const ConvGeometry& g, const Grid& grid, const GramScratch& s, const float* x) {
  const int64_t read = grid.read_rows * grid.read_columns;
  pack_panels(
      read, g.channels, [&](int64_t i) { return x + (i / grid.read_columns * g.width + i % grid.read_columns) * g.channels; }, s.panels);
  multiply_pixels(s.panels, read, g.channels, [&](int64_t row, int64_t column, const float* tile) {
    const int64_t columns = smaller(kBlock, read - column);
    for (int64_t i = 0; i < smaller(kTileRows, read - row); ++i, tile += kBlock) {
      float* to = s.x_products + s.grid_index[row + i] * grid.line();
      for (int64_t j = 0; j < columns;) {  // a stretch of one row of the map at a time
        const int64_t end = smaller(columns, j + grid.read_columns - (column + j) % grid.read_columns);
        copy_floats(tile + j, to + s.grid_index[column + j], end - j);
        j = end;
      }
    }
  });
}

void multiply_output_grads(const ConvGeometry& g, const GramScratch& s, const float* dy) {
  const int64_t positions = positions_of(g), line = round_up(positions, kBlock);
  pack_panels(
      positions, g.filters, [&](int64_t i) { return dy + i * g.filters; }, s.panels);
  multiply_pixels(s.panels, positions, g.filters, [&](int64_t row, int64_t column, const float* tile) {
    for (int64_t i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) store(s.dy_products + (row + i) * line + column + v * VW, load(tile + i * kBlock + v * VW));
    }
  });
}

// For a position s: the sum over positions t of one row of the output, from `column` on, of <x_s, x_t> <d_s, d_t>. `own`: for each tap the
// products of the pixel of x under it with all pixels under the same tap; `first`: which of those belongs to the row's first position.
ALUDEL_INLINE void add_row(const ConvGeometry& g, const float* const* own, int64_t first, const float* dy_products, int64_t column,
                           DoubleSum& sum, double& rest) {
  const int64_t taps = g.taps();
  int64_t j = column;
  if (g.stride_width == 1) {
    for (; j < g.out_width; j += VW) {
      vf product = load(own[0] + first + j);
      for (int64_t tap = 1; tap < taps; ++tap) product += load(own[tap] + first + j);
      const int64_t left = g.out_width - j;
      sum.add_product(product, left >= VW ? load(dy_products + j) : load(dy_products + j, first_lanes(int(left))));
    }
    return;
  }
  for (; j < g.out_width; ++j) {
    double product = 0;
    for (int64_t tap = 0; tap < taps; ++tap) product += double(own[tap][first + j * g.stride_width]);
    rest += product * double(dy_products[j]);
  }
}

double gram_sum(const ConvGeometry& g, const Grid& grid, const GramScratch& s) {
  const int64_t line = round_up(positions_of(g), kBlock);
  DoubleSum sum;
  double rest = 0, diagonal = 0;
  const float* own[kMostGramTaps];
  for (int64_t i = 0; i < g.out_height; ++i) {
    for (int64_t j = 0; j < g.out_width; ++j) {
      const int64_t position = i * g.out_width + j;
      const int64_t corner = i * g.stride_height * grid.columns + j * g.stride_width;
      double square = 0;
      for (int64_t tap = 0; tap < g.taps(); ++tap) {
        const int64_t offset = tap / g.kernel_width * grid.columns + tap % g.kernel_width;
        own[tap] = s.x_products + (corner + offset) * grid.line() + offset;
        square += double(own[tap][corner]);
      }
      const float* dy_products = s.dy_products + position * line;
      diagonal += square * double(dy_products[position]);
      for (int64_t row = i; row < g.out_height; ++row)
        add_row(g, own, row * g.stride_height * grid.columns, dy_products + row * g.out_width, row == i ? j : 0, sum, rest);
    }
  }
  // Every pair once from the diagonal on: twice the sum, less the diagonal.
  return 2 * (sum.total() + rest) - diagonal;
}

double bias_square(const ConvGeometry& g, const float* dy) {
  double square = 0;
  int64_t k = 0;
  for (; k + VD <= g.filters; k += VD) {
    vd sum{};
    for (int64_t s = 0; s < positions_of(g); ++s) sum += as_doubles(dy + s * g.filters + k);
    for (int lane = 0; lane < VD; ++lane) square += sum[lane] * sum[lane];
  }
  for (; k < g.filters; ++k) {
    double sum = 0;
    for (int64_t s = 0; s < positions_of(g); ++s) sum += double(dy[s * g.filters + k]);
    square += sum * sum;
  }
  return square;
}

// The areas that no product is written to: margins, and what lies below the diagonal.
void clear_gram(const ConvGeometry& g, const Grid& grid, const GramScratch& s) {
  memset(s.x_products, 0, sizeof(float) * size_t(grid.pixels() * grid.line()));
  for (int64_t i = 0; i < grid.read_rows * grid.read_columns; ++i) {
    s.grid_index[i] = (i / grid.read_columns + g.pad_height) * grid.columns + i % grid.read_columns + g.pad_width;
  }
}

void gram_squares(const ConvGeometry& g, const Grid& grid, const GramScratch& s, const float* x, const float* dy, float* dw, float* db) {
  if (one_position(g)) {  // a linear layer: dw = x d^T
    const double square = sum_of_squares(dy, g.filters);
    *dw = float(sum_of_squares(x, g.channels) * square);
    *db = float(square);
    return;
  }
  multiply_inputs(g, grid, s, x);
  multiply_output_grads(g, s, dy);
  const double square = gram_sum(g, grid, s);
  *dw = float(square < 0 ? 0 : square);  // rounding of a norm that is almost 0; NaN stays
  *db = float(bias_square(g, dy));
}

// ---- entry points -----------------------------------------------------------------------------------------------------------------------

Status read(const KernelArgs& args, ConvGeometry* g, bool* gram) {
  ALUDEL_RETURN_IF_ERROR(read_conv2d_weight_grad_squared_norm(args, g, gram));
  if (!*gram) return {};
  const char* op = "conv2d_weight_grad_squared_norm";
  if (g->images != 1) return fail(Code::invalid_program, "%s: algorithm 1 takes one image a group, got %lld", op, (long long)g->images);
  const Grid grid = grid_of(*g);
  if (g->taps() > kMostGramTaps || grid.rows > kMostGramPixels || grid.columns > kMostGramPixels || grid.pixels() > kMostGramPixels) {
    return fail(Code::invalid_program, "%s: algorithm 1 takes at most %lld taps and %lld pixels", op, (long long)kMostGramTaps,
                (long long)kMostGramPixels);
  }
  return {};
}

Status check(const KernelArgs& args) {
  ConvGeometry g;
  bool gram;
  return read(args, &g, &gram);
}

int64_t scratch_bytes(const KernelArgs& args) {
  ConvGeometry g;
  bool gram;
  if (!read(args, &g, &gram).ok()) return 0;
  g.groups = 1;
  ScratchCursor cursor{0};
  if (!gram)
    carve_direct(g, cursor);
  else if (!one_position(g))
    carve_gram(g, cursor);
  return cursor.bytes;
}

Status run(const KernelArgs& args, Exec& exec) {
  ConvGeometry g;
  bool gram;
  ALUDEL_RETURN_IF_ERROR(read(args, &g, &gram));
  const int64_t groups = g.groups;
  g.groups = 1;
  const float *x = args.in[0].as<const float>(), *dy = args.in[1].as<const float>();
  float *dw = args.out[0].as<float>(), *db = args.out[1].as<float>();
  const int64_t x_size = g.images * g.height * g.width * g.channels, dy_size = g.images * positions_of(g) * g.filters;
  const Grid grid = grid_of(g);
  parallel_for(exec, ceil_div(groups, kGroupsPerTask), [&](int64_t task, void* memory) {
    const int64_t first = task * kGroupsPerTask, end = smaller(groups, first + kGroupsPerTask);
    if (!gram) {
      for (int64_t n = first; n < end; ++n) direct_squares(g, x + n * x_size, dy + n * dy_size, memory, dw + n, db + n);
      return;
    }
    ScratchCursor cursor{reinterpret_cast<uintptr_t>(memory)};
    GramScratch s = {};
    if (!one_position(g)) {
      s = carve_gram(g, cursor);
      clear_gram(g, grid, s);
    }
    for (int64_t n = first; n < end; ++n) gram_squares(g, grid, s, x + n * x_size, dy + n * dy_size, dw + n, db + n);
  });
  return {};
}

}  // namespace

extern const Kernel kernel_conv2d_weight_grad_squared_norm;
const Kernel kernel_conv2d_weight_grad_squared_norm = {check, scratch_bytes, run};

}  // namespace aludel::cpu::ALUDEL_ISA
