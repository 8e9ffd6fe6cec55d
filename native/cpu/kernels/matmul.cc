// Batched matrix product, float32 or float64, either operand transposed. Register tiles of 6 x 2 vectors over panels of 256 along K.
// Operands are packed into panels, except where packing would cost more than the product: with few columns A is read in place, with few
// rows B is. When the long operand lies the wrong way for that, the transposed problem C' = B' A' is solved and stored transposed.
// Where both operands lie along K and one has few lines, C is made of dot products. Few tiles over a long K are cut along K too: each
// piece has a C of its own, and these are added in order.
// Numerics: float32 products accumulate in float32: panel by panel in the order of K, dot products lane by lane. The split of the work
// depends on shapes alone.
#include "native/cpu/kernels/matmul_tile.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kKc = 256;
constexpr int64_t kFewColumns = 3;           // in register tiles: up to here A stays in place
constexpr int64_t kFewRows = 3;              // in register tiles: up to here B stays in place
constexpr int64_t kDotBlock = 1024;          // along K: the few lines of dot products stay in the first cache
constexpr int64_t kTaskFlops = 256 * 1024;   // small products of a batch share a task
constexpr int64_t kTasks = 32;               // fewer are cut along K
constexpr int64_t kShortestPiece = 8 * kKc;  // of K: what a piece reads outweighs its own C

// One product with free strides on every side: a[i, k], b[k, j], c[i, j].
struct Product {
  int64_t m, n, k;
  int64_t a_row, a_column, b_row, b_column, c_row, c_column;
  int64_t batch;
  bool swapped;  // operands exchanged: a and b below are the instruction's b and a
  bool pack_a, pack_b;
  bool dots;  // both contiguous along K, few columns
  int64_t tile_m, tile_n;
  int64_t piece, pieces;  // of K

  int64_t down() const { return ceil_div(m, tile_m); }
  int64_t across() const { return ceil_div(n, tile_n); }
};

// ---- plan -----------------------------------------------------------------------------------------------------------------------

void swap_operands(Product* p) {
  Product q = *p;
  p->m = q.n;
  p->n = q.m;
  p->a_row = q.b_column;
  p->a_column = q.b_row;
  p->b_row = q.a_column;
  p->b_column = q.a_row;
  p->c_row = q.c_column;
  p->c_column = q.c_row;
  p->swapped = !q.swapped;
}

void cut_along_k(Product* p) {
  p->piece = p->k;
  p->pieces = 1;
  if (p->batch * p->tile_m * p->tile_n == 0) return;
  const int64_t tiles = p->batch * p->down() * p->across();
  const int64_t shortest = max_of(kShortestPiece, kTaskFlops / (p->tile_m * p->tile_n));
  const int64_t most = min_of(ceil_div(kTasks, tiles), p->k / shortest);
  if (most <= 1) return;
  p->piece = round_up(ceil_div(p->k, most), kKc);
  p->pieces = ceil_div(p->k, p->piece);
}

Product product_of(const KernelArgs& args, int64_t nr) {
  const TensorRef &a = args.in[0], &y = args.out[0];
  bool ta = args.attrs[0] != 0, tb = args.attrs[1] != 0;
  Product p = {};
  p.m = y.dim(-2);
  p.n = y.dim(-1);
  p.k = ta ? a.dim(-2) : a.dim(-1);
  p.a_row = ta ? 1 : p.k;
  p.a_column = ta ? p.m : 1;
  p.b_row = tb ? 1 : p.n;
  p.b_column = tb ? p.k : 1;
  p.c_row = p.n;
  p.c_column = 1;
  p.batch = 1;
  for (int d = 0; d < y.rank - 2; ++d) p.batch *= y.dims[d];
  p.pack_a = p.pack_b = true;
  if (p.n <= kFewColumns * nr && p.n <= p.m) {
    if (ta)
      swap_operands(&p), p.pack_b = false;
    else
      p.pack_a = false;
  } else if (p.m <= kFewRows * nr) {
    if (tb)
      swap_operands(&p), p.pack_a = false;
    else
      p.pack_b = false;
  }
  p.dots = p.a_column == 1 && p.b_row == 1 && p.n <= nr / 2 && p.n <= p.m && p.k >= kKc;
  p.tile_m = round_up(min_of(p.m, p.pack_a ? 192 : 126), kMr);
  p.tile_n = p.dots ? round_up(p.n, kDotColumns) : round_up(min_of(p.n, 256), nr);
  cut_along_k(&p);
  return p;
}

// ---- one task: a tile of C over all of K, or a piece of it --------------------------------------------------------------------------

// a[i, k], b[k, j], c[i, j] of the tile; m x n x k of it.
template <typename T>
void multiply_panels(const Product& p, const T* a, const T* b, T* c, int64_t m, int64_t n, int64_t length, T* scratch) {
  constexpr int64_t N = kNr<T>;
  alignas(64) T tile[kMr * N];
  T* packed_b = scratch;
  T* packed_a = scratch + p.tile_n * kKc;
  for (int64_t k0 = 0; k0 < length; k0 += kKc) {
    int64_t k = min_of(kKc, length - k0);
    const T* block_a = a + k0 * p.a_column;
    const T* block_b = b + k0 * p.b_row;
    if (p.pack_a) pack<T, kMr>(block_a, p.a_row, p.a_column, m, k, packed_a);
    if (p.pack_b) pack<T, N>(block_b, p.b_column, p.b_row, n, k, packed_b);
    for (int64_t j = 0; j < n; j += N) {
      int64_t columns = min_of(N, n - j), b_step = N;
      const T* panel = packed_b + j * k;
      if (!p.pack_b && columns == N) {
        panel = block_b + j;
        b_step = p.b_row;
      } else if (!p.pack_b) {  // the last panel would read past the row: this one is packed
        panel = packed_b;
        pack<T, N>(block_b + j, 1, p.b_row, columns, k, packed_b);
      }
      for (int64_t i = 0; i < m; i += kMr) {
        int64_t rows = min_of(kMr, m - i);
        if (p.pack_a)
          multiply_tile<T, true>(packed_a + i * k, 0, 0, rows, panel, b_step, k, tile);
        else
          multiply_tile<T, false>(block_a + i * p.a_row, p.a_row, p.a_column, rows, panel, b_step, k, tile);
        store_tile(tile, c + i * p.c_row + j * p.c_column, p.c_row, p.c_column, rows, columns, k0 > 0);
      }
    }
  }
}

// The same by dot products.
template <typename T>
void multiply_lines(const Product& p, const T* a, const T* b, T* c, int64_t m, int64_t n, int64_t length) {
  alignas(64) T tile[kMr * kNr<T>];
  for (int64_t k0 = 0; k0 < length; k0 += kDotBlock)
    for (int64_t i = 0; i < m; i += kMr)
      for (int64_t j = 0; j < n; j += kDotColumns) {
        int64_t k = min_of(kDotBlock, length - k0), rows = min_of(kMr, m - i), columns = min_of(kDotColumns, n - j);
        multiply_dots<T>(a + i * p.a_row + k0, p.a_row, rows, b + j * p.b_column + k0, p.b_column, columns, k, tile);
        store_tile(tile, c + i * p.c_row + j * p.c_column, p.c_row, p.c_column, rows, columns, k0 > 0);
      }
}

// c += parts[0] + parts[1] + …, in this order.
template <typename T>
void add_parts(T* c, const T* parts, int64_t count, int64_t n, Exec& exec) {
  parallel_ranges(exec, n, 4096, [&](int64_t begin, int64_t end, void*) {
    for (int64_t q = 0; q < count; ++q)
      for (int64_t i = begin; i < end; ++i) c[i] += parts[q * n + i];
  });
}

template <typename T>
void multiply(const KernelArgs& args, Exec& exec) {
  const Product p = product_of(args, kNr<T>);
  const T *a = args.in[p.swapped ? 1 : 0].as<const T>(), *b = args.in[p.swapped ? 0 : 1].as<const T>();
  T *c = args.out[0].as<T>(), *parts = static_cast<T*>(exec.shared);
  const int64_t across = p.across(), tiles = p.down() * across, size = p.batch * p.m * p.n;
  double flops = static_cast<double>(p.tile_m) * static_cast<double>(p.tile_n) * static_cast<double>(p.piece);
  int64_t per_task = flops < kTaskFlops ? max_of(1, static_cast<int64_t>(kTaskFlops / flops)) : 1;
  parallel_ranges(exec, p.batch * tiles * p.pieces, per_task, [&](int64_t begin, int64_t end, void* scratch) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t k0 = t % p.pieces * p.piece, tile = t / p.pieces % tiles, batch = t / p.pieces / tiles;
      const int64_t m0 = tile / across * p.tile_m, n0 = tile % across * p.tile_n;
      const int64_t m = min_of(p.tile_m, p.m - m0), n = min_of(p.tile_n, p.n - n0), k = min_of(p.piece, p.k - k0);
      const T* from_a = a + batch * p.m * p.k + m0 * p.a_row + k0 * p.a_column;
      const T* from_b = b + batch * p.k * p.n + k0 * p.b_row + n0 * p.b_column;
      T* to = (k0 == 0 ? c : parts + (t % p.pieces - 1) * size) + batch * p.m * p.n + m0 * p.c_row + n0 * p.c_column;
      if (p.dots)
        multiply_lines(p, from_a, from_b, to, m, n, k);
      else
        multiply_panels(p, from_a, from_b, to, m, n, k, static_cast<T*>(scratch));
    }
  });
  if (p.pieces > 1) add_parts(c, parts, p.pieces - 1, size, exec);
}

// ---- entry points ---------------------------------------------------------------------------------------------------------------

Status check_matmul(const KernelArgs& args) {
  const bool says_exact = args.nattrs == 3;  // float32 products are exact here anyway
  ALUDEL_RETURN_IF_ERROR(check_arity("matmul", args, 2, 1, says_exact ? 3 : 2));
  const TensorRef &a = args.in[0], &b = args.in[1], &y = args.out[0];
  int64_t ta, tb, exact;
  if (!integer_attr(args.attrs[0], 0, 1, &ta) || !integer_attr(args.attrs[1], 0, 1, &tb))
    return wrong("matmul", "transpose flags of 0 or 1");
  if (says_exact && !integer_attr(args.attrs[2], 0, 1, &exact)) return wrong("matmul", "an exactness of 0 or 1");
  if ((a.dtype != DType::f32 && a.dtype != DType::f64) || b.dtype != a.dtype || y.dtype != a.dtype)
    return wrong("matmul", "f32 or f64 throughout");
  if (a.rank < 2 || b.rank != a.rank || y.rank != a.rank) return wrong("matmul", "operands and output of one rank, 2 or more");
  if (!same_leading(a, b, a.rank - 2) || !same_leading(a, y, a.rank - 2)) return wrong("matmul", "equal leading dimensions");
  int64_t m = ta ? a.dim(-1) : a.dim(-2), k = ta ? a.dim(-2) : a.dim(-1), kb = tb ? b.dim(-1) : b.dim(-2), n = tb ? b.dim(-2) : b.dim(-1);
  if (k != kb)
    return fail(Code::invalid_program, "matmul: inner dimensions %lld and %lld differ", static_cast<long long>(k),
                static_cast<long long>(kb));
  if (y.dim(-2) != m || y.dim(-1) != n)
    return fail(Code::invalid_program, "matmul: expected an output [...,%lld,%lld]", static_cast<long long>(m), static_cast<long long>(n));
  return {};
}

Product plan_of(const KernelArgs& args) { return product_of(args, args.out[0].dtype == DType::f32 ? kNr<float> : kNr<double>); }

int64_t scratch_matmul(const KernelArgs& args) {
  const Product p = plan_of(args);
  return p.dots ? 0 : (p.tile_n + p.tile_m) * kKc * size_of(args.out[0].dtype);
}

int64_t shared_matmul(const KernelArgs& args) { return (plan_of(args).pieces - 1) * args.out[0].bytes(); }

Status run_matmul(const KernelArgs& args, Exec& exec) {
  const TensorRef& y = args.out[0];
  if (y.numel() == 0) return {};
  if (args.in[0].numel() == 0) {
    memset(y.data, 0, static_cast<size_t>(y.bytes()));  // a sum over nothing
    return {};
  }
  if (y.dtype == DType::f32)
    multiply<float>(args, exec);
  else
    multiply<double>(args, exec);
  return {};
}

}  // namespace

extern const Kernel kernel_matmul;
const Kernel kernel_matmul = {check_matmul, scratch_matmul, run_matmul, shared_matmul};

}  // namespace aludel::cpu::ALUDEL_ISA
