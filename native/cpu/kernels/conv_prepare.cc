// conv2d_prepare, and the packing that the convolutions use when their weights come unprepared.
#include "native/cpu/kernels/conv_prepare.h"

#include "native/cpu/kernels/conv_winograd.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

// row[lane] = w[tap][reduced][block * kBlock + lane] in the role's sense, zeros beyond the produced channels.
ALUDEL_INLINE void gather_row(const WeightSource& source, int64_t tap, int64_t reduced, int64_t block, float* row) {
  const int64_t first = block * kBlock;
  const int64_t count = larger(0, smaller(kBlock, source.produced() - first));
  const float* w = source.data + tap * source.channels * source.filters;
  if (source.role == ConvRole::forward) {
    const float* from = w + reduced * source.filters + first;
    for (int64_t lane = 0; lane < count; ++lane) row[lane] = from[lane];
  } else {
    const float* from = w + first * source.filters + reduced;
    for (int64_t lane = 0; lane < count; ++lane) row[lane] = from[lane * source.filters];
  }
  for (int64_t lane = count; lane < kBlock; ++lane) row[lane] = 0;
}

int64_t blocks_of(const PrepareGeometry& g) {
  const int64_t produced = g.role == ConvRole::forward ? g.filters : g.channels;
  return round_up(produced, kPreparedMultiple) / kBlock;
}

Status check(const KernelArgs& args) {
  PrepareGeometry g;
  return read_conv2d_prepare(args, &g);
}

Status run(const KernelArgs& args, Exec& exec) {
  PrepareGeometry g;
  ALUDEL_RETURN_IF_ERROR(read_conv2d_prepare(args, &g));
  const int64_t blocks = blocks_of(g);
  const int64_t taps = g.kernel_height * g.kernel_width;
  const float* weights = args.in[0].as<const float>();
  float* prepared = args.out[0].as<float>();
  parallel_for(exec, g.groups * blocks, [&](int64_t task, void*) {
    const int64_t group = task / blocks, block = task % blocks;
    const WeightSource source{
        weights + group * taps * g.channels * g.filters, g.kernel_height, g.kernel_width, g.channels, g.filters, g.role};
    const int64_t panel = source.reduced() * kBlock;
    if (g.winograd) {
      pack_winograd_block(source, block, prepared + (group * blocks + block) * kWinogradPoints * panel);
    } else if (g.role == ConvRole::input_grad && narrow_input_grad(g.channels)) {
      const WeightSource flat = taps_as_channels(source);
      const int64_t flat_blocks = ceil_div(flat.channels, kBlock);
      float* out = prepared + group * blocks * taps * panel;
      for (int64_t b = block; b < flat_blocks; b += blocks) pack_direct_block(flat, b, out + b * panel);
    } else {
      pack_direct_block(source, block, prepared + (group * blocks + block) * taps * panel);
    }
  });
  return {};
}

}  // namespace

void pack_direct_block(const WeightSource& source, int64_t block, float* panel) {
  const int64_t taps = source.kernel_height * source.kernel_width, reduced = source.reduced();
  for (int64_t tap = 0; tap < taps; ++tap) {
    for (int64_t r = 0; r < reduced; ++r, panel += kBlock) gather_row(source, tap, r, block, panel);
  }
}

void pack_winograd_block(const WeightSource& source, int64_t block, float* panel) {
  const int64_t reduced = source.reduced(), point_stride = reduced * kBlock;
  const bool mirror = source.role == ConvRole::input_grad;
  for (int64_t r = 0; r < reduced; ++r, panel += kBlock) {
    float rows[9][kBlock];
    for (int tap = 0; tap < 9; ++tap) gather_row(source, mirror ? 8 - tap : tap, r, block, rows[tap]);
    // The 36 destinations share cache sets: collected here, each of their lines is written once and whole.
    vf points[kWinogradPoints][kVectors];
    for (int v = 0; v < kVectors; ++v) {
      vf half[3][6];
      for (int j = 0; j < 3; ++j) {
        const vf column[3] = {load(rows[j] + v * VW), load(rows[3 + j] + v * VW), load(rows[6 + j] + v * VW)};
        transform_weights(column, half[j]);
      }
      for (int i = 0; i < 6; ++i) {
        const vf row[3] = {half[0][i], half[1][i], half[2][i]};
        vf o[6];
        transform_weights(row, o);
        for (int j = 0; j < 6; ++j) points[i * 6 + j][v] = o[j];
      }
    }
    for (int point = 0; point < kWinogradPoints; ++point) {
      for (int v = 0; v < kVectors; ++v) store(panel + point * point_stride + v * VW, points[point][v]);
    }
  }
}

extern const Kernel kernel_conv2d_prepare;
const Kernel kernel_conv2d_prepare = {check, nullptr, run};

}  // namespace aludel::cpu::ALUDEL_ISA
