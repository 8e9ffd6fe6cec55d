// gram: K = A A^T in float64. Rows are packed into panels once per stretch of the features, and every pair of blocks of rows on or below
// the diagonal is multiplied from them; what is above is a mirror. Few rows over many features are cut along the features instead: a task
// has sums of its own, which are added in order. Numerics: products and sums float64; a sum runs over the features in order, stretch by
// stretch. The split depends on the shape alone.
#include "native/cpu/kernels/double_tile.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kDepth = 128;        // a panel of it stays in the first cache
constexpr int64_t kFewRows = 192;      // cut along the features up to here
constexpr int64_t kLeastPiece = 1024;  // features
constexpr int64_t kMostPieces = 32;

struct Problem {
  int64_t rows, features;

  int64_t panels() const { return ceil_div(rows, kPanel); }
  int64_t blocks() const { return ceil_div(rows, kBlock); }
  bool few() const { return rows <= kFewRows; }
  int64_t piece() const { return round_up(max_of(kLeastPiece, ceil_div(features, kMostPieces)), kDepth); }
  int64_t pieces() const { return max_of(1, ceil_div(features, piece())); }
};

Problem problem_of(const KernelArgs& args) { return {args.in[0].dims[0], args.in[0].dims[1]}; }

template <typename T>
void pack_panels(const Problem& p, const T* a, int64_t first, int64_t depth, int64_t panel, double* packed) {
  const int64_t row = panel * kPanel;
  pack_panel(a + row * p.features + first, p.features, min_of(kPanel, p.rows - row), depth, packed + panel * kPanel * depth);
}

// Adds the products of a stretch to the block (i, c) of K, or writes them.
void multiply_block(const Problem& p, const double* packed, int64_t depth, int64_t i, int64_t c, double* k, bool add) {
  const int64_t row_end = min_of(p.rows, (i + 1) * kBlock), column_end = min_of(p.rows, (c + 1) * kBlock);
  for (int64_t column = c * kBlock; column < column_end; column += kPanel) {
    const double* b = packed + column * depth;
    for (int64_t row = i * kBlock; row < row_end; row += kRows) {
      if (row + kRows <= column) continue;  // above the diagonal
      Sums sums;
      multiply(packed + row / kPanel * kPanel * depth + row % kPanel, kPanel, b, kPanel, depth, &sums);
      const int64_t columns = min_of(kPanel, column_end - column);
      for (int64_t r = 0; r < min_of(kRows, row_end - row); ++r) {
        double* to = k + (row + r) * p.rows + column;
        if (columns == kPanel) {
          for (int64_t j = 0; j < 3; ++j) store(to + j * VD, add ? load(to + j * VD) + sums.v[r][j] : sums.v[r][j]);
        } else {
          const double* from = reinterpret_cast<const double*>(sums.v[r]);
          for (int64_t j = 0; j < columns; ++j) to[j] = add ? to[j] + from[j] : from[j];
        }
      }
    }
  }
}

template <typename T>
void few_rows(const Problem& p, const T* a, double* k, Exec& exec) {
  double* parts = static_cast<double*>(exec.shared);
  const int64_t size = p.rows * p.rows, pieces = p.pieces();
  parallel_for(exec, pieces, [&](int64_t piece, void* scratch) {
    double *packed = static_cast<double*>(scratch), *own = piece == 0 ? k : parts + (piece - 1) * size;
    const int64_t from = piece * p.piece(), to = min_of(p.features, from + p.piece());
    for (int64_t first = from; first < to; first += kDepth) {
      const int64_t depth = min_of(kDepth, to - first);
      for (int64_t panel = 0; panel < p.panels(); ++panel) pack_panels(p, a, first, depth, panel, packed);
      for (int64_t i = 0; i < p.blocks(); ++i)
        for (int64_t c = 0; c <= i; ++c) multiply_block(p, packed, depth, i, c, own, first > from);
    }
  });
  for (int64_t q = 0; q + 1 < pieces; ++q)
    for (int64_t i = 0; i < p.rows; ++i)
      for (int64_t j = 0; j <= i; ++j) k[i * p.rows + j] += parts[q * size + i * p.rows + j];
}

template <typename T>
void many_rows(const Problem& p, const T* a, double* k, Exec& exec) {
  double* packed = static_cast<double*>(exec.shared);
  const int64_t blocks = p.blocks();
  for (int64_t first = 0; first < p.features; first += kDepth) {
    const int64_t depth = min_of(kDepth, p.features - first);
    parallel_ranges(exec, p.panels(), 4, [&](int64_t begin, int64_t end, void*) {
      for (int64_t panel = begin; panel < end; ++panel) pack_panels(p, a, first, depth, panel, packed);
    });
    parallel_for(exec, blocks * (blocks + 1) / 2, [&](int64_t pair, void*) {
      int64_t i = 0;
      while (pair > i) pair -= ++i;
      multiply_block(p, packed, depth, i, pair, k, first > 0);
    });
  }
}

void mirror(const Problem& p, double* k, Exec& exec) {
  parallel_ranges(exec, p.rows, kBlock, [&](int64_t begin, int64_t end, void*) {
    for (int64_t column = 0; column < end; column += 8)  // eight columns at a time: whole cache lines in
      for (int64_t j = begin; j < end; ++j)
        for (int64_t i = column; i < min_of(column + 8, j); ++i) k[i * p.rows + j] = k[j * p.rows + i];
  });
}

Status check(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_arity("gram", args, 1, 1, 0));
  const TensorRef &a = args.in[0], &k = args.out[0];
  if (a.dtype != DType::f32 && a.dtype != DType::f64) return wrong("gram", "f32 or f64 rows");
  if (a.rank != 2 || k.rank != 2 || k.dtype != DType::f64 || k.dims[0] != a.dims[0] || k.dims[1] != a.dims[0])
    return wrong("gram", "rows [n,d] and an f64 output [n,n]");
  return {};
}

int64_t panel_bytes(const Problem& p) { return p.panels() * kPanel * kDepth * static_cast<int64_t>(sizeof(double)); }

int64_t scratch_bytes(const KernelArgs& args) {
  const Problem p = problem_of(args);
  return p.few() ? panel_bytes(p) : 0;
}

int64_t shared_bytes(const KernelArgs& args) {
  const Problem p = problem_of(args);
  return p.few() ? (p.pieces() - 1) * args.out[0].bytes() : panel_bytes(p);
}

template <typename T>
void run_as(const KernelArgs& args, Exec& exec) {
  const Problem p = problem_of(args);
  double* k = args.out[0].as<double>();
  if (p.few())
    few_rows(p, args.in[0].as<const T>(), k, exec);
  else
    many_rows(p, args.in[0].as<const T>(), k, exec);
  mirror(p, k, exec);
}

Status run(const KernelArgs& args, Exec& exec) {
  const TensorRef &a = args.in[0], &k = args.out[0];
  if (k.numel() == 0) return {};
  if (a.dims[1] == 0)
    memset(k.data, 0, static_cast<size_t>(k.bytes()));  // sums over nothing
  else if (a.dtype == DType::f32)
    run_as<float>(args, exec);
  else
    run_as<double>(args, exec);
  return {};
}

}  // namespace

extern const Kernel kernel_gram;
const Kernel kernel_gram = {check, scratch_bytes, run, shared_bytes};

}  // namespace aludel::cpu::ALUDEL_ISA
