// cholesky_solve: (L L^T)^-1 B. A few panels of right-hand sides are one task: solved forwards and backwards while they stay in the second
// cache. The factor is packed once for each direction; backwards it is the same triangle with lines and steps counted from the end.
// Numerics: float64 substitution; columns do not depend on each other, and an element is summed in an order that n fixes.
#include "native/cpu/kernels/double_tile.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr const char* kOp = "cholesky_solve";
constexpr int64_t kTaskPanels = 2;
constexpr int64_t kTileGroup = 12;  // tiles that stay in a cache for all panels of a task

// The factor as blocks of kBlock steps: the triangle of each, then the tiles of lines below it.
struct Packing {
  int64_t n;

  int64_t tiles() const { return ceil_div(n, kRows); }
  int64_t blocks() const { return ceil_div(n, kBlock); }
  int64_t steps(int64_t block) const { return min_of(kBlock, n - block * kBlock); }
  int64_t first_tile(int64_t block) const { return block * (kBlock / kRows); }
  // Blocks in front of `block` are whole.
  int64_t at(int64_t block) const {
    return block * (triangle_doubles(kBlock) + tiles() * kRows * kBlock) - kBlock * kBlock * (block * (block + 1) / 2);
  }
  int64_t below(int64_t block, int64_t tile) const {
    return at(block) + triangle_doubles(kBlock) + (tile - first_tile(block + 1)) * kRows * kBlock;
  }
  int64_t doubles() const { return at(blocks() - 1) + triangle_doubles(kBlock); }
};

// Element (0, 0) of the triangle, and how far lines and steps are apart.
struct Source {
  const double* data;
  int64_t line, step;
};

void pack_lines(const Packing& p, const Source& from, int64_t tile, double* packed) {
  const int64_t first = tile * kRows, lines = min_of(kRows, p.n - first), own = first / kBlock;
  for (int64_t block = 0; block < own; ++block)
    pack_tile(from.data + first * from.line + block * kBlock * from.step, from.line, from.step, lines, kBlock,
              packed + p.below(block, tile));
  const int64_t inside = tile - p.first_tile(own);
  pack_triangle_tile(from.data + own * kBlock * (from.line + from.step), from.line, from.step, inside, p.steps(own),
                     packed + p.at(own) + triangle_tile_at(inside));
}

// One direction for `panels` panels, `panel` doubles apart, whose rows are `step` apart.
void substitute(const Packing& p, const double* packed, double* x, int64_t panels, int64_t panel, int64_t step) {
  for (int64_t block = 0; block < p.blocks(); ++block) {
    double* solved = x + block * kBlock * step;
    for (int64_t q = 0; q < panels; ++q) solve_triangle(packed + p.at(block), p.steps(block), solved + q * panel, step);
    for (int64_t group = p.first_tile(block + 1); group < p.tiles(); group += kTileGroup)
      for (int64_t q = 0; q < panels; ++q)
        for (int64_t tile = group; tile < min_of(p.tiles(), group + kTileGroup); ++tile) {
          Sums sums;
          multiply(packed + p.below(block, tile), kRows, solved + q * panel, step, kBlock, &sums);
          double* to = x + q * panel + tile * kRows * step;
          for (int64_t r = 0; r < kRows; ++r)
            for (int64_t j = 0; j < 3; ++j) store(to + r * step + j * VD, load(to + r * step + j * VD) - sums.v[r][j]);
        }
  }
}

Status check(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_arity(kOp, args, 2, 1, 0));
  const TensorRef &l = args.in[0], &b = args.in[1], &x = args.out[0];
  if (l.dtype != DType::f64 || l.rank != 2 || l.dims[0] != l.dims[1]) return wrong(kOp, "an f64 factor [n,n]");
  if (b.dtype != DType::f64 || b.rank != 2 || b.dims[0] != l.dims[0]) return wrong(kOp, "f64 right-hand sides [n,k]");
  if (x.dtype != DType::f64 || !same_shape(b, x)) return wrong(kOp, "an f64 output of the right-hand sides' shape");
  return {};
}

// Rows of a panel with room for a whole tile at either end.
int64_t panel_rows(int64_t n) { return n + 2 * kRows; }

int64_t scratch_bytes(const KernelArgs& args) {
  return kTaskPanels * panel_rows(args.in[0].dims[0]) * kPanel * static_cast<int64_t>(sizeof(double));
}

int64_t shared_bytes(const KernelArgs& args) {
  const Packing p = {args.in[0].dims[0]};
  return p.n == 0 ? 0 : 2 * p.doubles() * static_cast<int64_t>(sizeof(double));
}

Status run(const KernelArgs& args, Exec& exec) {
  const Packing p = {args.in[0].dims[0]};
  const int64_t columns = args.in[1].dims[1], n = p.n;
  if (n == 0 || columns == 0) return {};
  const double *l = args.in[0].as<const double>(), *b = args.in[1].as<const double>();
  double *x = args.out[0].as<double>(), *forwards = static_cast<double*>(exec.shared), *backwards = forwards + p.doubles();
  const Source directions[2] = {{l, n, 1}, {l + n * n - 1, -1, -n}};
  const int64_t grain = 8;
  parallel_ranges(exec, 2 * p.tiles(), grain, [&](int64_t begin, int64_t end, void*) {
    for (int64_t t = begin; t < end; ++t) pack_lines(p, directions[t / p.tiles()], t % p.tiles(), t < p.tiles() ? forwards : backwards);
  });
  parallel_ranges(exec, ceil_div(columns, kPanel), kTaskPanels, [&](int64_t begin, int64_t end, void* scratch) {
    const int64_t panel = panel_rows(n) * kPanel, panels = end - begin;
    double* rows = static_cast<double*>(scratch) + kRows * kPanel;
    memset(scratch, 0, static_cast<size_t>(panels * panel) * sizeof(double));
    for (int64_t q = 0; q < panels; ++q) {
      const int64_t first = (begin + q) * kPanel, count = min_of(kPanel, columns - first);
      for (int64_t i = 0; i < n; ++i)
        memcpy(rows + q * panel + i * kPanel, b + i * columns + first, static_cast<size_t>(count) * sizeof(double));
    }
    substitute(p, forwards, rows, panels, panel, kPanel);
    substitute(p, backwards, rows + (n - 1) * kPanel, panels, panel, -kPanel);
    for (int64_t q = 0; q < panels; ++q) {
      const int64_t first = (begin + q) * kPanel, count = min_of(kPanel, columns - first);
      for (int64_t i = 0; i < n; ++i)
        memcpy(x + i * columns + first, rows + q * panel + i * kPanel, static_cast<size_t>(count) * sizeof(double));
    }
  });
  return {};
}

}  // namespace

extern const Kernel kernel_cholesky_solve;
const Kernel kernel_cholesky_solve = {check, scratch_bytes, run, shared_bytes};

}  // namespace aludel::cpu::ALUDEL_ISA
