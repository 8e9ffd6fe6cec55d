// Rows by index: one_hot, gather, scatter_add. Indices are data, so they are checked in run(), before anything is written.
// scatter_add: tasks own blocks of (destination rows x columns) and each walks all sources in order, accumulating in float64;
// no two tasks touch one element, and the order of additions never depends on the split.
#include "native/cpu/kernels/checks.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kGrainBytes = 128 * 1024;
constexpr int64_t kColumns = 512;              // scatter_add: columns of a block
constexpr int64_t kBlockElements = 32 * 1024;  // scatter_add: accumulators of a block

// ---- check ----------------------------------------------------------------------------------------------------------------------

Status check_index_data(const char* op, const TensorRef& index, int64_t limit) {
  const int32_t* values = index.as<const int32_t>();
  int64_t n = index.numel();
  for (int64_t i = 0; i < n; ++i)
    if (values[i] < 0 || values[i] >= limit)
      return fail(Code::invalid_index, "%s: index %d at position %lld is outside 0..%lld", op, values[i], static_cast<long long>(i),
                  static_cast<long long>(limit - 1));
  return {};
}

// `table` is [R, ...] and `rows` is [M, ...] with the same rest; index is i32 [M].
Status check_rows(const char* op, const TensorRef& table, const TensorRef& rows, const TensorRef& index) {
  if (index.dtype != DType::i32 || index.rank != 1) return wrong(op, "an i32 index of rank 1");
  if (table.rank < 1 || rows.rank != table.rank || rows.dims[0] != index.dims[0])
    return wrong(op, "a row of the other operand for each index");
  if (table.dtype != rows.dtype) return wrong(op, "one dtype for both sides");
  for (int d = 1; d < table.rank; ++d)
    if (table.dims[d] != rows.dims[d]) return wrong(op, "rows of one shape on both sides");
  return {};
}

int64_t row_elements(const TensorRef& t) {
  int64_t n = 1;
  for (int d = 1; d < t.rank; ++d) n *= t.dims[d];
  return n;
}

// ---- one_hot --------------------------------------------------------------------------------------------------------------------

Status check_one_hot(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_arity("one_hot", args, 1, 1, 0));
  const TensorRef &x = args.in[0], &y = args.out[0];
  if (x.dtype != DType::i32 || y.dtype != DType::f32) return wrong("one_hot", "i32 in, f32 out");
  return y.rank == x.rank + 1 && same_leading(x, y, x.rank) ? Status{}
                                                            : wrong("one_hot", "an output of the input's shape with one axis more");
}
Status run_one_hot(const KernelArgs& args, Exec& exec) {
  const TensorRef &x = args.in[0], &y = args.out[0];
  int64_t k = y.dim(-1);
  ALUDEL_RETURN_IF_ERROR(check_index_data("one_hot", x, k));
  if (k == 0) return {};
  parallel_ranges(exec, x.numel(), max_of(1, kGrainBytes / (k * 4)), [&](int64_t begin, int64_t end, void*) {
    memset(y.as<float>() + begin * k, 0, static_cast<size_t>((end - begin) * k) * sizeof(float));
    for (int64_t r = begin; r < end; ++r) y.as<float>()[r * k + x.as<const int32_t>()[r]] = 1.0f;
  });
  return {};
}

// ---- gather ---------------------------------------------------------------------------------------------------------------------

Status check_gather(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_arity("gather", args, 2, 1, 0));
  return check_rows("gather", args.in[0], args.out[0], args.in[1]);
}
Status run_gather(const KernelArgs& args, Exec& exec) {
  const TensorRef &x = args.in[0], &index = args.in[1], &y = args.out[0];
  ALUDEL_RETURN_IF_ERROR(check_index_data("gather", index, x.dims[0]));
  int64_t bytes = row_elements(x) * size_of(x.dtype);
  if (bytes == 0) return {};
  // Long rows are cut into pieces, so that few of them still feed several workers.
  int64_t piece = min_of(bytes, kGrainBytes), pieces = ceil_div(bytes, piece);
  parallel_ranges(exec, index.dims[0] * pieces, max_of(1, kGrainBytes / piece), [&](int64_t begin, int64_t end, void*) {
    for (int64_t u = begin; u < end; ++u) {
      int64_t row = u / pieces, at = u % pieces * piece;
      memcpy(y.as<char>() + row * bytes + at, x.as<const char>() + index.as<const int32_t>()[row] * bytes + at,
             static_cast<size_t>(min_of(piece, bytes - at)));
    }
  });
  return {};
}

// ---- scatter_add ----------------------------------------------------------------------------------------------------------------

struct Blocks {
  int64_t columns, rows;  // of one block
};
Blocks blocks_of(const TensorRef& y) {
  int64_t columns = max_of(1, min_of(row_elements(y), kColumns));
  return {columns, max_of(1, min_of(y.dims[0], kBlockElements / columns))};
}

template <typename T>
void scatter_block(const KernelArgs& args, int64_t row, int64_t rows, int64_t column, int64_t columns, double* sums) {
  const int32_t* index = args.in[1].as<const int32_t>();
  int64_t width = row_elements(args.out[0]), sources = args.in[1].dims[0];
  for (int64_t i = 0; i < rows * columns; ++i) sums[i] = 0;
  for (int64_t m = 0; m < sources; ++m) {
    int64_t r = index[m] - row;
    if (r < 0 || r >= rows) continue;
    const T* from = args.in[0].as<const T>() + m * width + column;
    double* to = sums + r * columns;
    for (int64_t c = 0; c < columns; ++c) to[c] += static_cast<double>(from[c]);
  }
  for (int64_t r = 0; r < rows; ++r) {
    T* to = args.out[0].as<T>() + (row + r) * width + column;
    for (int64_t c = 0; c < columns; ++c) to[c] = static_cast<T>(sums[r * columns + c]);
  }
}

Status check_scatter_add(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_arity("scatter_add", args, 2, 1, 0));
  if (args.out[0].dtype != DType::f32 && args.out[0].dtype != DType::f64) return wrong("scatter_add", "f32 or f64");
  return check_rows("scatter_add", args.out[0], args.in[0], args.in[1]);
}
int64_t scratch_scatter_add(const KernelArgs& args) {
  Blocks blocks = blocks_of(args.out[0]);
  return blocks.columns * blocks.rows * 8;
}
Status run_scatter_add(const KernelArgs& args, Exec& exec) {
  const TensorRef& y = args.out[0];
  ALUDEL_RETURN_IF_ERROR(check_index_data("scatter_add", args.in[1], y.dims[0]));
  if (y.numel() == 0) return {};
  Blocks blocks = blocks_of(y);
  int64_t width = row_elements(y), across = ceil_div(width, blocks.columns), down = ceil_div(y.dims[0], blocks.rows);
  parallel_for(exec, across * down, [&](int64_t task, void* scratch) {
    int64_t row = task / across * blocks.rows, column = task % across * blocks.columns;
    int64_t rows = min_of(blocks.rows, y.dims[0] - row), columns = min_of(blocks.columns, width - column);
    if (y.dtype == DType::f32)
      scatter_block<float>(args, row, rows, column, columns, static_cast<double*>(scratch));
    else
      scatter_block<double>(args, row, rows, column, columns, static_cast<double*>(scratch));
  });
  return {};
}

}  // namespace

extern const Kernel kernel_one_hot;
extern const Kernel kernel_gather;
extern const Kernel kernel_scatter_add;
const Kernel kernel_one_hot = {check_one_hot, nullptr, run_one_hot};
const Kernel kernel_gather = {check_gather, nullptr, run_gather};
const Kernel kernel_scatter_add = {check_scatter_add, scratch_scatter_add, run_scatter_add};

}  // namespace aludel::cpu::ALUDEL_ISA
