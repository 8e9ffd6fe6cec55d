// Sums of x^p over channels and over positions of [...,H,W,C] maps, p = 1..4, each map read once.
// One task per image. Channels: up to 64 positions in float32, then float64. Positions: up to 64 vectors of channels, then float64.
#include "native/cpu/kernels/powers.h"

namespace aludel::cpu::ALUDEL_ISA {

namespace {

ALUDEL_INLINE int64_t images_of(const TensorRef& x) {
  int64_t n = 1;
  for (int i = 0; i < x.rank - 3; ++i) n *= x.dims[i];
  return n;
}

Status check_power_sums(const KernelArgs& args) {
  if (args.nin != 1 || args.nout != 2 || args.nattrs != 1) {
    return fail(Code::invalid_program, "power_sums: expected 1 input, 2 outputs, 1 attribute; got %d, %d, %d", args.nin, args.nout,
                args.nattrs);
  }
  const double p = args.attrs[0];
  if (!(p >= 1 && p <= kMaxPower) || p != (double)(int)p) {
    return fail(Code::invalid_program, "power_sums: expected a power from 1 to %d, got %g", kMaxPower, p);
  }
  const TensorRef &x = args.in[0], &positions = args.out[0], &channels = args.out[1];
  bool fits = x.dtype == DType::f32 && x.rank >= 3 && x.rank <= kMaxRank && positions.dtype == DType::f32 && positions.rank == x.rank - 1 &&
              channels.dtype == DType::f32 && channels.rank == x.rank - 2;
  int64_t numel = 1;
  for (int i = 0; fits && i < x.rank; ++i) {
    fits = x.dims[i] >= 1 && !__builtin_mul_overflow(numel, x.dims[i], &numel) && numel <= (int64_t{1} << 48);
    if (i < x.rank - 1) fits = fits && positions.dims[i] == x.dims[i];
    if (i < x.rank - 3) fits = fits && channels.dims[i] == x.dims[i];
  }
  if (fits && channels.dims[x.rank - 3] == x.dims[x.rank - 1]) return {};
  return fail(Code::invalid_program, "power_sums: expected f32 [...,H,W,C] with outputs [...,H,W] and [...,C]");
}

// U vectors of channels of a pixel: into the pixel's sums and the channels'.
template <int P, int U, typename L>
ALUDEL_INLINE void add_vectors(const float* x, float* acc, vf* sum, const L& lanes) {
#pragma GCC unroll 4
  for (int u = 0; u < U; ++u) {
    const vf v = power<P>(load(x + u * VW, lanes));
    sum[u] += v;
    store(acc + u * VW, load(acc + u * VW, lanes) + v, lanes);
  }
}

// Sums of one pixel over its channels [begin, end), lane by lane. Pixel after pixel: memory gives its best to a reader in one straight
// line.
template <int P>
ALUDEL_INLINE vf add_pixel(const float* x, int64_t begin, int64_t end, float* acc, const SomeLanes& rest) {
  const int64_t whole = begin + (end - begin) / VW * VW;
  vf sum[4] = {};
  int64_t c = begin;
  for (; c + 4 * VW <= whole; c += 4 * VW) add_vectors<P, 4>(x + c, acc + c, sum, AllLanes{});
  for (; c < whole; c += VW) add_vectors<P, 1>(x + c, acc + c, sum, AllLanes{});
  if (c < end) add_vectors<P, 1>(x + c, acc + c, sum, rest);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// Channels [begin, end) of `count` pixels, at most kPowerRun vectors of channels and kPowerRun pixels: adds to `positions` and to `acc`.
template <int P>
ALUDEL_INLINE void add_pixels(const float* x, int64_t count, int64_t C, int64_t begin, int64_t end, double* positions, float* acc) {
  const SomeLanes rest = first_lanes((int)((end - begin) % VW ? (end - begin) % VW : 1));
  int64_t i = 0;
  for (; i + VW <= count; i += VW) {
    vf sums[VW];
    for (int n = 0; n < VW; ++n) sums[n] = add_pixel<P>(x + (i + n) * C, begin, end, acc, rest);
    add_to(positions + i, lane_totals(sums));
  }
  for (; i < count; ++i) positions[i] += (double)lane_total(add_pixel<P>(x + i * C, begin, end, acc, rest));
}

int64_t scratch_bytes(const KernelArgs& args) {
  const int64_t channels = args.in[0].dim(-1);
  return round_up(channels * 4, 64) + channels * 8;
}

template <int P>
void run_image(const float* x, float* positions, float* channels, int64_t pixels, int64_t C, void* scratch) {
  float* acc = (float*)scratch;
  double* total = (double*)((char*)scratch + round_up(C * 4, 64));
  for (int64_t c = 0; c < C; ++c) total[c] = 0;
  for (int64_t begin = 0; begin < pixels; begin += kPowerRun) {
    const int64_t count = smaller(kPowerRun, pixels - begin);
    double at_position[kPowerRun] = {};
    for (int64_t c = 0; c < C; ++c) acc[c] = 0;
    for (int64_t c = 0; c < C; c += kPowerRun * VW)
      add_pixels<P>(x + begin * C, count, C, c, smaller(C, c + kPowerRun * VW), at_position, acc);
    for (int64_t i = 0; i < count; ++i) positions[begin + i] = (float)at_position[i];
    for (int64_t c = 0; c < C; ++c) total[c] += (double)acc[c];
  }
  for (int64_t c = 0; c < C; ++c) channels[c] = (float)total[c];
}

Status run_power_sums(const KernelArgs& args, Exec& exec) {
  const TensorRef& x = args.in[0];
  const int64_t pixels = x.dim(-3) * x.dim(-2), C = x.dim(-1);
  const float* from = x.as<const float>();
  float *positions = args.out[0].as<float>(), *channels = args.out[1].as<float>();
  parallel_for(exec, images_of(x), [&](int64_t n, void* scratch) {
    const float* image = from + n * pixels * C;
    float *at_position = positions + n * pixels, *at_channel = channels + n * C;
    switch ((int)args.attrs[0]) {
      case 1:
        return run_image<1>(image, at_position, at_channel, pixels, C, scratch);
      case 2:
        return run_image<2>(image, at_position, at_channel, pixels, C, scratch);
      case 3:
        return run_image<3>(image, at_position, at_channel, pixels, C, scratch);
      default:
        return run_image<4>(image, at_position, at_channel, pixels, C, scratch);
    }
  });
  return {};
}

}  // namespace

extern const Kernel kernel_power_sums;
const Kernel kernel_power_sums = {check_power_sums, scratch_bytes, run_power_sums};

}  // namespace aludel::cpu::ALUDEL_ISA
