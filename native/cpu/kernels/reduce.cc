// sum, max over any axes, and argmax over the last. Neighbouring axes of the same kind are merged; then every case is one of two
// primitives: a run summed to a number (last axis reduced) or rows added into a block of columns (last axis kept).
// Numerics: float sums accumulate in float64. A reduction with few outputs is cut into parts by shape and joined in order.
#include "native/cpu/kernels/checks.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kGrain = 32768;    // elements read by one task
constexpr int64_t kSegment = 4096;   // longest run of one primitive
constexpr int64_t kColumns = 512;    // columns of one block of accumulators
constexpr int64_t kPartials = 4096;  // accumulators of a reduction in parts, on the caller's stack

// ---- element types --------------------------------------------------------------------------------------------------------------

struct Sum {
  template <typename A>
  static ALUDEL_INLINE A join(A a, A b) {
    return a + b;
  }
  template <typename A>
  static ALUDEL_INLINE A first() {
    return A{0};
  }
};
struct Max {  // NaN wins
  template <typename A>
  static ALUDEL_INLINE A join(A a, A b) {
    return (b > a) | (b != b) ? b : a;
  }
  template <typename A>
  static ALUDEL_INLINE A first() {
    if constexpr (A(0.5) != A(0))
      return -static_cast<A>(__builtin_inf());
    else
      return static_cast<A>(INT32_MIN);
  }
};

template <typename Op, typename T>
struct Accumulator {
  typedef T type;
};
template <>
struct Accumulator<Sum, float> {
  typedef double type;
};
template <>
struct Accumulator<Sum, int32_t> {
  typedef uint64_t type;  // wraps instead of overflowing
};

// ---- primitives -----------------------------------------------------------------------------------------------------------------

template <typename Op, typename T, typename A>
ALUDEL_INLINE A reduce_run(const T* x, int64_t n, A acc) {
  constexpr int W = 16;
  A lanes[W];
  for (int j = 0; j < W; ++j) lanes[j] = Op::template first<A>();
  int64_t i = 0;
  for (; i + W <= n; i += W)
    for (int j = 0; j < W; ++j) lanes[j] = Op::join(lanes[j], static_cast<A>(x[i + j]));
  for (; i < n; ++i) acc = Op::join(acc, static_cast<A>(x[i]));
  for (int w = W / 2; w > 0; w /= 2)
    for (int j = 0; j < w; ++j) lanes[j] = Op::join(lanes[j], lanes[j + w]);
  return Op::join(acc, lanes[0]);
}

// Float32 sums: four float64 vectors, each fed by half a float32 vector.
typedef float half_vector __attribute__((vector_size(ALUDEL_VW * 2), aligned(4), may_alias));
ALUDEL_INLINE vd widen(const float* p) { return __builtin_convertvector(*reinterpret_cast<const half_vector*>(p), vd); }

template <>
ALUDEL_INLINE double reduce_run<Sum, float, double>(const float* x, int64_t n, double acc) {
  vd s0{}, s1{}, s2{}, s3{};
  int64_t i = 0;
  for (; i + 4 * VD <= n; i += 4 * VD) {
    s0 += widen(x + i);
    s1 += widen(x + i + VD);
    s2 += widen(x + i + 2 * VD);
    s3 += widen(x + i + 3 * VD);
  }
  vd s = (s0 + s1) + (s2 + s3);
  double total = 0;
  for (int j = 0; j < VD; ++j) total += s[j];
  for (; i < n; ++i) total += static_cast<double>(x[i]);
  return acc + total;
}

template <typename Op, typename T, typename A>
ALUDEL_INLINE void reduce_columns(const T* __restrict__ x, A* __restrict__ acc, int64_t n) {
  for (int64_t j = 0; j < n; ++j) acc[j] = Op::join(acc[j], static_cast<A>(x[j]));
}

// ---- the shape of a reduction -----------------------------------------------------------------------------------------------------

struct Axes {
  int n;
  int64_t dims[kMaxRank], strides[kMaxRank];
  ALUDEL_INLINE int64_t count() const {
    int64_t total = 1;
    for (int i = 0; i < n; ++i) total *= dims[i];
    return total;
  }
  ALUDEL_INLINE int64_t offset(int64_t flat) const {
    int64_t sum = 0;
    for (int i = n - 1; i >= 0; --i) {
      sum += flat % dims[i] * strides[i];
      flat /= dims[i];
    }
    return sum;
  }
};

// The innermost merged axis is `inner`; the others, by kind, in `kept` and `reduced`.
struct Layout {
  bool inner_reduced;
  int64_t inner;
  Axes kept, reduced;
};

Layout layout_of(const TensorRef& x, const double* axes, int naxes) {
  bool is_reduced[kMaxRank] = {};
  for (int i = 0; i < naxes; ++i) is_reduced[static_cast<int>(axes[i])] = true;
  int64_t dims[kMaxRank], strides[kMaxRank], stride = 1;  // innermost first
  bool kind[kMaxRank];
  int n = 0;
  for (int d = x.rank - 1; d >= 0; --d) {
    if (x.dims[d] == 1) continue;
    if (n > 0 && kind[n - 1] == is_reduced[d]) {
      dims[n - 1] *= x.dims[d];
    } else {
      dims[n] = x.dims[d];
      strides[n] = stride;
      kind[n++] = is_reduced[d];
    }
    stride *= x.dims[d];
  }
  Layout layout = {};
  layout.inner = n > 0 ? dims[0] : 1;
  layout.inner_reduced = n > 0 && kind[0];
  for (int i = n - 1; i > 0; --i) {
    Axes& to = kind[i] ? layout.reduced : layout.kept;
    to.dims[to.n] = dims[i];
    to.strides[to.n++] = strides[i];
  }
  return layout;
}

// ---- kernels --------------------------------------------------------------------------------------------------------------------

// A reduction's work: columns of outputs (one when the inner axis is reduced) times rows to join.
struct Work {
  int64_t outer, columns, rows, segments, parts;
};

Work work_of(const Layout& layout) {
  Work work;
  work.outer = layout.kept.count();
  work.columns = layout.inner_reduced ? 1 : layout.inner;
  work.segments = layout.inner_reduced ? ceil_div(layout.inner, kSegment) : 1;
  work.rows = layout.reduced.count() * work.segments;
  int64_t row_elements = layout.inner_reduced ? min_of(layout.inner, kSegment) : layout.inner;
  int64_t wanted = work.rows * row_elements / kGrain;                  // parts of one output row of useful size
  int64_t allowed = kPartials / max_of(1, work.outer * work.columns);  // and as many as the stack holds
  work.parts = max_of(1, min_of(min_of(wanted, allowed), min_of(work.rows, 64)));
  return work;
}

// Joins rows first..last-1 of output row `outer`, columns c..c+n-1, into acc.
template <typename Op, typename T, typename A>
void reduce_block(const Layout& layout, const Work& work, const T* x, int64_t outer, int64_t c, int64_t n, int64_t first, int64_t last,
                  A* acc) {
  const T* base = x + layout.kept.offset(outer);
  for (int64_t j = 0; j < n; ++j) acc[j] = Op::template first<A>();
  if (layout.inner_reduced) {
    for (int64_t r = first; r < last; ++r) {
      int64_t start = r % work.segments * kSegment;
      acc[0] =
          reduce_run<Op, T, A>(base + layout.reduced.offset(r / work.segments) + start, min_of(kSegment, layout.inner - start), acc[0]);
    }
  } else if (layout.reduced.n == 1) {
    for (int64_t r = first; r < last; ++r) reduce_columns<Op, T, A>(base + r * layout.reduced.strides[0] + c, acc, n);
  } else {
    for (int64_t r = first; r < last; ++r) reduce_columns<Op, T, A>(base + layout.reduced.offset(r) + c, acc, n);
  }
}

// Few outputs, many rows: parts side by side, then joined in their order.
template <typename Op, typename T, typename A>
void reduce_in_parts(const Layout& layout, const Work& work, const T* x, T* y, Exec& exec) {
  A partials[kPartials];
  int64_t outputs = work.outer * work.columns;
  parallel_for(exec, work.parts, [&](int64_t part, void*) {
    int64_t first = work.rows * part / work.parts, last = work.rows * (part + 1) / work.parts;
    for (int64_t o = 0; o < work.outer; ++o)
      for (int64_t c = 0; c < work.columns; c += kColumns)
        reduce_block<Op, T, A>(layout, work, x, o, c, min_of(kColumns, work.columns - c), first, last,
                               partials + part * outputs + o * work.columns + c);
  });
  for (int64_t j = 0; j < outputs; ++j) {
    A acc = partials[j];
    for (int64_t part = 1; part < work.parts; ++part) acc = Op::join(acc, partials[part * outputs + j]);
    y[j] = static_cast<T>(acc);
  }
}

template <typename Op, typename T>
void reduce(const KernelArgs& args, Exec& exec) {
  typedef typename Accumulator<Op, T>::type A;
  const T* x = args.in[0].as<const T>();
  T* y = args.out[0].as<T>();
  Layout layout = layout_of(args.in[0], args.attrs, args.nattrs);
  Work work = work_of(layout);
  if (work.parts > 1) return reduce_in_parts<Op, T, A>(layout, work, x, y, exec);
  int64_t blocks = ceil_div(work.columns, kColumns);
  int64_t row_elements = layout.inner_reduced ? min_of(layout.inner, kSegment) : min_of(layout.inner, kColumns);
  int64_t per_task = max_of(1, kGrain / max_of(1, work.rows * row_elements));
  parallel_ranges(exec, work.outer * blocks, per_task, [&](int64_t begin, int64_t end, void*) {
    A acc[kColumns];
    for (int64_t u = begin; u < end; ++u) {
      int64_t outer = u / blocks, c = u % blocks * kColumns, n = min_of(kColumns, work.columns - c);
      reduce_block<Op, T, A>(layout, work, x, outer, c, n, 0, work.rows, acc);
      for (int64_t j = 0; j < n; ++j) y[outer * work.columns + c + j] = static_cast<T>(acc[j]);
    }
  });
}

template <typename T>
void argmax_rows(const T* x, int32_t* y, int64_t begin, int64_t end, int64_t n) {
  for (int64_t r = begin; r < end; ++r) {
    const T* row = x + r * n;
    int64_t best = 0;
    for (int64_t i = 1; i < n; ++i)
      if (row[i] > row[best]) best = i;  // a NaN is never larger
    y[r] = static_cast<int32_t>(best);
  }
}

// ---- entry points ---------------------------------------------------------------------------------------------------------------

Status check_reduce(const char* op, const KernelArgs& args, bool empty_allowed) {
  ALUDEL_RETURN_IF_ERROR(check_arity(op, args, 1, 1, args.nattrs));
  const TensorRef &x = args.in[0], &y = args.out[0];
  if (x.dtype != y.dtype || (x.dtype != DType::f32 && x.dtype != DType::f64 && x.dtype != DType::i32))
    return wrong(op, "f32, f64 or i32, the same on both sides");
  bool is_reduced[kMaxRank] = {};
  int64_t axis = -1, reduced = 1;
  for (int i = 0; i < args.nattrs; ++i) {
    if (!integer_attr(args.attrs[i], axis + 1, x.rank - 1, &axis)) return wrong(op, "ascending axes of the input");
    is_reduced[axis] = true;
    reduced *= x.dims[axis];
  }
  if (reduced == 0 && !empty_allowed) return wrong(op, "at least one element to choose from");
  int k = 0;
  for (int d = 0; d < x.rank; ++d)
    if (!is_reduced[d] && (k >= y.rank || y.dims[k++] != x.dims[d])) return wrong(op, "the output to have the kept axes of the input");
  return k == y.rank ? Status{} : wrong(op, "the output to have the kept axes of the input");
}

Status check_sum(const KernelArgs& args) { return check_reduce("sum", args, true); }
Status check_max(const KernelArgs& args) { return check_reduce("max", args, false); }

template <typename Op>
Status run_reduce(const KernelArgs& args, Exec& exec) {
  const TensorRef &x = args.in[0], &y = args.out[0];
  if (y.numel() == 0) return {};
  if (x.numel() == 0) {
    memset(y.data, 0, static_cast<size_t>(y.bytes()));  // an empty sum; an empty max is refused by check
    return {};
  }
  if (x.dtype == DType::f32) reduce<Op, float>(args, exec);
  if (x.dtype == DType::f64) reduce<Op, double>(args, exec);
  if (x.dtype == DType::i32) reduce<Op, int32_t>(args, exec);
  return {};
}

Status check_argmax(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_arity("argmax", args, 1, 1, 0));
  const TensorRef &x = args.in[0], &y = args.out[0];
  if (y.dtype != DType::i32 || (x.dtype != DType::f32 && x.dtype != DType::f64 && x.dtype != DType::i32))
    return wrong("argmax", "f32, f64 or i32 in, i32 out");
  if (x.rank < 1 || y.rank != x.rank - 1 || !same_leading(x, y, y.rank))
    return wrong("argmax", "the output to be the input without its last axis");
  int64_t n = x.dim(-1);
  return n >= 1 && n <= INT32_MAX ? Status{} : wrong("argmax", "a last axis of 1..2^31-1 elements");
}
Status run_argmax(const KernelArgs& args, Exec& exec) {
  const TensorRef &x = args.in[0], &y = args.out[0];
  int64_t n = x.dim(-1);
  parallel_ranges(exec, y.numel(), max_of(1, kGrain / n), [&](int64_t begin, int64_t end, void*) {
    if (x.dtype == DType::f32) argmax_rows(x.as<const float>(), y.as<int32_t>(), begin, end, n);
    if (x.dtype == DType::f64) argmax_rows(x.as<const double>(), y.as<int32_t>(), begin, end, n);
    if (x.dtype == DType::i32) argmax_rows(x.as<const int32_t>(), y.as<int32_t>(), begin, end, n);
  });
  return {};
}

}  // namespace

extern const Kernel kernel_sum;
extern const Kernel kernel_max;
extern const Kernel kernel_argmax;
const Kernel kernel_sum = {check_sum, nullptr, run_reduce<Sum>};
const Kernel kernel_max = {check_max, nullptr, run_reduce<Max>};
const Kernel kernel_argmax = {check_argmax, nullptr, run_argmax};

}  // namespace aludel::cpu::ALUDEL_ISA
