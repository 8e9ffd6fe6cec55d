// Direct convolution. Output pixels are taken in chunks; a chunk first resolves where each (pixel, tap) reads, then runs over all blocks
// of output channels while its input rows stay in cache. Rows outside the map are one shared row of zeros.
//
// A strided input gradient is a sum of stride_height * stride_width phases: output pixels of equal residue meet the same taps, at unit
// stride, so no multiplication with an inserted zero is done.
#include "native/cpu/kernels/conv_direct.h"

#include <string.h>

namespace aludel::cpu::ALUDEL_ISA {
namespace {

// Below this many reduced channels the taps are packed into one row per pixel: pointers per tap would cost more than the products.
constexpr int64_t kPackedChannels = 8;

// The operation with its two maps named by what is read and what is written.
struct DirectConv {
  int64_t images;
  int64_t in_height, in_width, in_channels;
  int64_t out_height, out_width, out_channels;
  int64_t kernel_height, kernel_width;
  int64_t stride_height, stride_width, pad_height, pad_width;
  ConvRole role;
  bool prepared;

  ALUDEL_INLINE int64_t taps() const { return kernel_height * kernel_width; }
  ALUDEL_INLINE int64_t blocks() const { return ceil_div(out_channels, kBlock); }
  ALUDEL_INLINE int64_t panel() const { return taps() * in_channels * kBlock; }
  ALUDEL_INLINE int64_t phases_down() const { return role == ConvRole::forward ? 1 : smaller(stride_height, out_height); }
  ALUDEL_INLINE int64_t phases_across() const { return role == ConvRole::forward ? 1 : smaller(stride_width, out_width); }
  ALUDEL_INLINE bool packed() const { return in_channels <= kPackedChannels && phases_down() * phases_across() == 1; }
};

DirectConv make_direct(const ConvGeometry& g, ConvRole role) {
  DirectConv d;
  d.images = g.images;
  const bool forward = role == ConvRole::forward;
  d.in_height = forward ? g.height : g.out_height;
  d.in_width = forward ? g.width : g.out_width;
  d.in_channels = forward ? g.channels : g.filters;
  d.out_height = forward ? g.out_height : g.height;
  d.out_width = forward ? g.out_width : g.width;
  d.out_channels = forward ? g.filters : g.channels;
  d.kernel_height = g.kernel_height;
  d.kernel_width = g.kernel_width;
  d.stride_height = g.stride_height;
  d.stride_width = g.stride_width;
  d.pad_height = g.pad_height;
  d.pad_width = g.pad_width;
  d.role = role;
  d.prepared = g.prepared;
  return d;
}

// Pixels per chunk: rows of input that share L1 and L2 with one weight panel. Whole tiles, so that a tile's pixels do not depend on how
// the chunks are spread over tasks.
int64_t chunk_pixels(const DirectConv& d) {
  const int64_t row_bytes = d.packed() ? 4 * d.taps() * d.in_channels : larger(4 * d.in_channels, 8 * d.taps());
  const int64_t budget = d.packed() ? 32 << 10 : 96 << 10;
  return larger(2, smaller(budget / row_bytes, 192) / kRows) * kRows;
}

// Chunks per task. Unprepared weights are packed once per task, so tasks are larger then.
int64_t task_chunks(const DirectConv& d) { return ceil_div(d.prepared ? 384 : 4096, chunk_pixels(d)); }

// Where a tap reads, relative to the pixel's own position in the input map.
struct Tap {
  int64_t row, column;
  int64_t index;  // in the weights
};

// Output pixels of one residue: row row0 + i * row_step, column column0 + j * column_step for i < rows, j < columns; the pixel's position
// in the input map is (i * in_row_step, j * in_column_step).
struct Phase {
  int64_t row0, row_step, rows, in_row_step;
  int64_t column0, column_step, columns, in_column_step;
  int64_t taps;
  int64_t min_row, max_row, min_column, max_column;  // over the taps

  ALUDEL_INLINE int64_t pixels(int64_t images) const { return images * rows * columns; }
};

struct Scratch {
  float* zeros;  // one input row
  float* bias;   // padded to whole blocks
  Tap* taps;
  const float** rows;  // [tile][tap][kRows], or [tile][kRows] when packed
  float** out;         // [pixel]
  float* packed;       // [pixel][taps * in_channels]
  float* panel;        // one block of weights, when they come unprepared
};

Scratch carve(const DirectConv& d, ScratchCursor& cursor) {
  const int64_t pixels = chunk_pixels(d);
  Scratch s;
  s.zeros = cursor.take<float>(d.in_channels);
  s.bias = cursor.take<float>(d.blocks() * kBlock);
  s.taps = cursor.take<Tap>(d.taps());
  s.rows = cursor.take<const float*>(pixels * (d.packed() ? 1 : d.taps()));
  s.out = cursor.take<float*>(pixels);
  s.packed = d.packed() ? cursor.take<float>(pixels * d.taps() * d.in_channels) : nullptr;
  s.panel = d.prepared ? nullptr : cursor.take<float>(d.panel());
  return s;
}

// One axis of a phase: for output index first + i * step, tap t reads input index i * in_step + offset(t).
struct AxisPhase {
  int64_t first, step, count, in_step;
};

AxisPhase axis_phase(ConvRole role, int64_t phase, int64_t stride, int64_t out_size) {
  if (role == ConvRole::forward) return {0, 1, out_size, stride};
  return {phase, stride, ceil_div(out_size - phase, stride), 1};
}

// False when the tap never meets this phase.
bool tap_offset(ConvRole role, int64_t first, int64_t tap, int64_t stride, int64_t pad, int64_t* offset) {
  if (role == ConvRole::forward) {
    *offset = tap - pad;
    return true;
  }
  const int64_t position = first + pad - tap;
  if (position % stride != 0) return false;
  *offset = position / stride;
  return true;
}

Phase make_phase(const DirectConv& d, int64_t phase, Tap* taps) {
  const AxisPhase down = axis_phase(d.role, phase / d.phases_across(), d.stride_height, d.out_height);
  const AxisPhase across = axis_phase(d.role, phase % d.phases_across(), d.stride_width, d.out_width);
  Phase p{down.first, down.step, down.count, down.in_step, across.first, across.step, across.count, across.in_step, 0, 0, 0, 0, 0};
  for (int64_t r = 0; r < d.kernel_height; ++r) {
    int64_t row;
    if (!tap_offset(d.role, down.first, r, d.stride_height, d.pad_height, &row)) continue;
    for (int64_t s = 0; s < d.kernel_width; ++s) {
      int64_t column;
      if (!tap_offset(d.role, across.first, s, d.stride_width, d.pad_width, &column)) continue;
      if (p.taps == 0) {
        p.min_row = p.max_row = row;
        p.min_column = p.max_column = column;
      }
      p.min_row = smaller(p.min_row, row);
      p.max_row = larger(p.max_row, row);
      p.min_column = smaller(p.min_column, column);
      p.max_column = larger(p.max_column, column);
      taps[p.taps++] = {row, column, r * d.kernel_width + s};
    }
  }
  return p;
}

// Walks the pixels of a phase in order, without divisions after the start.
struct PixelWalk {
  int64_t image, i, j;

  ALUDEL_INLINE void seek(const Phase& phase, int64_t pixel) {
    j = pixel % phase.columns;
    i = pixel / phase.columns % phase.rows;
    image = pixel / (phase.columns * phase.rows);
  }
  ALUDEL_INLINE void next(const Phase& phase) {
    if (++j < phase.columns) return;
    j = 0;
    if (++i < phase.rows) return;
    i = 0;
    ++image;
  }
};

ALUDEL_INLINE bool inside(int64_t index, int64_t size) { return static_cast<uint64_t>(index) < static_cast<uint64_t>(size); }

ALUDEL_INLINE float* output_pixel(const DirectConv& d, const Phase& phase, const PixelWalk& at, float* out) {
  const int64_t row = phase.row0 + at.i * phase.row_step, column = phase.column0 + at.j * phase.column_step;
  return out + ((at.image * d.out_height + row) * d.out_width + column) * d.out_channels;
}

// Fills rows[tile][tap][kRows] and out[pixel] for pixels [first, first + count). Lanes beyond the count repeat the last pixel. A tap that
// reads zeros in every lane gets a null first pointer, and the products skip it.
void resolve_rows(const DirectConv& d, const Phase& phase, int64_t first, int64_t count, const float* in, float* out, const Scratch& s) {
  PixelWalk at;
  at.seek(phase, first);
  for (int64_t pixel = 0; pixel < round_up(count, kRows); ++pixel) {
    const int64_t lane = pixel % kRows;
    const float** rows = s.rows + (pixel - lane) * phase.taps + lane;
    const int64_t i = at.i * phase.in_row_step, j = at.j * phase.in_column_step, map = at.image * d.in_height;
    for (int64_t t = 0; t < phase.taps; ++t) {
      const int64_t row = i + s.taps[t].row, column = j + s.taps[t].column;
      const bool valid = inside(row, d.in_height) && inside(column, d.in_width);
      rows[t * kRows] = valid ? in + ((map + row) * d.in_width + column) * d.in_channels : s.zeros;
    }
    if (pixel < count) s.out[pixel] = output_pixel(d, phase, at, out);
    if (pixel + 1 < count) at.next(phase);
    if (lane != kRows - 1) continue;
    for (int64_t t = 0; t < phase.taps; ++t) {
      const float** tap_rows = s.rows + (pixel - lane) * phase.taps + t * kRows;
      bool live = false;
      for (int p = 0; p < kRows; ++p) live |= tap_rows[p] != s.zeros;
      if (!live) tap_rows[0] = nullptr;
    }
  }
}

// Packs each pixel's taps into one row and points rows[tile][kRows] at them. A kernel row of a forward convolution is contiguous in NHWC.
void pack_rows(const DirectConv& d, const Phase& phase, int64_t first, int64_t count, const float* in, float* out, const Scratch& s) {
  PixelWalk at;
  at.seek(phase, first);
  const int64_t length = phase.taps * d.in_channels;
  const bool contiguous = d.role == ConvRole::forward;
  for (int64_t pixel = 0; pixel < count; ++pixel, at.next(phase)) {
    const int64_t i = at.i * phase.in_row_step, j = at.j * phase.in_column_step, map = at.image * d.in_height;
    float* row = s.packed + pixel * length;
    const bool interior =
        i + phase.min_row >= 0 && i + phase.max_row < d.in_height && j + phase.min_column >= 0 && j + phase.max_column < d.in_width;
    const int64_t run = interior && contiguous ? d.kernel_width : 1;
    for (int64_t t = 0; t < phase.taps; t += run) {
      const int64_t r = i + s.taps[t].row, c = j + s.taps[t].column;
      const bool valid = inside(r, d.in_height) && inside(c, d.in_width);
      copy_floats(valid ? in + ((map + r) * d.in_width + c) * d.in_channels : s.zeros, row + t * d.in_channels, run * d.in_channels);
    }
    s.out[pixel] = output_pixel(d, phase, at, out);
  }
  for (int64_t pixel = 0; pixel < round_up(count, kRows); ++pixel) s.rows[pixel] = s.packed + smaller(pixel, count - 1) * length;
}

// What one register tile needs besides its row pointers.
struct TileJob {
  const Tap* taps;
  int64_t tap_count;   // 1 when packed
  int64_t reduction;   // floats per row
  const float* panel;  // this block's weights
  const float* bias;   // this block's bias
  int64_t channel0;    // first output channel of the block
  int64_t channels;    // true channels in the block
};

template <int P>
ALUDEL_TILE void compute_tile(const TileJob& job, const float* const* rows, float* const* out, int64_t valid_rows) {
  vf sum[P][kVectors];
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) {
    const vf bias = load(job.bias + v * VW);
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) sum[p][v] = bias;
  }
  for (int64_t t = 0; t < job.tap_count; ++t, rows += kRows) {
    if (rows[0] != nullptr) inner_products<P>(sum, rows, job.panel + job.taps[t].index * job.reduction * kBlock, job.reduction);
  }
#pragma GCC unroll 16
  for (int p = 0; p < P; ++p) {
    if (p >= valid_rows) break;
    float* row = out[p] + job.channel0;
    if (job.channels == kBlock) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) store(row + v * VW, sum[p][v]);
    } else {
      store_part(row, sum[p], job.channels);
    }
  }
}

void compute_block(const TileJob& job, int64_t pixels, const Scratch& s) {
  for (int64_t pixel = 0; pixel < pixels; pixel += kRows) {
    const float* const* rows = s.rows + pixel * job.tap_count;
    const int64_t left = pixels - pixel;
    if (left <= kHalfRows) {
      compute_tile<kHalfRows>(job, rows, s.out + pixel, left);
    } else {
      compute_tile<kRows>(job, rows, s.out + pixel, left);
    }
  }
}

// One group's operands.
struct Operands {
  const float *in, *weights;
  float* out;
};

void run_chunks(const DirectConv& d, const Phase& phase, int64_t first, int64_t end, const Operands& o, const Scratch& s) {
  const int64_t step = chunk_pixels(d), blocks = d.blocks();
  const Tap whole_row = {0, 0, 0};
  TileJob job;
  job.taps = d.packed() ? &whole_row : s.taps;
  job.tap_count = d.packed() ? 1 : phase.taps;
  job.reduction = d.packed() ? phase.taps * d.in_channels : d.in_channels;
  const WeightSource source = d.role == ConvRole::forward
                                  ? WeightSource{o.weights, d.kernel_height, d.kernel_width, d.in_channels, d.out_channels, d.role}
                                  : WeightSource{o.weights, d.kernel_height, d.kernel_width, d.out_channels, d.in_channels, d.role};
  // Prepared: all blocks for each chunk. Unprepared: all chunks for each block, so that a block is packed once.
  const int64_t passes = d.prepared ? 1 : blocks;
  for (int64_t pass = 0; pass < passes; ++pass) {
    if (!d.prepared) pack_direct_block(source, pass, s.panel);
    for (int64_t pixel = first; pixel < end; pixel += step) {
      const int64_t count = smaller(step, end - pixel);
      if (d.packed()) {
        pack_rows(d, phase, pixel, count, o.in, o.out, s);
      } else {
        resolve_rows(d, phase, pixel, count, o.in, o.out, s);
      }
      for (int64_t block = pass; block < (d.prepared ? blocks : pass + 1); ++block) {
        job.panel = d.prepared ? o.weights + block * d.panel() : s.panel;
        job.bias = s.bias + block * kBlock;
        job.channel0 = block * kBlock;
        job.channels = smaller(kBlock, d.out_channels - job.channel0);
        compute_block(job, count, s);
      }
    }
  }
}

}  // namespace

int64_t direct_scratch_bytes(const ConvGeometry& geometry, ConvRole role) {
  ScratchCursor cursor{0};
  carve(make_direct(geometry, role), cursor);
  return cursor.bytes;
}

void run_direct(const ConvGeometry& g, ConvRole role, const float* in, const float* weights, const float* bias, float* out, Exec& exec) {
  const DirectConv d = make_direct(g, role);
  const int64_t phases = d.phases_down() * d.phases_across();
  const int64_t largest_phase = d.images * ceil_div(d.out_height, d.phases_down()) * ceil_div(d.out_width, d.phases_across());
  const int64_t task_pixels = task_chunks(d) * chunk_pixels(d);
  const int64_t phase_tasks = ceil_div(largest_phase, task_pixels);
  const int64_t in_group = d.images * d.in_height * d.in_width * d.in_channels;
  const int64_t out_group = d.images * d.out_height * d.out_width * d.out_channels;
  const int64_t weight_group = d.taps() * d.in_channels * (d.prepared ? round_up(d.out_channels, kPreparedMultiple) : d.out_channels);
  parallel_for(exec, g.groups * phases * phase_tasks, [&](int64_t task, void* memory) {
    const int64_t group = task / (phases * phase_tasks), range = task % phase_tasks;
    ScratchCursor cursor{reinterpret_cast<uintptr_t>(memory)};
    const Scratch s = carve(d, cursor);
    const Phase phase = make_phase(d, task / phase_tasks % phases, s.taps);
    const int64_t first = range * task_pixels, end = smaller(phase.pixels(d.images), first + task_pixels);
    memset(s.zeros, 0, sizeof(float) * size_t(d.in_channels));
    memset(s.bias, 0, sizeof(float) * size_t(d.blocks() * kBlock));
    if (bias != nullptr) memcpy(s.bias, bias + group * d.out_channels, sizeof(float) * size_t(d.out_channels));
    const Operands o{in + group * in_group, weights + group * weight_group, out + group * out_group};
    if (first < end) run_chunks(d, phase, first, end, o, s);
  });
}

}  // namespace aludel::cpu::ALUDEL_ISA
