// cholesky: L L^T = A + ridge I, right-looking by blocks of 96 columns; the ridge grows tenfold, five times at most, where a pivot is not
// positive and finite. A block is factored by one thread; the rows below it are solved for as panels, which are both operands of the update
// of the rest.
// Numerics: float64; an element is summed in an order that n fixes.
#include <math.h>

#include "native/cpu/kernels/double_tile.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr const char* kOp = "cholesky";
constexpr int kTries = 6;
constexpr double kGrowth = 10;

struct Work {
  double* square;    // kBlock^2: the block on the diagonal, transposed
  double* triangle;  // and as tiles
  double* panels;    // the rows below, solved
};

int64_t work_doubles(int64_t n) { return kBlock * kBlock + triangle_doubles(kBlock) + round_up(n, kPanel) * kBlock; }

Work work_at(void* shared) {
  double* at = static_cast<double*>(shared);
  return {at, at + kBlock * kBlock, at + kBlock * kBlock + triangle_doubles(kBlock)};
}

struct Pivots {
  double smallest = HUGE_VAL, largest = 0;
  bool failed = false;
};

// y -= a x
void subtract_scaled(double* y, const double* x, double a, int64_t n) {
  int64_t i = 0;
  for (; i + VD <= n; i += VD) store(y + i, load(y + i) - load(x + i) * a);
  for (; i < n; ++i) y[i] -= x[i] * a;
}

// The block of `width` columns from `first` on.
void factor_block(double* l, int64_t n, int64_t first, int64_t width, const Work& work, Pivots* pivots) {
  double* u = work.square;
  for (int64_t k = 0; k < width; ++k)
    for (int64_t i = k; i < width; ++i) u[k * kBlock + i] = l[(first + i) * n + first + k];
  for (int64_t k = 0; k < width; ++k) {
    double* row = u + k * kBlock;
    const double pivot = row[k];
    if (!(pivot > 0 && pivot < HUGE_VAL)) {
      pivots->smallest = pivot;
      pivots->failed = true;
      return;
    }
    pivots->smallest = fmin(pivots->smallest, pivot);
    pivots->largest = fmax(pivots->largest, pivot);
    const double root = sqrt(pivot);
    row[k] = root;
    for (int64_t i = k + 1; i < width; ++i) row[i] /= root;
    for (int64_t i = k + 1; i < width; ++i) subtract_scaled(u + i * kBlock + i, row + i, row[i], width - i);
  }
  for (int64_t k = 0; k < width; ++k)
    for (int64_t i = k; i < width; ++i) l[(first + i) * n + first + k] = u[k * kBlock + i];
}

// The rows below the block: solved, written back, left as panels.
void solve_rows(double* l, int64_t n, int64_t first, const Work& work, Exec& exec) {
  const int64_t below = first + kBlock;
  for (int64_t tile = 0; tile < kBlock / kRows; ++tile)
    pack_triangle_tile(work.square, 1, kBlock, tile, kBlock, work.triangle + triangle_tile_at(tile));
  parallel_ranges(exec, ceil_div(n - below, kPanel), 4, [&](int64_t begin, int64_t end, void*) {
    for (int64_t panel = begin; panel < end; ++panel) {
      const int64_t row = below + panel * kPanel, rows = min_of(kPanel, n - row);
      double* x = work.panels + panel * kPanel * kBlock;
      pack_panel(l + row * n + first, n, rows, kBlock, x);
      solve_triangle(work.triangle, kBlock, x, kPanel);
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t k = 0; k < kBlock; ++k) l[(row + r) * n + first + k] = x[k * kPanel + r];
    }
  });
}

// Takes the panels' products out of what is behind them.
void update_rest(double* l, int64_t n, int64_t below, const Work& work, Exec& exec) {
  const int64_t blocks = ceil_div(n - below, kBlock);
  parallel_for(exec, blocks * (blocks + 1) / 2, [&](int64_t pair, void*) {
    int64_t i = 0;
    while (pair > i) pair -= ++i;
    const int64_t row_end = min_of(n - below, (i + 1) * kBlock), column_end = min_of(n - below, (pair + 1) * kBlock);
    for (int64_t column = pair * kBlock; column < column_end; column += kPanel)
      for (int64_t row = i * kBlock; row < row_end; row += kRows) {
        if (row + kRows <= column) continue;  // above the diagonal
        Sums sums;
        multiply(work.panels + row / kPanel * kPanel * kBlock + row % kPanel, kPanel, work.panels + column * kBlock, kPanel, kBlock, &sums);
        for (int64_t r = 0; r < min_of(kRows, row_end - row); ++r) {
          double* to = l + (below + row + r) * n + below + column;
          const int64_t columns = min_of(min_of(kPanel, column_end - column), row + r - column + 1);
          if (columns == kPanel) {
            for (int64_t j = 0; j < 3; ++j) store(to + j * VD, load(to + j * VD) - sums.v[r][j]);
          } else {
            const double* from = reinterpret_cast<const double*>(sums.v[r]);
            for (int64_t j = 0; j < columns; ++j) to[j] -= from[j];
          }
        }
      }
  });
}

Pivots factor(const double* a, double ridge, double* l, int64_t n, const Work& work, Exec& exec) {
  parallel_ranges(exec, n, kBlock, [&](int64_t begin, int64_t end, void*) {
    for (int64_t i = begin; i < end; ++i) {
      memcpy(l + i * n, a + i * n, static_cast<size_t>(i + 1) * sizeof(double));
      memset(l + i * n + i + 1, 0, static_cast<size_t>(n - i - 1) * sizeof(double));
      l[i * n + i] += ridge;
    }
  });
  Pivots pivots;
  for (int64_t first = 0; first < n; first += kBlock) {
    factor_block(l, n, first, min_of(kBlock, n - first), work, &pivots);
    if (pivots.failed || first + kBlock >= n) break;
    solve_rows(l, n, first, work, exec);
    update_rest(l, n, first + kBlock, work, exec);
  }
  return pivots;
}

Status check(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_arity(kOp, args, 2, 2, 0));
  const TensorRef &a = args.in[0], &ridge = args.in[1], &l = args.out[0], &info = args.out[1];
  if (a.dtype != DType::f64 || a.rank != 2 || a.dims[0] != a.dims[1]) return wrong(kOp, "an f64 matrix [n,n]");
  if (l.dtype != DType::f64 || !same_shape(a, l)) return wrong(kOp, "an f64 factor of the matrix's shape");
  if (ridge.dtype != DType::f64 || ridge.rank != 0) return wrong(kOp, "an f64 scalar for the ridge");
  if (info.dtype != DType::f64 || info.rank != 1 || info.dims[0] != 4) return wrong(kOp, "four f64 numbers of information");
  return {};
}

int64_t shared_bytes(const KernelArgs& args) { return work_doubles(args.in[0].dims[0]) * static_cast<int64_t>(sizeof(double)); }

Status run(const KernelArgs& args, Exec& exec) {
  const int64_t n = args.in[0].dims[0];
  const double *a = args.in[0].as<const double>(), ridge = *args.in[1].as<const double>();
  double *l = args.out[0].as<double>(), *info = args.out[1].as<double>();
  const Work work = work_at(exec.shared);
  double multiplier = 1;
  int tries = 0;
  Pivots pivots = factor(a, ridge, l, n, work, exec);
  while (pivots.failed && ++tries < kTries) {
    multiplier *= kGrowth;
    pivots = factor(a, multiplier * ridge, l, n, work, exec);
  }
  if (pivots.failed)
    for (int64_t i = 0; i < n * n; ++i) l[i] = __builtin_nan("");
  info[0] = multiplier;
  info[1] = pivots.smallest;
  info[2] = pivots.failed ? __builtin_nan("") : pivots.largest;
  info[3] = tries;
  return {};
}

}  // namespace

extern const Kernel kernel_cholesky;
const Kernel kernel_cholesky = {check, nullptr, run, shared_bytes};

}  // namespace aludel::cpu::ALUDEL_ISA
