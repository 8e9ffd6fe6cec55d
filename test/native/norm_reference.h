// norm_act_pool in float64, written from its definition: plain loops over explicit sets of elements that share statistics.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "test/native/norm_harness.h"

namespace aludel::testing {

using Doubles = std::vector<double>;

inline Doubles widen(const Tensor& t) { return Doubles(t.data.begin(), t.data.end()); }

inline double dot(const Doubles& a, const Doubles& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

struct NormProblem {
  int64_t G, N, H, W, C;
  int kind;
  int64_t groups;
  double eps;
  bool relu;
  int pool;         // 0 or 2
  Doubles weights;  // empty or [G,N]

  int window() const { return pool ? 2 : 1; }
  int64_t OH() const { return H / window(); }
  int64_t OW() const { return W / window(); }
  int64_t at(int64_t g, int64_t n, int64_t h, int64_t w, int64_t c) const { return (((g * N + n) * H + h) * W + w) * C + c; }
  bool counted(int64_t g, int64_t n) const { return weights.empty() || weights[(size_t)(g * N + n)] != 0; }
  int64_t sets() const { return kind == 2 ? G * C : kind == 1 ? G * N * groups : G * N * C; }
  int64_t set_of(int64_t g, int64_t n, int64_t c) const {
    return kind == 2 ? g * C + c : kind == 1 ? (g * N + n) * groups + c / (C / groups) : (g * N + n) * C + c;
  }
  int64_t image_size() const { return G * N * H * W * C; }
  int64_t pooled_size() const { return G * N * OH() * OW() * C; }

  // Calls f(index in x, set, channel of [G,C], index in y or -1) for every element of the counted images.
  template <typename F>
  void each(const F& f) const {
    for (int64_t g = 0; g < G; ++g)
      for (int64_t n = 0; n < N; ++n) {
        if (!counted(g, n)) continue;
        for (int64_t h = 0; h < H; ++h)
          for (int64_t w = 0; w < W; ++w)
            for (int64_t c = 0; c < C; ++c) {
              const int64_t oh = h / window(), ow = w / window();
              const int64_t out = oh < OH() && ow < OW() ? (((g * N + n) * OH() + oh) * OW() + ow) * C + c : -1;
              f((size_t)at(g, n, h, w, c), (size_t)set_of(g, n, c), (size_t)(g * C + c), out);
            }
      }
  }
};

// Everything that depends on x alone.
struct NormState {
  Doubles mean, rstd, count, xh;
};

inline NormState normalise(const NormProblem& p, const Doubles& x) {
  const size_t sets = (size_t)p.sets();
  NormState s{Doubles(sets), Doubles(sets), Doubles(sets), Doubles(x.size())};
  p.each([&](size_t i, size_t set, size_t, int64_t) { s.mean[set] += x[i], s.count[set] += 1; });
  for (size_t k = 0; k < sets; ++k) s.mean[k] /= std::max(1.0, s.count[k]);
  p.each([&](size_t i, size_t set, size_t, int64_t) { s.rstd[set] += (x[i] - s.mean[set]) * (x[i] - s.mean[set]); });
  for (size_t k = 0; k < sets; ++k) s.rstd[k] = 1 / std::sqrt(s.rstd[k] / std::max(1.0, s.count[k]) + p.eps);
  p.each([&](size_t i, size_t set, size_t, int64_t) { s.xh[i] = (x[i] - s.mean[set]) * s.rstd[set]; });
  return s;
}

inline Doubles norm_forward(const NormProblem& p, const Doubles& x, const Doubles& gamma, const Doubles& beta) {
  const NormState s = normalise(p, x);
  Doubles y((size_t)p.pooled_size());
  const double share = 1.0 / (p.window() * p.window());
  p.each([&](size_t i, size_t, size_t c, int64_t out) {
    const double z = gamma[c] * s.xh[i] + beta[c];
    if (out >= 0 && (!p.relu || z > 0)) y[(size_t)out] += z * share;
  });
  return y;
}

// Sums of powers of the ReLU map.
struct NormSums {
  Doubles positions, channels;
};

inline NormSums norm_sums(const NormProblem& p, const Doubles& x, const Doubles& gamma, const Doubles& beta, int power) {
  const NormState s = normalise(p, x);
  NormSums sums{Doubles((size_t)(p.G * p.N * p.H * p.W)), Doubles((size_t)(p.G * p.N * p.C))};
  p.each([&](size_t i, size_t, size_t c, int64_t) {
    const double z = gamma[c] * s.xh[i] + beta[c], term = z > 0 ? std::pow(z, power) : 0;
    const size_t pixel = i / (size_t)p.C;
    sums.positions[pixel] += term;
    sums.channels[pixel / (size_t)(p.H * p.W) * (size_t)p.C + i % (size_t)p.C] += term;
  });
  return sums;
}

// P(v) = rstd (v - mean v - xh mean(v xh))
inline Doubles project(const NormProblem& p, const NormState& s, const Doubles& v) {
  Doubles mean(s.mean.size()), along(s.mean.size()), result(v.size());
  p.each([&](size_t i, size_t set, size_t, int64_t) { mean[set] += v[i] / s.count[set], along[set] += v[i] * s.xh[i] / s.count[set]; });
  p.each([&](size_t i, size_t set, size_t, int64_t) { result[i] = s.rstd[set] * (v[i] - mean[set] - s.xh[i] * along[set]); });
  return result;
}

// [z>0] pool^T(gy)
inline Doubles gate(const NormProblem& p, const NormState& s, const Doubles& gamma, const Doubles& beta, const Doubles& gy) {
  Doubles gz(s.xh.size());
  const double share = 1.0 / (p.window() * p.window());
  p.each([&](size_t i, size_t, size_t c, int64_t out) {
    if (out >= 0 && (!p.relu || gamma[c] * s.xh[i] + beta[c] > 0)) gz[i] = gy[(size_t)out] * share;
  });
  return gz;
}

struct NormGrads {
  Doubles dx, dgamma, dbeta;
};

inline NormGrads norm_grad(const NormProblem& p, const Doubles& x, const Doubles& gamma, const Doubles& beta, const Doubles& gy) {
  const NormState s = normalise(p, x);
  const Doubles gz = gate(p, s, gamma, beta, gy);
  Doubles t(x.size()), dgamma(gamma.size()), dbeta(gamma.size());
  p.each([&](size_t i, size_t, size_t c, int64_t) { t[i] = gamma[c] * gz[i], dgamma[c] += gz[i] * s.xh[i], dbeta[c] += gz[i]; });
  return {project(p, s, t), dgamma, dbeta};
}

struct NormSecondGrads {
  Doubles gx, ggamma, ggy;
};

// The contract's formulas, each mean taken over its set by itself.
inline NormSecondGrads norm_grad_grad(const NormProblem& p, const Doubles& x, const Doubles& gamma, const Doubles& beta, const Doubles& gy,
                                      const Doubles& ux, const Doubles& ugamma, const Doubles& ubeta) {
  const NormState s = normalise(p, x);
  const Doubles gz = gate(p, s, gamma, beta, gy), pu = project(p, s, ux);
  const size_t sets = s.mean.size();
  Doubles a(sets), b(sets), u(sets), c(sets), d(sets), h(x.size());
  p.each([&](size_t i, size_t set, size_t ch, int64_t) {
    const double t = gamma[ch] * gz[i], n = s.count[set];
    a[set] += t / n, b[set] += t * s.xh[i] / n, u[set] += ux[i] / n, c[set] += ux[i] * s.xh[i] / n, d[set] += ux[i] * t / n;
  });
  p.each([&](size_t i, size_t set, size_t ch, int64_t) {
    h[i] = -s.rstd[set] * (ux[i] * b[set] + gamma[ch] * gz[i] * c[set]) + ugamma[ch] * gz[i];
  });
  NormSecondGrads r{project(p, s, h), Doubles(gamma.size()), Doubles((size_t)p.pooled_size())};
  const double share = 1.0 / (p.window() * p.window());
  p.each([&](size_t i, size_t set, size_t ch, int64_t out) {
    r.gx[i] -= s.rstd[set] * s.rstd[set] * s.xh[i] * (d[set] - u[set] * a[set] - c[set] * b[set]);
    r.ggamma[ch] += gz[i] * pu[i];
    const double q = gamma[ch] * pu[i] + ugamma[ch] * s.xh[i] + ubeta[ch];
    if (out >= 0 && (!p.relu || gamma[ch] * s.xh[i] + beta[ch] > 0)) r.ggy[(size_t)out] += q * share;
  });
  return r;
}

}  // namespace aludel::testing
