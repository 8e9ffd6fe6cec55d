// Householder reduction to tridiagonal form in panels (Golub and Van Loan, 8.3.1; panels as Dongarra, Sorensen and Hammarling 1989), then
// QL with implicit shifts (Martin and Wilkinson 1968). Memory decides the time, so: the trailing matrix is read once per column and
// written once per panel; reflectors and rotations are applied to 16 rows of the eigenvector matrix at a time, which stay in the cache
// while thousands of rotations pass over them.
// Numerics: float64; every dot product adds in an order that n fixes. Backward stable in norm: the error of an eigenvalue is a small
// multiple of eps ||A||.
#include "native/cpu/kernels/symmetric_eigen.h"

#include <math.h>

#include "native/cpu/simd.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kPanel = 32;           // columns reduced between two updates of the trailing matrix
constexpr int64_t kLanes = 16;           // rows of the eigenvector matrix in one block
constexpr int64_t kRows = 32;            // matrix rows of one task
constexpr int64_t kRotations = 1 << 16;  // gathered before they are applied
constexpr int64_t kSweeps = 4096;
constexpr int kLaneVectors = static_cast<int>(kLanes) / VD;
constexpr double kEpsilon = 2.220446049250313e-16;

typedef double vdu __attribute__((vector_size(ALUDEL_VW * 4), aligned(8), may_alias));
ALUDEL_INLINE vd load(const double* p) { return *reinterpret_cast<const vdu*>(p); }
ALUDEL_INLINE void store(double* p, vd v) { *reinterpret_cast<vdu*>(p) = v; }
ALUDEL_INLINE vd splat(double x) { return x - vd{}; }
ALUDEL_INLINE double sum_of(vd v) {
  double s = 0;
  for (int i = 0; i < VD; ++i) s += v[i];
  return s;
}

int64_t padded(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }
int64_t blocks_of(int64_t n) { return padded(n) / kLanes; }

// A run of rotations of neighbouring columns (i, i+1) for i = first, first-1, ….
struct Sweep {
  int64_t first, count;
};

struct Work {
  double *v, *w;      // kPanel rows of n each: reflectors of the panel, and their products with the matrix
  double *y, *tau;    // n each
  double *d, *e;      // diagonal and what stands beside it, n each
  double* order;      // n: the column of each eigenvalue, ascending
  double* rotations;  // kRotations pairs of cosine and sine
  double* blocks;     // blocks_of(n) times [n][kLanes]: the eigenvector matrix, 16 rows beside each other
  Sweep* sweeps;      // kSweeps
};

int64_t work_doubles(int64_t n) {
  const int64_t row = padded(n);
  return 2 * kPanel * row + 5 * row + 2 * kRotations + blocks_of(n) * n * kLanes + 2 * kSweeps;
}

Work carve(double* p, int64_t n) {
  const int64_t row = padded(n);
  Work work;
  const auto take = [&p](int64_t count) {
    double* at = p;
    p += count;
    return at;
  };
  work.v = take(kPanel * row);
  work.w = take(kPanel * row);
  work.y = take(row);
  work.tau = take(row);
  work.d = take(row);
  work.e = take(row);
  work.order = take(row);
  work.rotations = take(2 * kRotations);
  work.blocks = take(blocks_of(n) * n * kLanes);
  work.sweeps = reinterpret_cast<Sweep*>(take(2 * kSweeps));
  return work;
}

double dot(const double* a, const double* b, int64_t n) {
  vd s0{}, s1{}, s2{}, s3{};
  int64_t i = 0;
  for (; i + 4 * VD <= n; i += 4 * VD) {
    s0 += load(a + i) * load(b + i);
    s1 += load(a + i + VD) * load(b + i + VD);
    s2 += load(a + i + 2 * VD) * load(b + i + 2 * VD);
    s3 += load(a + i + 3 * VD) * load(b + i + 3 * VD);
  }
  double s = sum_of((s0 + s1) + (s2 + s3));
  for (; i < n; ++i) s += a[i] * b[i];
  return s;
}

// y -= x * a
void subtract_scaled(double* y, const double* x, double a, int64_t n) {
  int64_t i = 0;
  for (; i + VD <= n; i += VD) store(y + i, load(y + i) - load(x + i) * a);
  for (; i < n; ++i) y[i] -= x[i] * a;
}

// Four rows against one vector: the vector is read once for all of them.
void dot4(const double* a, int64_t stride, const double* b, int64_t n, double* out) {
  vd s[4][2] = {};
  int64_t i = 0;
  for (; i + 2 * VD <= n; i += 2 * VD) {
    const vd b0 = load(b + i), b1 = load(b + i + VD);
    for (int r = 0; r < 4; ++r) {
      s[r][0] += load(a + r * stride + i) * b0;
      s[r][1] += load(a + r * stride + i + VD) * b1;
    }
  }
  for (int r = 0; r < 4; ++r) {
    double sum = sum_of(s[r][0] + s[r][1]);
    for (int64_t j = i; j < n; ++j) sum += a[r * stride + j] * b[j];
    out[r] = sum;
  }
}

// x[0..m) becomes the reflector's vector with x[0] = 1; (I - tau x x') maps the old x to (beta, 0, …).
double reflector(double* x, int64_t m, double* beta) {
  const double alpha = x[0];
  const double tail = m > 1 ? dot(x + 1, x + 1, m - 1) : 0;
  if (tail == 0) {
    *beta = alpha;
    x[0] = 1;
    return 0;
  }
  const double norm = sqrt(alpha * alpha + tail);
  *beta = alpha > 0 ? -norm : norm;
  const double scale = 1 / (alpha - *beta);
  for (int64_t i = 1; i < m; ++i) x[i] *= scale;
  x[0] = 1;
  return (*beta - alpha) / *beta;
}

// The trailing matrix minus V W' + W V', both of `columns` columns; rows and columns from `from` on.
void update_trailing(double* a, int64_t n, int64_t from, const Work& work, int64_t columns, Exec& exec) {
  const int64_t row = padded(n);
  constexpr int64_t strip = 16 * VD;
  parallel_for(exec, (n - from + kRows - 1) / kRows, [&](int64_t task, void*) {
    const int64_t begin = from + task * kRows;
    const int64_t end = begin + kRows < n ? begin + kRows : n;
    // The panels' strip stays in the cache for all rows of the task.
    for (int64_t left = from; left < n; left += strip) {
      const int64_t right = left + strip < n ? left + strip : n;
      for (int64_t i = begin; i < end; ++i) {
        double* ai = a + i * n;
        int64_t l = left;
        for (; l + 4 * VD <= right; l += 4 * VD) {
          vd s0 = load(ai + l), s1 = load(ai + l + VD), s2 = load(ai + l + 2 * VD), s3 = load(ai + l + 3 * VD);
          for (int64_t j = 0; j < columns; ++j) {
            const double *v = work.v + j * row, *w = work.w + j * row;
            const double vi = v[i], wi = w[i];
            s0 -= load(w + l) * vi + load(v + l) * wi;
            s1 -= load(w + l + VD) * vi + load(v + l + VD) * wi;
            s2 -= load(w + l + 2 * VD) * vi + load(v + l + 2 * VD) * wi;
            s3 -= load(w + l + 3 * VD) * vi + load(v + l + 3 * VD) * wi;
          }
          store(ai + l, s0);
          store(ai + l + VD, s1);
          store(ai + l + 2 * VD, s2);
          store(ai + l + 3 * VD, s3);
        }
        for (; l < right; ++l) {
          double s = ai[l];
          for (int64_t j = 0; j < columns; ++j) s -= work.v[j * row + i] * work.w[j * row + l] + work.w[j * row + i] * work.v[j * row + l];
          ai[l] = s;
        }
      }
    }
  });
}

bool stopped(const SymmetricEigen& p) { return p.cancelled != nullptr && p.cancelled(p.context); }

// Leaves d and e, and in row k of the matrix, from column k+1 on, the vector of reflector k, whose factor is tau[k].
Status tridiagonalise(const SymmetricEigen& p, const Work& work, Exec& exec) {
  const int64_t n = p.n, row = padded(n);
  double* a = p.matrix;
  for (int64_t start = 0; start < n - 1; start += kPanel) {
    if (stopped(p)) return fail(Code::cancelled, "the eigendecomposition was cancelled");
    const int64_t columns = n - 1 - start < kPanel ? n - 1 - start : kPanel;
    for (int64_t j = 0; j < columns; ++j) {
      const int64_t k = start + j, m = n - k - 1;
      double* x = a + k * n + k;  // row k is column k as well
      for (int64_t q = 0; q < j; ++q) {
        const double *vq = work.v + q * row, *wq = work.w + q * row;
        subtract_scaled(x, vq + k, wq[k], m + 1);
        subtract_scaled(x, wq + k, vq[k], m + 1);
      }
      work.d[k] = x[0];
      double* v = x + 1;
      work.tau[k] = reflector(v, m, &work.e[k]);
      double *vj = work.v + j * row, *wj = work.w + j * row;
      for (int64_t i = 0; i <= k; ++i) vj[i] = wj[i] = 0;
      for (int64_t i = 0; i < m; ++i) vj[k + 1 + i] = v[i];
      const double* trailing = a + (k + 1) * n + k + 1;
      parallel_for(exec, (m + kRows - 1) / kRows, [&](int64_t task, void*) {
        const int64_t begin = task * kRows;
        const int64_t end = begin + kRows < m ? begin + kRows : m;
        int64_t i = begin;
        for (; i + 4 <= end; i += 4) dot4(trailing + i * n, n, v, m, work.y + i);
        for (; i < end; ++i) work.y[i] = dot(trailing + i * n, v, m);
      });
      for (int64_t q = 0; q < j; ++q) {
        const double *vq = work.v + q * row + k + 1, *wq = work.w + q * row + k + 1;
        const double wv = dot(wq, v, m), vv = dot(vq, v, m);
        subtract_scaled(work.y, vq, wv, m);
        subtract_scaled(work.y, wq, vv, m);
      }
      const double tau = work.tau[k];
      const double half = 0.5 * tau * tau * dot(work.y, v, m);
      double* w = wj + k + 1;
      for (int64_t i = 0; i < m; ++i) w[i] = tau * work.y[i] - half * v[i];
    }
    update_trailing(a, n, start + columns, work, columns, exec);
  }
  work.d[n - 1] = a[n * n - 1];
  work.e[n - 1] = 0;
  return {};
}

// Sixteen rows of the product of all reflectors: each row starts as a row of the identity, reflectors come from the right.
void form_block(const SymmetricEigen& p, const Work& work, int64_t block) {
  const int64_t n = p.n;
  double* z = work.blocks + block * n * kLanes;
  for (int64_t i = 0; i < n * kLanes; ++i) z[i] = 0;
  for (int64_t lane = 0; lane < kLanes && block * kLanes + lane < n; ++lane) z[(block * kLanes + lane) * kLanes + lane] = 1;
  for (int64_t k = 0; k < n - 1; ++k) {
    if (work.tau[k] == 0) continue;
    const double* v = p.matrix + k * n;
    vd s[2][kLaneVectors] = {};
    int64_t i = k + 1;
    for (; i + 2 <= n; i += 2) {
      for (int u = 0; u < kLaneVectors; ++u) {
        s[0][u] += load(z + i * kLanes + u * VD) * v[i];
        s[1][u] += load(z + (i + 1) * kLanes + u * VD) * v[i + 1];
      }
    }
    if (i < n) {
      for (int u = 0; u < kLaneVectors; ++u) s[0][u] += load(z + i * kLanes + u * VD) * v[i];
    }
    for (int u = 0; u < kLaneVectors; ++u) s[0][u] = (s[0][u] + s[1][u]) * work.tau[k];
    for (i = k + 1; i < n; ++i) {
      for (int u = 0; u < kLaneVectors; ++u) {
        double* at = z + i * kLanes + u * VD;
        store(at, load(at) - s[0][u] * v[i]);
      }
    }
  }
}

void rotate_block(double* z, const Sweep* sweeps, int64_t count, const double* rotations) {
  for (int64_t s = 0; s < count; ++s) {
    int64_t i = sweeps[s].first;
    // Column i+1 of one rotation is column i of the one before: it stays in registers.
    vd carried[kLaneVectors];
    for (int u = 0; u < kLaneVectors; ++u) carried[u] = load(z + (i + 1) * kLanes + u * VD);
    for (int64_t r = 0; r < sweeps[s].count; ++r, --i, rotations += 2) {
      const double c = rotations[0], sn = rotations[1];
      for (int u = 0; u < kLaneVectors; ++u) {
        const vd below = load(z + i * kLanes + u * VD);
        store(z + (i + 1) * kLanes + u * VD, below * sn + carried[u] * c);
        carried[u] = below * c - carried[u] * sn;
      }
    }
    for (int u = 0; u < kLaneVectors; ++u) store(z + (i + 1) * kLanes + u * VD, carried[u]);
  }
}

class Rotations {
 public:
  Rotations(const Work& work, int64_t n, Exec& exec) : work_(work), n_(n), exec_(exec) {}

  // Room for a sweep of up to `count` rotations, which begins at column `first`.
  void begin(int64_t first, int64_t count) {
    if (used_ + count > kRotations || sweeps_ == kSweeps) apply();
    work_.sweeps[sweeps_] = {first, 0};
  }
  void add(double c, double s) {
    double* at = work_.rotations + 2 * (used_ + work_.sweeps[sweeps_].count++);
    at[0] = c;
    at[1] = s;
  }
  void end() {
    used_ += work_.sweeps[sweeps_].count;
    if (work_.sweeps[sweeps_].count > 0) ++sweeps_;
  }
  void apply() {
    if (sweeps_ > 0) {
      parallel_for(exec_, blocks_of(n_), [this](int64_t block, void*) {
        rotate_block(work_.blocks + block * n_ * kLanes, work_.sweeps, sweeps_, work_.rotations);
      });
    }
    used_ = sweeps_ = 0;
  }

 private:
  const Work& work_;
  int64_t n_;
  Exec& exec_;
  int64_t used_ = 0, sweeps_ = 0;
};

// One implicit QL sweep over the unreduced block [l, m].
void sweep(double* d, double* e, int64_t l, int64_t m, Rotations* rotations) {
  double g = (d[l + 1] - d[l]) / (2 * e[l]);
  double r = hypot(g, 1.0);
  g = d[m] - d[l] + e[l] / (g + (g >= 0 ? r : -r));
  double s = 1, c = 1, p = 0;
  rotations->begin(m - 1, m - l);
  int64_t i = m - 1;
  for (; i >= l; --i) {
    const double f = s * e[i], b = c * e[i];
    r = hypot(f, g);
    e[i + 1] = r;
    if (r == 0) {  // the block falls apart here
      d[i + 1] -= p;
      e[m] = 0;
      break;
    }
    s = f / r;
    c = g / r;
    g = d[i + 1] - p;
    r = (d[i] - g) * s + 2 * c * b;
    p = s * r;
    d[i + 1] = g + p;
    g = c * r - b;
    rotations->add(c, s);
  }
  rotations->end();
  if (i >= l) return;
  d[l] -= p;
  e[l] = g;
  e[m] = 0;
}

Status diagonalise(const SymmetricEigen& p, const Work& work, double norm, Exec& exec) {
  const int64_t n = p.n;
  double *d = work.d, *e = work.e;
  Rotations rotations(work, n, exec);
  // Normwise backward stable, as EISPACK tests; a smaller bound would be lost in the rounding of a sweep that passes large elements.
  const double negligible = kEpsilon * norm;
  constexpr int kMostSweeps = 100;
  for (int64_t l = 0; l < n; ++l) {
    if (stopped(p)) return fail(Code::cancelled, "the eigendecomposition was cancelled");
    for (int tries = 0;; ++tries) {
      int64_t m = l;
      for (; m < n - 1; ++m) {
        const double off = fabs(e[m]);
        if (off <= negligible || off <= kEpsilon * (fabs(d[m]) + fabs(d[m + 1]))) break;
      }
      if (m == l) break;
      if (tries == kMostSweeps) return fail(Code::internal, "eigenvalue %lld does not converge", static_cast<long long>(l));
      sweep(d, e, l, m, &rotations);
    }
  }
  rotations.apply();
  return {};
}

// Ascending; equal values keep their order.
void sort_values(const Work& work, int64_t n, double* spare) {
  double* order = work.order;
  for (int64_t i = 0; i < n; ++i) order[i] = static_cast<double>(i);
  for (int64_t width = 1; width < n; width *= 2) {
    for (int64_t left = 0; left < n; left += 2 * width) {
      const int64_t middle = left + width < n ? left + width : n, right = left + 2 * width < n ? left + 2 * width : n;
      int64_t i = left, j = middle;
      for (int64_t k = left; k < right; ++k) {
        const bool first = i < middle && (j >= right || work.d[static_cast<int64_t>(order[i])] <= work.d[static_cast<int64_t>(order[j])]);
        spare[k] = first ? order[i++] : order[j++];
      }
    }
    for (int64_t k = 0; k < n; ++k) order[k] = spare[k];
  }
}

Status run(const SymmetricEigen& p, Exec& exec) {
  const int64_t n = p.n;
  const Work work = carve(p.work, n);
  double norm = 0;
  for (int64_t i = 0; i < n * n; ++i) {
    if (!(fabs(p.matrix[i]) <= 1e300))
      return fail(Code::invalid_argument, "matrix: expected finite numbers up to 1e300 but element %lld is not", static_cast<long long>(i));
    if (fabs(p.matrix[i]) > norm) norm = fabs(p.matrix[i]);
  }
  // Squares of very small or large elements would leave the range.
  const double scale = norm == 0 ? 1 : ldexp(1.0, -ilogb(norm));
  for (int64_t i = 0; i < n * n; ++i) p.matrix[i] *= scale;
  ALUDEL_RETURN_IF_ERROR(tridiagonalise(p, work, exec));
  double spread = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double sum = fabs(work.d[i]) + fabs(work.e[i]);
    if (sum > spread) spread = sum;
  }
  parallel_for(exec, blocks_of(n), [&](int64_t block, void*) { form_block(p, work, block); });
  ALUDEL_RETURN_IF_ERROR(diagonalise(p, work, spread, exec));
  sort_values(work, n, work.y);
  parallel_for(exec, n, [&](int64_t k, void*) {
    const auto column = static_cast<int64_t>(work.order[k]);
    p.values[k] = work.d[column] / scale;
    for (int64_t r = 0; r < n; ++r) p.matrix[k * n + r] = work.blocks[((r / kLanes) * n + column) * kLanes + r % kLanes];
  });
  return {};
}

}  // namespace

extern const EigenKernel eigen_kernel __attribute__((visibility("hidden")));
const EigenKernel eigen_kernel = {work_doubles, run};
const EigenKernel* symmetric_eigen();
const EigenKernel* symmetric_eigen() { return &eigen_kernel; }

}  // namespace aludel::cpu::ALUDEL_ISA
