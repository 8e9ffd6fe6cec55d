// Batched matrix product, float32 or float64, either operand transposed. Register tiles of 6 x 2 vectors over panels of 256 along K.
// Operands are packed into panels, except where packing would cost more than the product: with few columns A is read in place, with few
// rows B is. When the long operand lies the wrong way for that, the transposed problem C' = B' A' is solved and stored transposed.
// Numerics: float32 products accumulate in float32, panel by panel in the order of K; the split of the work depends on shapes alone.
#include "native/cpu/kernels/checks.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kMr = 6;
constexpr int64_t kKc = 256;
constexpr int64_t kFewColumns = 3;          // in register tiles: up to here A stays in place
constexpr int64_t kFewRows = 3;             // in register tiles: up to here B stays in place
constexpr int64_t kTaskFlops = 256 * 1024;  // small products of a batch share a task

template <typename T>
struct Tile;
template <>
struct Tile<float> {
  typedef vf V;
  typedef float Unaligned __attribute__((vector_size(ALUDEL_VW * 4), aligned(4), may_alias));
  static constexpr int64_t width = VW;
};
template <>
struct Tile<double> {
  typedef vd V;
  typedef double Unaligned __attribute__((vector_size(ALUDEL_VW * 4), aligned(8), may_alias));
  static constexpr int64_t width = VD;
};
template <typename T>
constexpr int64_t kNr = 2 * Tile<T>::width;

// One product with free strides on every side: a[i, k], b[k, j], c[i, j].
struct Product {
  int64_t m, n, k;
  int64_t a_row, a_column, b_row, b_column, c_row, c_column;
  int64_t batch;
  bool swapped;  // operands exchanged: a and b below are the instruction's b and a
  bool pack_a, pack_b;
  int64_t tile_m, tile_n;
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
  p.tile_m = round_up(min_of(p.m, p.pack_a ? 192 : 126), kMr);
  p.tile_n = round_up(min_of(p.n, 256), nr);
  return p;
}

// ---- packing --------------------------------------------------------------------------------------------------------------------

// Panels of `width` lines (rows of a, columns of b), k-major, short panels filled with zeros.
template <typename T, int64_t width>
void pack(const T* x, int64_t line, int64_t step, int64_t lines, int64_t k, T* out) {
  for (int64_t first = 0; first < lines; first += width, out += width * k) {
    int64_t n = min_of(width, lines - first);
    const T* from = x + first * line;
    if (line == 1 && n == width) {
      for (int64_t i = 0; i < k; ++i) memcpy(out + i * width, from + i * step, width * sizeof(T));
      continue;
    }
    if (n < width) memset(out, 0, static_cast<size_t>(width * k) * sizeof(T));
    int64_t i = 0;
    for (; i + 8 <= k; i += 8)  // eight steps of a line at a time: whole cache lines in, short strides out
      for (int64_t l = 0; l < n; ++l)
        for (int64_t j = 0; j < 8; ++j) out[(i + j) * width + l] = from[l * line + (i + j) * step];
    for (; i < k; ++i)
      for (int64_t l = 0; l < n; ++l) out[i * width + l] = from[l * line + i * step];
  }
}

// ---- the register tile ------------------------------------------------------------------------------------------------------------

// acc[i][0..1] = sum over k of a[i, k] b[k, :]. Rows past the edge repeat the last one (a is read in place) or are zeros (packed).
template <typename T, bool packed_a>
ALUDEL_INLINE void multiply_tile(const T* a, int64_t a_row, int64_t a_column, int64_t rows, const T* b, int64_t b_row, int64_t k, T* out) {
  typedef typename Tile<T>::V V;
  typedef typename Tile<T>::Unaligned U;
  constexpr int64_t W = Tile<T>::width;
  V acc[kMr][2] = {};
  const T* row[kMr];
  for (int64_t i = 0; i < kMr; ++i) row[i] = a + (i < rows ? i : rows - 1) * a_row;
  for (int64_t p = 0; p < k; ++p) {
    V b0 = *reinterpret_cast<const U*>(b), b1 = *reinterpret_cast<const U*>(b + W);
    b += b_row;
#pragma GCC unroll 6
    for (int64_t i = 0; i < kMr; ++i) {
      V x = (packed_a ? a[p * kMr + i] : row[i][p * a_column]) - V{};
      acc[i][0] += x * b0;
      acc[i][1] += x * b1;
    }
  }
#pragma GCC unroll 6
  for (int64_t i = 0; i < kMr; ++i) {
    *reinterpret_cast<V*>(out + i * 2 * W) = acc[i][0];
    *reinterpret_cast<V*>(out + i * 2 * W + W) = acc[i][1];
  }
}

template <typename T>
void store_tile(const T* tile, T* c, int64_t c_row, int64_t c_column, int64_t rows, int64_t columns, bool add) {
  constexpr int64_t N = kNr<T>;
  if (c_column == 1 && columns == N) {
    for (int64_t i = 0; i < rows; ++i) {
      T* to = c + i * c_row;
      for (int64_t j = 0; j < N; ++j) to[j] = add ? to[j] + tile[i * N + j] : tile[i * N + j];
    }
    return;
  }
  for (int64_t j = 0; j < columns; ++j)
    for (int64_t i = 0; i < rows; ++i) {
      T* to = c + i * c_row + j * c_column;
      *to = add ? *to + tile[i * N + j] : tile[i * N + j];
    }
}

// ---- one task: a tile of C over all of K --------------------------------------------------------------------------------------------

template <typename T>
void multiply_task(const Product& p, const T* a, const T* b, T* c, int64_t m0, int64_t n0, T* scratch) {
  constexpr int64_t N = kNr<T>;
  alignas(64) T tile[kMr * N];
  int64_t m = min_of(p.tile_m, p.m - m0), n = min_of(p.tile_n, p.n - n0);
  T* packed_b = scratch;
  T* packed_a = scratch + p.tile_n * kKc;
  for (int64_t k0 = 0; k0 < p.k; k0 += kKc) {
    int64_t k = min_of(kKc, p.k - k0);
    const T* block_a = a + m0 * p.a_row + k0 * p.a_column;
    const T* block_b = b + k0 * p.b_row + n0 * p.b_column;
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
        store_tile(tile, c + (m0 + i) * p.c_row + (n0 + j) * p.c_column, p.c_row, p.c_column, rows, columns, k0 > 0);
      }
    }
  }
}

template <typename T>
void multiply(const KernelArgs& args, Exec& exec) {
  Product p = product_of(args, kNr<T>);
  const T *a = args.in[p.swapped ? 1 : 0].as<const T>(), *b = args.in[p.swapped ? 0 : 1].as<const T>();
  T* c = args.out[0].as<T>();
  int64_t down = ceil_div(p.m, p.tile_m), across = ceil_div(p.n, p.tile_n), tiles = down * across;
  double flops = static_cast<double>(p.tile_m) * static_cast<double>(p.tile_n) * static_cast<double>(p.k);
  int64_t per_task = flops < kTaskFlops ? max_of(1, static_cast<int64_t>(kTaskFlops / flops)) : 1;
  parallel_ranges(exec, p.batch * tiles, per_task, [&](int64_t begin, int64_t end, void* scratch) {
    for (int64_t t = begin; t < end; ++t) {
      int64_t batch = t / tiles, i = t % tiles / across, j = t % across;
      multiply_task<T>(p, a + batch * p.m * p.k, b + batch * p.k * p.n, c + batch * p.m * p.n, i * p.tile_m, j * p.tile_n,
                       static_cast<T*>(scratch));
    }
  });
}

// ---- entry points ---------------------------------------------------------------------------------------------------------------

Status check_matmul(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_arity("matmul", args, 2, 1, 2));
  const TensorRef &a = args.in[0], &b = args.in[1], &y = args.out[0];
  int64_t ta, tb;
  if (!integer_attr(args.attrs[0], 0, 1, &ta) || !integer_attr(args.attrs[1], 0, 1, &tb))
    return wrong("matmul", "transpose flags of 0 or 1");
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

int64_t scratch_matmul(const KernelArgs& args) {
  bool single = args.out[0].dtype == DType::f32;
  Product p = product_of(args, single ? kNr<float> : kNr<double>);
  return (p.tile_n + p.tile_m) * kKc * size_of(args.out[0].dtype);
}

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
const Kernel kernel_matmul = {check_matmul, scratch_matmul, run_matmul};

}  // namespace aludel::cpu::ALUDEL_ISA
