// Sums of x^p over channels and over positions of [...,H,W,C] maps, p = 1..4, each map read once: a block sums a tile of channels of an
// image, or of a part of its positions. Float32 for eight positions and over the channels of a tile, float64 beyond.
#include "native/cuda/kernels/power_positions.cuh"

namespace aludel::cuda {
namespace {

constexpr int kUnroll = 8;

struct PowerSums {
  int64_t images, pixels;
  int C, power, lanes, tiles, parts;
  const float* x;
  float *positions, *channels;  // positions: [tiles, images, pixels]
  double* partials;             // [parts, images, C], or null
};

template <int VW>
__global__ void __launch_bounds__(kThreads, 2) power_sums(Guard guard, PowerSums a) {
  if (guard.stopped()) return;
  ALUDEL_DYNAMIC_SHARED(double, shared);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % a.lanes, row = thread / a.lanes, rows = kThreads / a.lanes;
  const int tile_channels = a.lanes * VW;
  const int64_t units = a.images * a.parts * a.tiles;
  for (int64_t unit = blockIdx.x; unit < units; unit += gridDim.x) {
    const int64_t rest = unit / a.tiles, image = rest / a.parts;
    const int tile = static_cast<int>(unit - rest * a.tiles), part = static_cast<int>(rest - image * a.parts);
    const int first = tile * tile_channels, channel = first + lane * VW;
    const bool used = channel < a.C;
    const int64_t end = a.pixels * (part + 1) / a.parts;
    const float* from = a.x + image * a.pixels * a.C + channel;
    float* positions = a.positions + (tile * a.images + image) * a.pixels;
    double sums[1][VW] = {}, totals[1];
    // Every thread of a warp goes through the loop as often as the first: they shuffle.
    for (int64_t begin = a.pixels * part / a.parts; begin < end; begin += int64_t{kUnroll} * rows) {
      Vec<VW> v[kUnroll];
      float chunk[VW] = {};
#pragma unroll
      for (int k = 0; k < kUnroll; ++k) {
        const int64_t pixel = begin + row + k * rows;
        v[k] = used && pixel < end ? load<VW>(from + pixel * a.C) : zeros<VW>();
      }
#pragma unroll
      for (int k = 0; k < kUnroll; ++k) {
        const int64_t pixel = begin + row + k * rows;
        float at_position = 0;
#pragma unroll
        for (int i = 0; i < VW; ++i) {
          const float p = whole_power(v[k].v[i], a.power);
          chunk[i] += p, at_position += p;
        }
        for (int offset = a.lanes / 2; offset > 0; offset /= 2) at_position += __shfl_xor_sync(kAllLanes, at_position, offset);
        if (lane == 0 && pixel < end) positions[pixel] = at_position;
      }
#pragma unroll
      for (int i = 0; i < VW; ++i) sums[0][i] += static_cast<double>(chunk[i]);
    }
    sum_rows(sums, a.lanes, shared, totals);
    if (thread < tile_channels && first + thread < a.C) {
      const int64_t at = image * a.C + first + thread;
      if (a.partials != nullptr)
        a.partials[part * a.images * a.C + at] = totals[0];
      else
        a.channels[at] = static_cast<float>(totals[0]);
    }
    __syncthreads();
  }
}

__global__ void __launch_bounds__(kThreads) join_channels(Guard guard, const double* partials, int parts, float* channels, int64_t n) {
  if (guard.stopped()) return;
  const int64_t stride = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += stride) {
    double sum = 0;
    for (int part = 0; part < parts; ++part) sum += partials[part * n + i];
    channels[i] = static_cast<float>(sum);
  }
}

PowerSums layout_of(const KernelArgs& args, int vw) {
  constexpr int64_t kBlocks = 1024, kMostParts = 64;
  const TensorRef& x = args.in[0];
  PowerSums a{};
  a.pixels = x.dim(-3) * x.dim(-2), a.C = static_cast<int>(x.dim(-1)), a.images = x.numel() / (a.pixels * a.C);
  a.power = static_cast<int>(args.attrs[0]);
  a.lanes = power_of_two_above(ceil_div(a.C, vw), 32);
  a.tiles = static_cast<int>(ceil_div(a.C, a.lanes * vw));
  const int64_t worth = a.pixels / (int64_t{kUnroll} * (kThreads / a.lanes)), wanted = kBlocks / (a.images * a.tiles);
  const int64_t parts = worth < wanted ? worth : wanted;
  a.parts = static_cast<int>(parts < 1 ? 1 : parts < kMostParts ? parts : kMostParts);
  return a;
}
int64_t position_bytes(const PowerSums& a) {
  return a.tiles > 1 ? round_up(a.tiles * a.images * a.pixels * static_cast<int64_t>(sizeof(float)), 256) : 0;
}

// The larger of what vectors and single channels need: which of them it is depends on addresses too.
int64_t workspace_bytes(const KernelArgs& args, const DeviceInfo&) {
  int64_t most = 0;
  for (const int vw : {1, 4}) {
    const PowerSums a = layout_of(args, vw);
    const int64_t bytes = position_bytes(a) + (a.parts > 1 ? a.parts * a.images * a.C * static_cast<int64_t>(sizeof(double)) : 0);
    most = bytes > most ? bytes : most;
  }
  return most;
}

Status launch_power_sums(const KernelArgs& args, const Context& context) {
  const bool vectors = takes_vectors(args.in[0].dim(-1), 4, {args.in[0].data});
  PowerSums a = layout_of(args, vectors ? 4 : 1);
  char* workspace = static_cast<char*>(context.workspace);
  float *positions = args.out[0].as<float>(), *channels = args.out[1].as<float>();
  a.x = args.in[0].as<const float>();
  a.positions = a.tiles > 1 ? reinterpret_cast<float*>(workspace) : positions;
  a.channels = channels;
  a.partials = a.parts > 1 ? reinterpret_cast<double*>(workspace + position_bytes(a)) : nullptr;
  const unsigned grid = grid_for(a.images * a.parts * a.tiles, 1, *context.device);
  const size_t shared = static_cast<size_t>(kWarps * a.lanes * (vectors ? 4 : 1)) * sizeof(double);
  ALUDEL_RETURN_IF_ERROR(vectors ? launched(context, power_sums<4>, grid, kThreads, shared, a)
                                 : launched(context, power_sums<1>, grid, kThreads, shared, a));
  if (a.tiles > 1) {
    const int64_t n = a.images * a.pixels;
    ALUDEL_RETURN_IF_ERROR(
        launched(context, join_tiles, grid_for(n, kThreads, *context.device), kThreads, 0, a.positions, a.tiles, positions, n));
  }
  if (a.parts == 1) return {};
  const int64_t n = a.images * a.C;
  return launched(context, join_channels, grid_for(n, kThreads, *context.device), kThreads, 0, a.partials, a.parts, channels, n);
}

Status check_power_sums(const KernelArgs& args) {
  if (args.in[0].dim(-1) < (int64_t{1} << 31)) return {};
  return fail(Code::invalid_program, "power_sums: expected at most 2^31 - 1 channels, got %lld",
              static_cast<long long>(args.in[0].dim(-1)));
}

}  // namespace

extern const Kernel kernel_power_sums;
const Kernel kernel_power_sums = {workspace_bytes, launch_power_sums, check_power_sums};

}  // namespace aludel::cuda
