// The gradient of norm_act_pool and the gradient of that: one scheme. Sums over a segment, from them the means over sets and coefficients
// of every channel, with these one pass that writes. d = x - mean = xh / rstd; gz = [z>0] pool^T(gy). The formulas are those of
// native/cpu/kernels/norm_grad.cc and norm_grad_grad.cc. A thread's sums of one chunk are float32, all others float64.
#pragma once
#include "native/cuda/kernels/norm.cuh"

namespace aludel::cuda {
namespace {

// Of a channel: what the formulas need beside the sums.
struct ChannelParameters {
  double gamma, rstd, ugamma, ubeta;
};

struct FirstOrder {
  static constexpr bool kSecond = false, kOfSums = false;
  static constexpr int kWeightsAt = 6;
  static constexpr int kVector = 4;               // channels of a thread where C allows
  static constexpr int kCells1 = 4, kCells2 = 2;  // of a chunk without pool and with it
  enum Sum { kGz, kGzD, kSums };
  enum Mean { kT, kTXh, kMeans };
  enum Total { kDgamma, kDbeta, kTotals };
  enum Coefficient { kByD, kConstant, kCoefficients };

  static __device__ __forceinline__ void means(const ChannelParameters& p, const double* sums, double inverse, double* m) {
    m[kT] = p.gamma * sums[kGz] * inverse;
    m[kTXh] = p.gamma * (p.rstd * sums[kGzD]) * inverse;
  }
  static __device__ __forceinline__ void finish(const ChannelParameters& p, const double* sums, const double* m, double* totals,
                                                float* coefficients) {
    totals[kDgamma] = p.rstd * sums[kGzD];
    totals[kDbeta] = sums[kGz];
    coefficients[kByD] = static_cast<float>(-p.rstd * p.rstd * m[kTXh]);
    coefficients[kConstant] = static_cast<float>(-p.rstd * m[kT]);
  }
};

// With the cotangents of the map's sums of powers: gz = [z>0] (pool^T(gy) + p z^(p-1) (of the position + of the channel)).
struct FirstOrderOfSums : FirstOrder {
  static constexpr bool kOfSums = true;
  static constexpr int kCells2 = 1;  // two would not fit the registers
};

struct SecondOrder {
  static constexpr bool kSecond = true, kOfSums = false;
  static constexpr int kWeightsAt = 9;
  static constexpr int kVector = 2;  // four would not fit the registers
  static constexpr int kCells1 = 4, kCells2 = 1;
  enum Sum { kGz, kGzD, kUx, kUxD, kGzUx, kSums };
  enum Mean { kA, kB, kU, kC, kD, kGated, kGatedXh, kMeans };
  enum Total { kGgamma, kTotals };
  enum Coefficient { kGate, kQ0, kXUx, kXD, kX0, kCoefficients };

  static __device__ __forceinline__ void means(const ChannelParameters& p, const double* sums, double inverse, double* m) {
    const double gz = sums[kGz] * inverse, gz_xh = sums[kGzD] * p.rstd * inverse;
    m[kA] = p.gamma * gz;
    m[kB] = p.gamma * gz_xh;
    m[kU] = sums[kUx] * inverse;
    m[kC] = sums[kUxD] * p.rstd * inverse;
    m[kD] = p.gamma * sums[kGzUx] * inverse;
    m[kGated] = p.ugamma * gz;
    m[kGatedXh] = p.ugamma * gz_xh;
  }
  static __device__ __forceinline__ void finish(const ChannelParameters& p, const double* sums, const double* m, double* totals,
                                                float* coefficients) {
    const double r = p.rstd, a = m[kA], b = m[kB], u = m[kU], c = m[kC];
    const double mean_h = m[kGated] - r * (u * b + a * c);
    const double mean_h_xh = m[kGatedXh] - 2 * r * b * c;
    const double along = m[kD] - u * a - c * b;
    totals[kGgamma] = r * (sums[kGzUx] - u * sums[kGz] - c * r * sums[kGzD]);
    coefficients[kGate] = static_cast<float>(r * (p.ugamma - p.gamma * r * c));
    coefficients[kQ0] = static_cast<float>(p.ubeta - p.gamma * r * u);
    coefficients[kXUx] = static_cast<float>(-r * r * b);
    coefficients[kXD] = static_cast<float>(-r * r * (mean_h_xh + r * along));
    coefficients[kX0] = static_cast<float>(-r * mean_h);
  }
};

struct NormGrad {
  NormShape s;
  NormTiling t;
  int parts;
  const float *x, *gamma, *beta, *mean, *rstd, *gy, *ux, *ugamma, *ubeta;
  const float *positions, *channels;  // cotangents of sums: [G,N,H,W] and [G,N,C]
  float *gx, *ggy;                    // gx: dx of the first order
  float* total_out[2];                // [G,C] each: sums over images
  double* sums;                       // [segments, parts, C, kSums]
  double* counts;                     // [segments, parts]: elements per channel
  double* totals;                     // [segments, C, kTotals]
  float* coefficients;                // [segments, C, kCoefficients]
  bool given;                         // the coefficients are there already
};

// What a thread knows of its channels while it walks.
template <int VW>
struct GradChannels {
  float mean[VW], scale[VW], shift[VW];

  // rounded as in norm_forward.cu
  __device__ __forceinline__ float z(float d, int i) const { return fmaf(d, scale[i], shift[i]); }
  __device__ __forceinline__ bool opens(float d, int i, bool relu) const { return !relu || z(d, i) > 0; }
};

template <int VW>
__device__ __forceinline__ GradChannels<VW> grad_channels(const NormGrad& a, int64_t segment, int64_t g, bool used, int channel) {
  GradChannels<VW> r;
#pragma unroll
  for (int i = 0; i < VW; ++i) {
    const int c = used ? channel + i : 0;
    const int64_t at = segment * a.s.sets + (a.s.set_channels == 1 ? c : c / a.s.set_channels);
    r.mean[i] = a.mean[at];
    r.scale[i] = a.gamma[g * a.s.C + c] * a.rstd[at];
    r.shift[i] = a.beta[g * a.s.C + c];
  }
  return r;
}

// What sums of powers hand back to the pixels of a cell, p z^(p-1) (of the position + of the channel), where K has such sums.
template <typename K, int P, int VW>
struct OfSums {
  const NormGrad& a;
  const float* positions;  // from the cell's first pixel on
  Vec<VW> of_channel;

  __device__ __forceinline__ OfSums(const NormGrad& grad, const Cell<P>& cell, int64_t image, int channel) : a(grad) {
    if constexpr (K::kOfSums) {
      positions = a.positions + image * a.s.H * a.s.W + cell.pixel;
      of_channel = cell.there ? load<VW>(a.channels + image * a.s.C + channel) : zeros<VW>();
    }
  }
  // Of pixel k, which is there.
  __device__ __forceinline__ float position(int k) const {
    if constexpr (K::kOfSums) return positions[(k / P) * static_cast<int64_t>(a.s.W) + k % P];
    return 0.0f;
  }
  __device__ __forceinline__ float of(float z, float of_position, int i) const {
    const float square = z * z, slope = a.s.power == 1 ? 1.0f : a.s.power == 2 ? z : a.s.power == 3 ? square : square * z;
    return static_cast<float>(a.s.power) * slope * (of_position + of_channel.v[i]);
  }
};

template <typename K>
__device__ __forceinline__ ChannelParameters channel_parameters(const NormGrad& a, int64_t segment, int64_t g, int c) {
  const int64_t at = g * a.s.C + c;
  ChannelParameters p{};
  p.gamma = a.gamma[at];
  p.rstd = a.rstd[segment * a.s.sets + c / a.s.set_channels];
  if constexpr (K::kSecond) p.ugamma = a.ugamma[at], p.ubeta = a.ubeta[at];
  return p;
}

// One chunk of cells: x, gy pooled, and with the second order ux.
template <typename K, int P, int VW>
struct Chunk {
  static constexpr int U = P == 1 ? K::kCells1 : K::kCells2, PP = P * P;
  static constexpr int kPerCell = (K::kSecond ? 2 : 1) * PP + 1;  // vectors
  Vec<VW> x[U * PP], u[K::kSecond ? U * PP : 1], g[U];

  // From memory, or from `slot` on where it is not null; `keep` puts it there.
  template <bool KEEP>
  __device__ __forceinline__ void load_cells(const NormGrad& a, const float* from, const float* gy, const float* ux, Cells cells, bool used,
                                             int channel, const float* weights, float*& slot) {
    constexpr int64_t kStep = int64_t{kThreads} * VW;
    const bool from_slots = !KEEP && slot != nullptr;
#pragma unroll
    for (int n = 0; n < U; ++n) {
      const Cell<P> cell(a.s, cells, used, channel, weights);
      if (from_slots) {
        g[n] = cell.full ? load<VW>(slot) : zeros<VW>();
      } else {
        g[n] = cell.full ? load<VW>(gy + cell.out) : zeros<VW>();
      }
#pragma unroll
      for (int k = 0; k < PP; ++k) {
        const bool there = cell.has(k);
        const int64_t at = cell.pixel_at(a.s, k);
        if (from_slots) {
          x[n * PP + k] = there ? load<VW>(slot + (1 + k) * kStep) : zeros<VW>();
          if constexpr (K::kSecond) u[n * PP + k] = there ? load<VW>(slot + (1 + PP + k) * kStep) : zeros<VW>();
        } else {
          x[n * PP + k] = there ? load<VW>(from + at) : zeros<VW>();
          if constexpr (K::kSecond) u[n * PP + k] = there ? load<VW>(ux + at) : zeros<VW>();
        }
      }
      if (slot != nullptr) {
        if constexpr (KEEP) {
          if (cell.full) store(slot, g[n]);
#pragma unroll
          for (int k = 0; k < PP; ++k)
            if (cell.has(k)) {
              store(slot + (1 + k) * kStep, x[n * PP + k]);
              if constexpr (K::kSecond) store(slot + (1 + PP + k) * kStep, u[n * PP + k]);
            }
        }
        slot += kPerCell * kStep;
      }
      cells.step(a.s, a.t);
    }
  }
};

template <typename K, int P, int VW>
__device__ __forceinline__ void sum_cells(const NormGrad& a, const float* x, const float* gy, const float* ux, int64_t image, Cells cells,
                                          bool used, int channel, const float* weights, float* slot, const GradChannels<VW>& c,
                                          double (&sums)[K::kSums][VW], int64_t& pixels) {
  typedef Chunk<K, P, VW> C;
  const bool relu = a.s.relu != 0;
#pragma unroll 1
  while (cells.left > 0) {
    C chunk;
    chunk.template load_cells<true>(a, x, gy, ux, cells, used, channel, weights, slot);
    float part[K::kSums][VW] = {};
#pragma unroll
    for (int n = 0; n < C::U; ++n) {
      const Cell<P> cell(a.s, cells, used, channel, weights);
      const OfSums<K, P, VW> of_sums(a, cell, image + cells.n, channel);
#pragma unroll
      for (int k = 0; k < C::PP; ++k) {
        if (!cell.has(k)) continue;
        ++pixels;
        const float of_position = of_sums.position(k);
#pragma unroll
        for (int i = 0; i < VW; ++i) {
          const float d = chunk.x[n * C::PP + k].v[i] - c.mean[i];
          float gz = cell.full && c.opens(d, i, relu) ? chunk.g[n].v[i] * (1.0f / C::PP) : 0.0f;
          if constexpr (K::kOfSums) gz += c.opens(d, i, relu) ? of_sums.of(c.z(d, i), of_position, i) : 0.0f;
          part[K::kGz][i] += gz;
          part[K::kGzD][i] += gz * d;
          if constexpr (K::kSecond) {
            const float u = chunk.u[n * C::PP + k].v[i];
            part[K::kUx][i] += u;
            part[K::kUxD][i] += u * d;
            part[K::kGzUx][i] += gz * u;
          }
        }
      }
      cells.step(a.s, a.t);
    }
#pragma unroll
    for (int s = 0; s < K::kSums; ++s)
#pragma unroll
      for (int i = 0; i < VW; ++i) sums[s][i] += static_cast<double>(part[s][i]);
  }
}

// dx = gz scale + d by_d + constant;  second order: q = ux scale + d gate + q0, gx = ux x_ux + gz gate + d x_d + x0.
template <typename K, int P, int VW>
__device__ __forceinline__ void write_cells(const NormGrad& a, const float* x, const float* gy, const float* ux, float* gx, float* ggy,
                                            int64_t image, Cells cells, bool used, int channel, float* slot, const GradChannels<VW>& c,
                                            const float (&f)[K::kCoefficients][VW]) {
  typedef Chunk<K, P, VW> C;
  const bool relu = a.s.relu != 0;
#pragma unroll 1
  while (cells.left > 0) {
    C chunk;
    chunk.template load_cells<false>(a, x, gy, ux, cells, used, channel, nullptr, slot);
#pragma unroll
    for (int n = 0; n < C::U; ++n) {
      const Cell<P> cell(a.s, cells, used, channel, nullptr);
      const OfSums<K, P, VW> of_sums(a, cell, image, channel);
      Vec<VW> sum = zeros<VW>();
#pragma unroll
      for (int k = 0; k < C::PP; ++k) {
        if (!cell.has(k)) continue;
        const float of_position = of_sums.position(k);
        Vec<VW> out;
#pragma unroll
        for (int i = 0; i < VW; ++i) {
          const float d = chunk.x[n * C::PP + k].v[i] - c.mean[i], q = chunk.g[n].v[i] * (1.0f / C::PP);
          const bool open = cell.full && c.opens(d, i, relu);
          if constexpr (K::kSecond) {
            const float u = chunk.u[n * C::PP + k].v[i];
            const float gated = u * c.scale[i] + (d * f[K::kGate][i] + f[K::kQ0][i]);
            const float part = open ? q * f[K::kGate][i] + f[K::kX0][i] : f[K::kX0][i];
            sum.v[i] += open ? gated : 0.0f;
            out.v[i] = u * f[K::kXUx][i] + (d * f[K::kXD][i] + part);
          } else if constexpr (K::kOfSums) {
            const float gz = (cell.full ? q : 0.0f) + of_sums.of(c.z(d, i), of_position, i);
            const float part = c.opens(d, i, relu) ? gz * c.scale[i] + f[K::kConstant][i] : f[K::kConstant][i];
            out.v[i] = d * f[K::kByD][i] + part;
          } else {
            const float part = open ? q * c.scale[i] + f[K::kConstant][i] : f[K::kConstant][i];
            out.v[i] = d * f[K::kByD][i] + part;
          }
        }
        store(gx + cell.pixel_at(a.s, k), out);
      }
      if constexpr (K::kSecond) {
#pragma unroll
        for (int i = 0; i < VW; ++i) sum.v[i] *= 1.0f / C::PP;
        if (cell.full) store(ggy + cell.out, sum);
      }
      cells.step(a.s, a.t);
    }
  }
}

// One image and tile: its sums and coefficients, unless they are given, and everything that is written.
template <typename K, int P, int VW>
__global__ void __launch_bounds__(kThreads, 2) norm_grad_image(Guard guard, NormGrad a) {
  if (guard.stopped()) return;
  ALUDEL_DYNAMIC_SHARED(float, dynamic);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % a.t.lanes, row = thread / a.t.lanes, tile_channels = a.t.lanes * VW;
  float* kept = a.t.kept > 0 ? dynamic + thread * VW : nullptr;
  double* shared = reinterpret_cast<double*>(dynamic + static_cast<int64_t>(a.t.kept) * kThreads * VW);
  float* tile_coefficients = reinterpret_cast<float*>(shared + kWarps * K::kSums * tile_channels);
  const int64_t images = a.s.G * a.s.N, units = images * a.t.tiles;
  for (int64_t i = blockIdx.x; i < units; i += gridDim.x) {
    const NormUnit unit(i, 1, a.t.tiles);
    const int64_t image = unit.segment, g = image / a.s.N, segment = a.s.kind == kBatchNorm ? g : image;
    const int first = unit.tile * tile_channels, channel = first + lane * VW;
    const bool used = channel < a.s.C, takes_part = a.s.row_weights == nullptr || a.s.row_weights[image] != 0.0f;
    const int64_t at = image * a.s.image_elements(), out = image * a.s.out_elements();
    const float *x = a.x + at, *gy = a.gy + out, *ux = K::kSecond ? a.ux + at : nullptr;
    float *gx = a.gx + at, *ggy = K::kSecond ? a.ggy + out : nullptr;
    const Cells cells(a.s, 0, a.s.cells, row);
    const GradChannels<VW> c = grad_channels<VW>(a, segment, g, used, channel);
    float f[K::kCoefficients][VW];
    if (!a.given) {
      double sums[K::kSums][VW] = {}, totals[K::kSums];
      int64_t pixels = 0;
      sum_cells<K, P, VW>(a, x, gy, ux, image, cells, used, channel, nullptr, kept, c, sums, pixels);
      sum_rows(sums, a.t.lanes, shared, totals);
      if (thread < tile_channels && first + thread < a.s.C) {
        const ChannelParameters p = channel_parameters<K>(a, image, g, first + thread);
        double means[K::kMeans], sums_over_images[K::kTotals];
        float coefficients[K::kCoefficients];
        K::means(p, totals, 1 / (static_cast<double>(a.s.H) * a.s.W), means);
        K::finish(p, totals, means, sums_over_images, coefficients);
#pragma unroll
        for (int k = 0; k < K::kTotals; ++k) a.totals[(image * a.s.C + first + thread) * K::kTotals + k] = sums_over_images[k];
#pragma unroll
        for (int k = 0; k < K::kCoefficients; ++k) tile_coefficients[k * tile_channels + thread] = coefficients[k];
      }
      __syncthreads();
#pragma unroll
      for (int k = 0; k < K::kCoefficients; ++k)
#pragma unroll
        for (int v = 0; v < VW; ++v) f[k][v] = used ? tile_coefficients[k * tile_channels + lane * VW + v] : 0.0f;
    } else {
#pragma unroll
      for (int k = 0; k < K::kCoefficients; ++k)
#pragma unroll
        for (int v = 0; v < VW; ++v) f[k][v] = used ? a.coefficients[(segment * a.s.C + channel + v) * K::kCoefficients + k] : 0.0f;
    }
    if (takes_part)
      write_cells<K, P, VW>(a, x, gy, ux, gx, ggy, image, cells, used, channel, kept, c, f);
    else
      leave_out<P, VW>(a.s, a.t, ggy, gx, cells, used, channel);
    __syncthreads();
  }
}

template <typename K, int P, int VW>
__global__ void __launch_bounds__(kThreads, K::kSecond ? 1 : 2) norm_grad_sums(Guard guard, NormGrad a) {
  if (guard.stopped()) return;
  ALUDEL_DYNAMIC_SHARED(double, shared);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % a.t.lanes, row = thread / a.t.lanes, tile_channels = a.t.lanes * VW;
  const int64_t units = a.s.segments() * a.parts * a.t.tiles, images = a.s.segment_images(), cells = images * a.s.cells;
  for (int64_t i = blockIdx.x; i < units; i += gridDim.x) {
    const NormUnit unit(i, a.parts, a.t.tiles);
    const int first = unit.tile * tile_channels, channel = first + lane * VW;
    const int64_t g = a.s.kind == kBatchNorm ? unit.segment : unit.segment / a.s.N;
    const int64_t begin = part_begin(cells, unit.part, a.parts), end = part_begin(cells, unit.part + 1, a.parts);
    const int64_t at = unit.segment * images * a.s.image_elements(), out = unit.segment * images * a.s.out_elements();
    const float* weights = a.s.row_weights == nullptr ? nullptr : a.s.row_weights + unit.segment * a.s.N;
    const bool used = channel < a.s.C;
    const GradChannels<VW> c = grad_channels<VW>(a, unit.segment, g, used, channel);
    double sums[K::kSums][VW] = {}, totals[K::kSums], counts[1][1], count[1];
    int64_t pixels = 0;
    sum_cells<K, P, VW>(a, a.x + at, a.gy + out, K::kSecond ? a.ux + at : nullptr, unit.segment * images,
                        Cells(a.s, begin, end - begin, row), used, channel, weights, nullptr, c, sums, pixels);
    sum_rows(sums, a.t.lanes, shared, totals);
    __syncthreads();
    counts[0][0] = static_cast<double>(pixels);
    sum_rows(counts, a.t.lanes, shared, count);
    const int64_t part = unit.segment * a.parts + unit.part;
    if (thread < tile_channels && first + thread < a.s.C)
#pragma unroll
      for (int k = 0; k < K::kSums; ++k) a.sums[(part * a.s.C + first + thread) * K::kSums + k] = totals[k];
    if (thread == 0 && unit.tile == 0) a.counts[part] = count[0];
    __syncthreads();
  }
}

// One warp per set of a segment. Where the parts are several (batch norm) sets are single channels, and lanes take parts; where the set
// has several channels there is one part (group norm), and lanes take channels.
template <typename K>
__global__ void __launch_bounds__(kThreads) norm_grad_finish(Guard guard, NormGrad a) {
  if (guard.stopped()) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t sets = a.s.segments() * a.s.sets, stride = int64_t{gridDim.x} * kWarps;
  for (int64_t i = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32; i < sets; i += stride) {
    const int64_t segment = i / a.s.sets, g = a.s.kind == kBatchNorm ? segment : segment / a.s.N;
    const int first = static_cast<int>(i - segment * a.s.sets) * a.s.set_channels, width = a.s.set_channels;
    double count = 0;
    for (int part = lane; part < a.parts; part += 32) count += a.counts[segment * a.parts + part];
    count = sum_warp(count);
    const double inverse = 1 / (count > 0 ? count : 1);
    double* const segment_sums = a.sums + segment * a.parts * a.s.C * K::kSums;
    double sums[K::kSums], means[K::kMeans] = {};
    if (a.parts > 1 || width == 1) {
#pragma unroll
      for (int k = 0; k < K::kSums; ++k) {
        sums[k] = 0;
        for (int part = lane; part < a.parts; part += 32) sums[k] += segment_sums[(int64_t{part} * a.s.C + first) * K::kSums + k];
        sums[k] = sum_warp(sums[k]);
      }
      K::means(channel_parameters<K>(a, segment, g, first), sums, inverse, means);
    } else {
      for (int c = first + lane; c < first + width; c += 32) {
        double one[K::kMeans];
        K::means(channel_parameters<K>(a, segment, g, c), segment_sums + int64_t{c} * K::kSums, inverse, one);
#pragma unroll
        for (int k = 0; k < K::kMeans; ++k) means[k] += one[k];
      }
#pragma unroll
      for (int k = 0; k < K::kMeans; ++k) means[k] = sum_warp(means[k]) / width;
    }
    for (int c = first + lane; c < first + width; c += 32) {
      if (width > 1)
#pragma unroll
        for (int k = 0; k < K::kSums; ++k) sums[k] = segment_sums[int64_t{c} * K::kSums + k];
      double totals[K::kTotals];
      float coefficients[K::kCoefficients];
      K::finish(channel_parameters<K>(a, segment, g, c), sums, means, totals, coefficients);
      const int64_t at = segment * a.s.C + c;
#pragma unroll
      for (int k = 0; k < K::kTotals; ++k) a.totals[at * K::kTotals + k] = totals[k];
#pragma unroll
      for (int k = 0; k < K::kCoefficients; ++k) a.coefficients[at * K::kCoefficients + k] = coefficients[k];
    }
  }
}

// The totals of every segment of a g, added up: thread columns are channels, rows are segments.
constexpr int kTotalLanes = 8;

template <int TOTALS>
__global__ void __launch_bounds__(kThreads, 4) norm_grad_totals(Guard guard, NormGrad a, int64_t segments) {
  if (guard.stopped()) return;
  __shared__ double shared[kWarps * TOTALS * kTotalLanes];
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kTotalLanes, row = thread / kTotalLanes;
  const int64_t tiles = (a.s.C + kTotalLanes - 1) / kTotalLanes, units = a.s.G * tiles;
  for (int64_t i = blockIdx.x; i < units; i += gridDim.x) {
    const int64_t g = i / tiles;
    const int channel = static_cast<int>(i - g * tiles) * kTotalLanes + lane;
    double sums[TOTALS][1] = {}, totals[TOTALS];
    if (channel < a.s.C)
      for (int64_t n = row; n < segments; n += kThreads / kTotalLanes)
#pragma unroll
        for (int k = 0; k < TOTALS; ++k) sums[k][0] += a.totals[((g * segments + n) * a.s.C + channel) * TOTALS + k];
    sum_rows(sums, kTotalLanes, shared, totals);
    if (thread < kTotalLanes && channel < a.s.C)
#pragma unroll
      for (int k = 0; k < TOTALS; ++k) a.total_out[k][g * a.s.C + channel] = static_cast<float>(totals[k]);
    __syncthreads();
  }
}

struct GradLayout {
  NormTiling image, segment;
  int parts;
  int64_t totals, coefficients, sums, counts;  // bytes, each a multiple of 256
};

template <typename K>
GradLayout grad_layout(const NormShape& s, int vw, const DeviceInfo& device) {
  GradLayout l{};
  l.parts = 1;
  l.totals = round_up(s.segments() * s.C * K::kTotals * static_cast<int64_t>(sizeof(double)), 256);
  if (s.kind == 0) {
    l.image = image_tiling(s, vw, (K::kSecond ? 2 : 1) * s.pool * s.pool + 1, device);
    return l;
  }
  l.image = l.segment = segment_tiling(s, vw);
  if (s.set_channels == 1) l.parts = segment_parts(s, l.segment);
  l.coefficients = round_up(s.segments() * s.C * K::kCoefficients * static_cast<int64_t>(sizeof(float)), 256);
  l.sums = round_up(s.segments() * l.parts * s.C * K::kSums * static_cast<int64_t>(sizeof(double)), 256);
  l.counts = round_up(s.segments() * l.parts * static_cast<int64_t>(sizeof(double)), 256);
  return l;
}

// The larger of what vectors and single channels need: which of them it is depends on addresses too.
template <typename K>
int64_t grad_workspace_bytes(const KernelArgs& args, const DeviceInfo& device) {
  const NormShape s = norm_shape(args, K::kWeightsAt);
  int64_t most = 0;
  for (const int vw : {1, K::kVector}) {
    const GradLayout l = grad_layout<K>(s, vw, device);
    const int64_t bytes = l.totals + l.coefficients + l.sums + l.counts;
    most = bytes > most ? bytes : most;
  }
  return most;
}

template <typename K, int P, int VW>
Status launch_grad_of(NormGrad a, const GradLayout& l, const Context& context) {
  if (a.given) {
    a.t = l.segment;
    const size_t sums = static_cast<size_t>(kWarps * K::kSums * a.t.lanes * VW) * sizeof(double);
    ALUDEL_RETURN_IF_ERROR(launched(context, norm_grad_sums<K, P, VW>, unit_grid(a.s.segments() * a.parts * a.t.tiles), kThreads, sums, a));
    const int64_t sets = a.s.segments() * a.s.sets;
    ALUDEL_RETURN_IF_ERROR(launched(context, norm_grad_finish<K>, grid_for(sets, kWarps, *context.device), kThreads, 0, a));
  }
  a.t = l.image;
  const int tile = a.t.lanes * VW;
  const size_t shared = static_cast<size_t>(a.t.kept) * kThreads * VW * sizeof(float) +
                        static_cast<size_t>(tile) * (kWarps * K::kSums * sizeof(double) + K::kCoefficients * sizeof(float));
  ALUDEL_RETURN_IF_ERROR(launched(context, norm_grad_image<K, P, VW>, unit_grid(a.s.G * a.s.N * a.t.tiles), kThreads, shared, a));
  const int64_t segments = a.s.kind == kBatchNorm ? 1 : a.s.N;
  return launched(context, norm_grad_totals<K::kTotals>, unit_grid(a.s.G * ceil_div(a.s.C, kTotalLanes)), kThreads, 0, a, segments);
}

template <typename K>
Status launch_grad(NormGrad a, const KernelArgs& args, const Context& context) {
  a.s = norm_shape(args, K::kWeightsAt);
  a.x = args.in[0].as<const float>(), a.gamma = args.in[1].as<const float>(), a.beta = args.in[2].as<const float>();
  a.mean = args.in[3].as<const float>(), a.rstd = args.in[4].as<const float>(), a.gy = args.in[5].as<const float>();
  const int vw = takes_vectors(a.s.C, K::kVector, {a.x, a.gy, a.ux, a.gx, a.ggy, a.channels}) ? K::kVector : 1;
  const GradLayout l = grad_layout<K>(a.s, vw, *context.device);
  a.parts = l.parts;
  a.given = a.s.kind != 0;
  char* workspace = static_cast<char*>(context.workspace);
  a.totals = reinterpret_cast<double*>(workspace);
  a.coefficients = reinterpret_cast<float*>(workspace + l.totals);
  a.sums = reinterpret_cast<double*>(workspace + l.totals + l.coefficients);
  a.counts = reinterpret_cast<double*>(workspace + l.totals + l.coefficients + l.sums);
  constexpr int V = K::kVector;
  if (a.s.pool == 2) return vw == V ? launch_grad_of<K, 2, V>(a, l, context) : launch_grad_of<K, 2, 1>(a, l, context);
  return vw == V ? launch_grad_of<K, 1, V>(a, l, context) : launch_grad_of<K, 1, 1>(a, l, context);
}

}  // namespace
}  // namespace aludel::cuda
