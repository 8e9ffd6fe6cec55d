// The pooled ReLU map of an image together with the sums of its powers over channels and over positions, without the map in memory.
// Channels: up to 64 positions in float32, then float64. Positions: up to 64 vectors of channels in float32, then float64.
#pragma once
#include "native/cpu/kernels/norm_phases.h"
#include "native/cpu/kernels/powers.h"

namespace aludel::cpu::ALUDEL_ISA {

// A task's own memory.
struct SumRows {
  double* channels;   // s.lanes
  double* positions;  // of a band
  float* lanes;       // of a band: VW per position

  ALUDEL_INLINE static int64_t band_pixels(const NormShape& s) {
    const int64_t window_rows = smaller(band_rows(s.pool, s.OW), s.OH > 0 ? s.OH : 1);
    return round_up(window_rows * s.pool * s.W, VW);
  }
  ALUDEL_INLINE static int64_t bytes(const NormShape& s) {
    if (s.power == 0) return 0;
    return round_up((s.lanes + band_pixels(s)) * (int64_t)sizeof(double), 64) + band_pixels(s) * VW * (int64_t)sizeof(float);
  }
  ALUDEL_INLINE SumRows(void* memory, const NormShape& s) : channels(static_cast<double*>(memory)), positions(channels + s.lanes) {
    lanes = reinterpret_cast<float*>(static_cast<char*>(memory) + round_up((s.lanes + band_pixels(s)) * (int64_t)sizeof(double), 64));
  }
};

// z = (x - centre) scale + shift of a strip, divided by the pool's window.
template <int U>
struct Affine {
  vf centre[U], scale[U], shift[U];

  template <typename L>
  ALUDEL_INLINE vf relu(const float* x, int u, const L& lanes) const {
    return larger(vf{}, (load(x, lanes) - centre[u]) * scale[u] + shift[u]);  // lets NaN through
  }
};

// The windows of a band: y, and what their pixels add to the sums.
template <int P, int POWER, typename S>
ALUDEL_INLINE void sum_windows(const S& strip, const Affine<S::kVectors>& affine, const SumRows& rows, const float* x, float* y,
                               const NormShape& s, const Band& band) {
  constexpr int U = S::kVectors;
  constexpr int64_t kLimit = kPowerRun / (P * P);
  const int64_t W = s.W, C = s.C, OW = s.OW, at = strip.begin;
  for (int64_t ow0 = 0; ow0 < OW; ow0 += kLimit) {
    const int64_t ow1 = smaller(ow0 + kLimit, OW);
    vf acc[U] = {};
    for (int64_t oh = band.begin; oh < band.end; ++oh) {
      const float* from = x + (oh * P * W + ow0 * P) * C + at;
      float *to = y + (oh * OW + ow0) * C + at, *lanes = rows.lanes + ((oh - band.begin) * P * W + ow0 * P) * VW;
      for (int64_t ow = ow0; ow < ow1; ++ow, from += P * C, to += C, lanes += P * VW) {
        vf mean[U];
        for (int i = 0; i < P; ++i) {
          vf row[U];
          for (int j = 0; j < P; ++j) {
            float* pixel = lanes + (i * W + j) * VW;
            vf total = load(pixel);
            for (int u = 0; u < U; ++u) {
              const vf v = affine.relu(from + (i * W + j) * C + u * VW, u, strip.lanes), p = power<POWER>(v);
              row[u] = j == 0 ? v : row[u] + v;
              acc[u] += p;
              total += p;
            }
            store(pixel, total);
          }
          for (int u = 0; u < U; ++u) mean[u] = i == 0 ? row[u] : mean[u] + row[u];  // in the order of the op without sums
        }
        for (int u = 0; u < U; ++u) store(to + u * VW, mean[u], strip.lanes);
      }
    }
    for (int u = 0; u < U; ++u) add_to(rows.channels + at + u * VW, acc[u]);
  }
}

// A pixel without window.
template <int POWER, typename S>
ALUDEL_INLINE void sum_rim(const S& strip, const Affine<S::kVectors>& affine, const SumRows& rows, const float* x) {
  for (int u = 0; u < S::kVectors; ++u) {
    const vf p = power<POWER>(affine.relu(x + strip.begin + u * VW, u, strip.lanes));
    add_to(rows.channels + strip.begin + u * VW, p);
    store(rows.lanes, load(rows.lanes) + p);
  }
}

// Lanes beyond the last channel would hold the ReLU of the shift.
ALUDEL_INLINE vf only(vf v, AllLanes) { return v; }
ALUDEL_INLINE vf only(vf v, const SomeLanes& lanes) { return (vf)((vi)v & lanes.mask); }

template <typename S>
ALUDEL_INLINE Affine<S::kVectors> affine_of(const S& strip, const float* centre, const float* scale, const float* shift) {
  Affine<S::kVectors> a;
  for (int u = 0; u < S::kVectors; ++u) {
    const int64_t at = strip.begin + u * VW;
    a.centre[u] = only(load(centre + at), strip.lanes);
    a.scale[u] = only(load(scale + at), strip.lanes);
    a.shift[u] = only(load(shift + at), strip.lanes);
  }
  return a;
}

// Calls f(strip) as for_strips does, and flush() after every kPowerRun vectors and at the end.
template <typename F, typename Flush>
ALUDEL_INLINE void for_runs(int64_t C, const F& f, const Flush& flush) {
  for (int64_t c = 0; c < C; c += kPowerRun * VW) {
    for_strips(c, smaller(C, c + kPowerRun * VW), f);
    flush();
  }
}

// Adds the lanes of `count` positions to their sums and clears them.
ALUDEL_INLINE void take_lanes(const SumRows& rows, int64_t count) {
  for (int64_t i = 0; i < count; i += VW) {
    vf block[VW];
    for (int n = 0; n < VW; ++n) block[n] = load(rows.lanes + (i + n) * VW), store(rows.lanes + (i + n) * VW, vf{});
    add_to(rows.positions + i, lane_totals(block));
  }
}

// x: an image [H,W,C]; y its pooled ReLU map, at_position [H,W] and at_channel [C] the sums of the map's powers. `affine(strip)` gives
// a strip's coefficients.
template <int P, int POWER, typename A>
ALUDEL_INLINE void write_with_sums(const float* x, float* y, float* at_position, float* at_channel, const NormShape& s, const SumRows& rows,
                                   const A& affine) {
  // z carries the pool's 1/4: a power of two, so that its powers and their sums are those of the map scaled exactly.
  double factor = 1;
  for (int i = 0; i < POWER; ++i) factor *= P * P;
  zero(rows.channels, s.lanes);
  zero(rows.positions, SumRows::band_pixels(s));
  zero(rows.lanes, SumRows::band_pixels(s) * VW);
  const auto put = [&](int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; ++i) at_position[first + i] = (float)(rows.positions[i] * factor), rows.positions[i] = 0;
  };
  for_bands<P>(s, [&](const Band& band) {
    const int64_t pixels = (band.end - band.begin) * P * s.W;
    for_runs(
        s.C, [&](const auto& strip) { sum_windows<P, POWER>(strip, affine(strip), rows, x, y, s, band); },
        [&] { take_lanes(rows, pixels); });
    put(band.begin * P * s.W, pixels);
  });
  for_rim<P>(s.H, s.W, [&](int64_t pixel) {
    for_runs(
        s.C, [&](const auto& strip) { sum_rim<POWER>(strip, affine(strip), rows, x + pixel * s.C); }, [&] { take_lanes(rows, 1); });
    put(pixel, 1);
  });
  for (int64_t c = 0; c < s.C; ++c) at_channel[c] = (float)(rows.channels[c] * factor);
}

}  // namespace aludel::cpu::ALUDEL_ISA
