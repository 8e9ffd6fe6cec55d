// norm_act_pool: xh = (x - mean) rstd, y = pool(relu(gamma xh + beta)); with a sixth attribute the sums of that power of the ReLU map too.
// Statistics in one pass over x: a thread takes eight pixels' mean and centred squares at a time in float32, about the first of them, and
// merges them in float64 by Chan's formula; threads, and parts of a segment, are joined by their means first and the squares about the
// common mean after it.
#include "native/cuda/kernels/norm.cuh"
#include "native/cuda/kernels/power_positions.cuh"

namespace aludel::cuda {
namespace {

struct Forward {
  NormShape s;
  NormTiling t;
  int parts;
  const float *x, *gamma, *beta;
  float *y, *mean, *rstd;
  float *positions, *channels;  // sums of powers
  float* tile_positions;        // [tiles, G*N, H, W]: what every tile adds to positions; positions itself when there is one tile
  double2* moments;             // [segments, parts, C]: mean and centred sum of squares
  double* counts;               // [segments, parts]: elements per channel
  bool given;                   // mean and rstd are there already
};

template <int P>
constexpr int kChunkCells = P == 1 ? 8 : 2;

// Mean and centred squares of the elements of each channel so far.
template <int VW>
struct Moments {
  double count = 0, mean[VW] = {}, m2[VW] = {};

  // A chunk of K pixels, of which `there` says which exist; the first does if any does.
  template <int K>
  __device__ __forceinline__ void add(const Vec<VW> (&x)[K], const bool (&there)[K]) {
    int pixels = 0;
#pragma unroll
    for (int k = 0; k < K; ++k) pixels += there[k];
    if (pixels == 0) return;
    const double added = pixels, total = count + added, share = added / total;
    const float inverse = 1.0f / static_cast<float>(pixels);
#pragma unroll
    for (int i = 0; i < VW; ++i) {
      const float centre = x[0].v[i];
      float sum = 0;
#pragma unroll
      for (int k = 0; k < K; ++k) sum += there[k] ? x[k].v[i] - centre : 0.0f;
      const float off = sum * inverse;
      float squares = 0;
#pragma unroll
      for (int k = 0; k < K; ++k) {
        const float d = there[k] ? (x[k].v[i] - centre) - off : 0.0f;
        squares += d * d;
      }
      const double delta = static_cast<double>(centre) + static_cast<double>(sum) / added - mean[i];
      mean[i] += delta * share;
      m2[i] += static_cast<double>(squares) + delta * delta * (count * share);
    }
    count = total;
  }
};

template <int P, int VW, int U>
__device__ __forceinline__ void load_chunk(const Forward& a, const float* x, Cells& cells, bool used, int channel, const float* weights,
                                           Vec<VW> (&v)[U * P * P], bool (&there)[U * P * P]) {
#pragma unroll
  for (int u = 0; u < U; ++u) {
    const Cell<P> cell(a.s, cells, used, channel, weights);
#pragma unroll
    for (int k = 0; k < P * P; ++k) {
      there[u * P * P + k] = cell.has(k);
      v[u * P * P + k] = cell.has(k) ? load<VW>(x + cell.pixel_at(a.s, k)) : zeros<VW>();
    }
    cells.step(a.s, a.t);
  }
}

// Moments of a range of cells; keeps what it reads where `kept` is not null.
template <int P, int VW>
__device__ __forceinline__ void moments_of(const Forward& a, const float* x, Cells cells, bool used, int channel, const float* weights,
                                           float* kept, Moments<VW>& moments) {
  constexpr int U = kChunkCells<P>, K = U * P * P;
  float* slot = kept;
#pragma unroll 1
  while (cells.left > 0) {
    Vec<VW> v[K];
    bool there[K];
    load_chunk<P, VW, U>(a, x, cells, used, channel, weights, v, there);
    if (kept != nullptr) {
#pragma unroll
      for (int k = 0; k < K; ++k, slot += kThreads * VW)
        if (there[k]) store(slot, v[k]);
    }
    moments.add(v, there);
  }
}

// Joins the moments of the rows of a block: thread c < tile gets mean and centred squares of channel c, and `count`.
template <int VW>
__device__ __forceinline__ double2 join_rows(const Moments<VW>& moments, int lanes, double* shared, double* means, double& count) {
  const int thread = static_cast<int>(threadIdx.x), lane = thread % lanes;
  double sums[2][VW], totals[2];
#pragma unroll
  for (int i = 0; i < VW; ++i) sums[0][i] = moments.count * moments.mean[i], sums[1][i] = moments.count;
  sum_rows(sums, lanes, shared, totals);
  const double mean = totals[1] > 0 ? totals[0] / totals[1] : 0;
  count = totals[1];
  if (thread < lanes * VW) means[thread] = mean;
  __syncthreads();
  double squares[1][VW], total[1];
#pragma unroll
  for (int i = 0; i < VW; ++i) {
    const double delta = moments.mean[i] - means[lane * VW + i];
    squares[0][i] = moments.count > 0 ? moments.m2[i] + moments.count * delta * delta : 0;
  }
  sum_rows(squares, lanes, shared, total);
  return make_double2(mean, total[0]);
}

template <int P, int VW>
__global__ void __launch_bounds__(kThreads, 2) norm_moments(Guard guard, Forward a) {
  if (guard.stopped()) return;
  ALUDEL_DYNAMIC_SHARED(double, shared);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % a.t.lanes, row = thread / a.t.lanes, tile_channels = a.t.lanes * VW;
  double* means = shared + kWarps * 2 * tile_channels;
  const int64_t units = a.s.segments() * a.parts * a.t.tiles, cells = a.s.segment_images() * a.s.cells;
  for (int64_t i = blockIdx.x; i < units; i += gridDim.x) {
    const NormUnit unit(i, a.parts, a.t.tiles);
    const int first = unit.tile * tile_channels, channel = first + lane * VW;
    const int64_t begin = part_begin(cells, unit.part, a.parts), end = part_begin(cells, unit.part + 1, a.parts);
    const float* weights = a.s.row_weights == nullptr ? nullptr : a.s.row_weights + unit.segment * a.s.N;
    Moments<VW> moments;
    moments_of<P, VW>(a, a.x + unit.segment * a.s.segment_images() * a.s.image_elements(), Cells(a.s, begin, end - begin, row),
                      channel < a.s.C, channel, weights, nullptr, moments);
    double count;
    const double2 joined = join_rows(moments, a.t.lanes, shared, means, count);
    const int64_t part = unit.segment * a.parts + unit.part;
    if (thread < tile_channels && first + thread < a.s.C) a.moments[part * a.s.C + first + thread] = joined;
    if (thread == 0 && unit.tile == 0) a.counts[part] = count;
    __syncthreads();
  }
}

__device__ __forceinline__ void put_statistics(const Forward& a, int64_t at, double mean, double variance) {
  a.mean[at] = static_cast<float>(mean);
  a.rstd[at] = static_cast<float>(1 / sqrt(variance + a.s.eps));
}

// The sets of a tile's channels, by one warp each, from the mean and the centred squares of each channel of an image.
__device__ __forceinline__ void put_sets(const Forward& a, int64_t at, int channels, double2 joined, double2* shared) {
  const double count = static_cast<double>(a.s.H) * a.s.W;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, width = a.s.set_channels;
  __syncthreads();  // what is there has been read
  if (thread < channels) shared[thread] = joined;
  __syncthreads();
  for (int set = thread / 32; set < channels / width; set += kWarps) {
    const double2* moments = shared + set * width;
    double mean = 0, squares = 0;
    for (int c = lane; c < width; c += 32) mean += moments[c].x;
    mean = sum_warp(mean) / width;
    for (int c = lane; c < width; c += 32) squares += moments[c].y + count * (moments[c].x - mean) * (moments[c].x - mean);
    squares = sum_warp(squares);
    if (lane == 0) put_statistics(a, at + set, mean, squares / (count * width));
  }
}

// One warp per set of a segment: its channels in all parts are joined as if they were one.
__global__ void __launch_bounds__(kThreads) norm_statistics(Guard guard, Forward a) {
  if (guard.stopped()) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t sets = a.s.segments() * a.s.sets, stride = int64_t{gridDim.x} * kWarps, entries = int64_t{a.parts} * a.s.set_channels;
  for (int64_t i = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32; i < sets; i += stride) {
    const int64_t segment = i / a.s.sets;
    const double2* moments = a.moments + segment * a.parts * a.s.C + (i - segment * a.s.sets) * a.s.set_channels;
    const double* counts = a.counts + segment * a.parts;
    double count = 0, sum = 0, squares = 0;
    for (int64_t e = lane; e < entries; e += 32) {
      const int64_t part = e / a.s.set_channels, c = e - part * a.s.set_channels;
      count += counts[part], sum += counts[part] * moments[part * a.s.C + c].x;
    }
    count = sum_warp(count), sum = sum_warp(sum);
    const double inverse = count > 0 ? 1 / count : 0, mean = sum * inverse;
    for (int64_t e = lane; e < entries; e += 32) {
      const int64_t part = e / a.s.set_channels, c = e - part * a.s.set_channels;
      const double2 m = moments[part * a.s.C + c];
      squares += counts[part] > 0 ? m.y + counts[part] * (m.x - mean) * (m.x - mean) : 0;
    }
    squares = sum_warp(squares);
    if (lane == 0) put_statistics(a, i, mean, squares * inverse);
  }
}

// z = (x - centre) scale + shift of a thread's channels.
template <int VW>
struct Affine {
  float centre[VW], scale[VW], shift[VW];
  __device__ __forceinline__ float of(float x, int i, bool relu) const {
    const float z = fmaf(x - centre[i], scale[i], shift[i]);  // as in the gradient kernels: the sign of z must agree
    return relu && z < 0 ? 0.0f : z;                          // lets NaN through
  }
};

// y of an image, and with SUMS what its pixels add to the sums of powers.
template <int P, int VW, bool SUMS>
__device__ __forceinline__ void write_cells(const Forward& a, const float* x, float* y, float* positions, Cells cells, bool used,
                                            int channel, const float* kept, const Affine<VW>& affine, double (&sums)[1][VW]) {
  constexpr int U = kChunkCells<P>, PP = P * P;
  const float* slot = kept;
  const bool relu = a.s.relu != 0;
  // Every thread of a warp goes through the loop as often as the first: they shuffle.
#pragma unroll 1
  for (int64_t left = cells.left + static_cast<int>(threadIdx.x) / a.t.lanes; left > 0; left -= int64_t{U} * a.t.rows) {
    Vec<VW> v[U * PP];
    bool there[U * PP];
    Cells walk = cells;
    if (kept == nullptr) {
      load_chunk<P, VW, U>(a, x, walk, used, channel, nullptr, v, there);
    } else {
#pragma unroll
      for (int u = 0; u < U; ++u) {
        const Cell<P> cell(a.s, walk, used, channel, nullptr);
#pragma unroll
        for (int k = 0; k < PP; ++k, slot += kThreads * VW) {
          there[u * PP + k] = cell.has(k);
          v[u * PP + k] = there[u * PP + k] ? load<VW>(slot) : zeros<VW>();
        }
        walk.step(a.s, a.t);
      }
    }
    float chunk[VW] = {};
#pragma unroll
    for (int u = 0; u < U; ++u) {
      const Cell<P> cell(a.s, cells, used, channel, nullptr);
      Vec<VW> mean;
      float power[PP] = {};
#pragma unroll
      for (int i = 0; i < VW; ++i) {
        float z[PP];
#pragma unroll
        for (int k = 0; k < PP; ++k) {
          z[k] = affine.of(v[u * PP + k].v[i], i, relu);
          if constexpr (SUMS) {
            const float p = there[u * PP + k] ? whole_power(z[k], a.s.power) : 0.0f;
            chunk[i] += p, power[k] += p;
          }
        }
        mean.v[i] = P == 1 ? z[0] : ((z[0] + z[1]) + (z[P] + z[PP - 1])) * 0.25f;
      }
      if (cell.full) store(y + cell.out, mean);
      if constexpr (SUMS) {
#pragma unroll
        for (int k = 0; k < PP; ++k) {
          for (int offset = a.t.lanes / 2; offset > 0; offset /= 2) power[k] += __shfl_xor_sync(kAllLanes, power[k], offset);
          if (there[u * PP + k] && threadIdx.x % a.t.lanes == 0)
            positions[cell.pixel + (k / P) * static_cast<int64_t>(a.s.W) + k % P] = power[k];
        }
      }
      cells.step(a.s, a.t);
    }
    if constexpr (SUMS)
#pragma unroll
      for (int i = 0; i < VW; ++i) sums[0][i] += static_cast<double>(chunk[i]);
  }
}

// One image and tile: its statistics, unless they are given, and everything that is written.
template <int P, int VW, bool SUMS>
__global__ void __launch_bounds__(kThreads, 2) norm_image(Guard guard, Forward a) {
  if (guard.stopped()) return;
  ALUDEL_DYNAMIC_SHARED(float, dynamic);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % a.t.lanes, row = thread / a.t.lanes, tile_channels = a.t.lanes * VW;
  float* kept = a.t.kept > 0 ? dynamic + thread * VW : nullptr;
  double* shared = reinterpret_cast<double*>(dynamic + static_cast<int64_t>(a.t.kept) * kThreads * VW);
  double* means = shared + kWarps * 2 * tile_channels;
  const int64_t images = a.s.G * a.s.N, units = images * a.t.tiles;
  for (int64_t i = blockIdx.x; i < units; i += gridDim.x) {
    const NormUnit unit(i, 1, a.t.tiles);
    const int64_t image = unit.segment, g = image / a.s.N;
    const int first = unit.tile * tile_channels, channel = first + lane * VW;
    const bool used = channel < a.s.C, takes_part = a.s.row_weights == nullptr || a.s.row_weights[image] != 0.0f;
    const float* x = a.x + image * a.s.image_elements();
    const Cells cells(a.s, 0, a.s.cells, row);
    const int64_t statistics = (a.s.kind == kBatchNorm ? g : image) * a.s.sets;
    if (!a.given) {
      Moments<VW> moments;
      moments_of<P, VW>(a, x, cells, used, channel, nullptr, kept, moments);
      double count;
      const double2 joined = join_rows(moments, a.t.lanes, shared, means, count);
      const int left = a.s.C - first, channels = left < tile_channels ? left : tile_channels;
      if (a.s.set_channels > 1)
        put_sets(a, statistics + first / a.s.set_channels, channels, joined, reinterpret_cast<double2*>(shared));
      else if (thread < channels)
        put_statistics(a, statistics + first + thread, joined.x, joined.y / count);
      __syncthreads();
    }
    Affine<VW> affine{};
    if (used && takes_part) {
#pragma unroll
      for (int v = 0; v < VW; ++v) {
        const int c = channel + v;
        const int64_t at = statistics + (a.s.set_channels == 1 ? c : c / a.s.set_channels);
        affine.centre[v] = a.mean[at];
        affine.scale[v] = a.gamma[g * a.s.C + c] * a.rstd[at];
        affine.shift[v] = a.beta[g * a.s.C + c];
      }
    }
    double sums[1][VW] = {}, totals[1];
    float* positions = SUMS ? a.tile_positions + (unit.tile * images + image) * a.s.H * a.s.W : nullptr;
    if (takes_part)
      write_cells<P, VW, SUMS>(a, x, a.y + image * a.s.out_elements(), positions, cells, used, channel, kept, affine, sums);
    else
      leave_out<P, VW>(a.s, a.t, a.y + image * a.s.out_elements(), nullptr, cells, used, channel);
    if constexpr (SUMS) {
      if (!takes_part)
        for (int64_t p = thread; p < static_cast<int64_t>(a.s.H) * a.s.W; p += kThreads) positions[p] = 0;
      sum_rows(sums, a.t.lanes, shared, totals);
      if (thread < tile_channels && first + thread < a.s.C) a.channels[image * a.s.C + first + thread] = static_cast<float>(totals[0]);
    }
    __syncthreads();
  }
}

struct Layout {
  NormTiling image, segment;
  bool given;
  int parts;
  int64_t tile_positions, moments, counts;  // bytes, each a multiple of 256
};

Layout layout_of(const NormShape& s, int vw, const DeviceInfo& device) {
  Layout l{};
  l.parts = 1;
  if (s.kind != kBatchNorm) l.image = image_tiling(s, vw, s.pool * s.pool, device);
  l.given = s.kind == kBatchNorm || (s.kind == kGroupNorm && l.image.kept == 0);
  if (l.given) {
    l.image = l.segment = segment_tiling(s, vw);
    l.parts = segment_parts(s, l.segment);
    l.moments = round_up(s.segments() * l.parts * s.C * static_cast<int64_t>(sizeof(double2)), 256);
    l.counts = round_up(s.segments() * l.parts * static_cast<int64_t>(sizeof(double)), 256);
  }
  if (s.power > 0 && l.image.tiles > 1)
    l.tile_positions = round_up(l.image.tiles * s.G * s.N * s.H * s.W * static_cast<int64_t>(sizeof(float)), 256);
  return l;
}

// The larger of what vectors and single channels need: which of them it is depends on addresses too.
int64_t workspace_bytes(const KernelArgs& args, const DeviceInfo& device) {
  const NormShape s = norm_shape(args, 3);
  int64_t most = 0;
  for (const int vw : {1, 4}) {
    const Layout l = layout_of(s, vw, device);
    const int64_t bytes = l.tile_positions + l.moments + l.counts;
    most = bytes > most ? bytes : most;
  }
  return most;
}

template <int P, int VW>
Status launch_of(Forward a, const Layout& l, const Context& context) {
  const size_t sums = (kWarps * 2 + 1) * l.image.lanes * VW * sizeof(double);
  if (a.given) {
    a.t = l.segment;
    ALUDEL_RETURN_IF_ERROR(launched(context, norm_moments<P, VW>, unit_grid(a.s.segments() * a.parts * a.t.tiles), kThreads, sums, a));
    const int64_t sets = a.s.segments() * a.s.sets;
    ALUDEL_RETURN_IF_ERROR(launched(context, norm_statistics, grid_for(sets, kWarps, *context.device), kThreads, 0, a));
  }
  a.t = l.image;
  const dim3 grid = unit_grid(a.s.G * a.s.N * a.t.tiles);
  const size_t shared = static_cast<size_t>(a.t.kept) * kThreads * VW * sizeof(float) + sums;
  if (a.s.power == 0) return launched(context, norm_image<P, VW, false>, grid, kThreads, shared, a);
  ALUDEL_RETURN_IF_ERROR(launched(context, norm_image<P, VW, true>, grid, kThreads, shared, a));
  if (a.t.tiles == 1) return {};
  const int64_t n = a.s.G * a.s.N * a.s.H * a.s.W;
  return launched(context, join_tiles, grid_for(n, kThreads, *context.device), kThreads, 0, a.tile_positions, a.t.tiles, a.positions, n);
}

Status launch_forward(const KernelArgs& args, const Context& context) {
  Forward a{};
  a.s = norm_shape(args, 3);
  const int vw = takes_vectors(a.s.C, 4, {args.in[0].data, args.out[0].data}) ? 4 : 1;
  const Layout l = layout_of(a.s, vw, *context.device);
  a.parts = l.parts, a.given = l.given;
  a.x = args.in[0].as<const float>(), a.gamma = args.in[1].as<const float>(), a.beta = args.in[2].as<const float>();
  a.y = args.out[0].as<float>(), a.mean = args.out[1].as<float>(), a.rstd = args.out[2].as<float>();
  char* workspace = static_cast<char*>(context.workspace);
  if (a.s.power > 0) {
    a.positions = args.out[3].as<float>(), a.channels = args.out[4].as<float>();
    a.tile_positions = l.image.tiles > 1 ? reinterpret_cast<float*>(workspace) : a.positions;
  }
  a.moments = reinterpret_cast<double2*>(workspace + l.tile_positions);
  a.counts = reinterpret_cast<double*>(workspace + l.tile_positions + l.moments);
  if (a.s.pool == 2) return vw == 4 ? launch_of<2, 4>(a, l, context) : launch_of<2, 1>(a, l, context);
  return vw == 4 ? launch_of<1, 4>(a, l, context) : launch_of<1, 1>(a, l, context);
}

}  // namespace

extern const Kernel kernel_norm_act_pool;
const Kernel kernel_norm_act_pool = {workspace_bytes, launch_forward, check_norm};

}  // namespace aludel::cuda
