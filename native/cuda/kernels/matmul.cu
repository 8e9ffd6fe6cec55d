// Batched matrix product, float32 (gemm.cuh) or float64 (matmul_f64.cu), either operand transposed.
#include "native/cuda/kernels/gemm.cuh"
#include "native/cuda/kernels/matmul.h"
#include "native/cuda/kernels/matrix_source.cuh"

namespace aludel::cuda {
namespace {

constexpr int64_t kMostLines = (int64_t{1} << 31) - 256;  // indices and their rounding up to tiles are 32-bit numbers

template <bool a_along_k, bool b_along_k, int vector>
struct MatmulProblem {
  using A = MatrixSource<a_along_k, vector>;
  using B = MatrixSource<b_along_k, vector>;
  static constexpr bool column_sums = false, squares = false;
  static constexpr GemmTiles tiles = {vector == 4, vector == 4, false};

  int m, n, k;
  const float *a, *b;
  int64_t a_batch, b_batch;
  uint32_t a_line, a_k, b_line, b_k;
  float* out;
  int64_t split_stride;

  struct Part {
    int m, n, k;
    const MatmulProblem& problem;
    int64_t batch;

    __device__ __forceinline__ A a() const { return {problem.a + batch * problem.a_batch, m, k, problem.a_line, problem.a_k}; }
    __device__ __forceinline__ B b() const { return {problem.b + batch * problem.b_batch, n, k, problem.b_line, problem.b_k}; }
    __device__ __forceinline__ int64_t row(int i) const { return (batch * m + i) * n; }
  };
  __device__ __forceinline__ Part part(int64_t batch) const { return {m, n, k, *this, batch}; }
  __device__ __forceinline__ const float* bias(int64_t) const { return nullptr; }
};

// Whether 16-byte copies can be made along the contiguous axis of both operands; all else goes element by element.
bool aligned(const Matmul<float>& p) {
  const int64_t a = p.transpose_a ? p.m : p.k, b = p.transpose_b ? p.k : p.n;
  return a % 4 == 0 && b % 4 == 0 && p.a_batch % 4 == 0 && p.b_batch % 4 == 0;
}

GemmPlan plan_of(const Matmul<float>& p) {
  const bool vector = aligned(p);
  return gemm_plan({p.batch, p.m, p.n, p.k}, {vector, vector, false});
}

template <bool a_along_k, bool b_along_k, int vector>
Status launch_layout(const Matmul<float>& p, void* workspace, const Context& context) {
  const GemmPlan plan = plan_of(p);
  const int64_t count = p.batch * p.m * p.n;
  const bool split = plan.splits > 1;
  float* out = split ? static_cast<float*>(workspace) : p.out;
  const MatmulProblem<a_along_k, b_along_k, vector> problem = {
      int(p.m),
      int(p.n),
      int(p.k),
      p.a,
      p.b,
      p.a_batch,
      p.b_batch,
      p.transpose_a ? 1 : uint32_t(p.k),
      p.transpose_a ? uint32_t(p.m) : 1,
      p.transpose_b ? uint32_t(p.k) : 1,
      p.transpose_b ? 1 : uint32_t(p.n),
      out,
      count,
  };
  ALUDEL_RETURN_IF_ERROR(launch_gemm(problem, plan, p.batch, context));
  return split ? sum_splits(out, plan.splits, count, nullptr, p.m, p.n, p.out, context) : Status{};
}

template <typename T>
Matmul<T> matmul_of(const KernelArgs& args) {
  const TensorRef &a = args.in[0], &b = args.in[1], &y = args.out[0];
  Matmul<T> p = {};
  p.transpose_a = args.attrs[0] != 0;
  p.transpose_b = args.attrs[1] != 0;
  p.batch = 1;
  for (int d = 0; d < y.rank - 2; ++d) p.batch *= y.dims[d];
  p.m = y.dim(-2);
  p.n = y.dim(-1);
  p.k = p.transpose_a ? a.dim(-2) : a.dim(-1);
  p.a = a.as<const T>();
  p.b = b.as<const T>();
  p.a_batch = p.m * p.k;
  p.b_batch = p.k * p.n;
  p.out = y.as<T>();
  return p;
}

int64_t workspace_bytes(const KernelArgs& args, const DeviceInfo&) {
  if (args.out[0].numel() == 0) return 0;
  if (args.out[0].dtype == DType::f64) return matmul_workspace_bytes(matmul_of<double>(args));
  return matmul_workspace_bytes(matmul_of<float>(args));
}

Status launch_kernel(const KernelArgs& args, const Context& context) {
  if (args.out[0].numel() == 0) return {};
  if (args.out[0].dtype == DType::f64) return launch_matmul(matmul_of<double>(args), context.workspace, context);
  // the third attribute: operands as they are, whatever the device's precision
  DeviceInfo device = *context.device;
  if (args.nattrs > 2 && args.attrs[2] != 0) device.precision = Precision::f32;
  Context products = context;
  products.device = &device;
  return launch_matmul(matmul_of<float>(args), context.workspace, products);
}

Status check(const KernelArgs& args) {
  const TensorRef &a = args.in[0], &y = args.out[0];
  const int64_t k = args.attrs[0] != 0 ? a.dim(-2) : a.dim(-1);
  const int64_t m = y.dim(-2), n = y.dim(-1), larger = m > n ? m : n;
  if (larger <= kMostLines && k <= kMostLines && (k == 0 || larger <= kMostElements / k)) return {};
  return fail(Code::invalid_program,
              "matmul: expected at most %lld rows, columns and inner axis, and %lld elements of a matrix on CUDA, got [%lld,%lld] times "
              "[%lld,%lld]; cut the product, or take device 'cpu'",
              static_cast<long long>(kMostLines), static_cast<long long>(kMostElements), static_cast<long long>(m),
              static_cast<long long>(k), static_cast<long long>(k), static_cast<long long>(n));
}

}  // namespace

int64_t matmul_workspace_bytes(const Matmul<float>& p) { return gemm_workspace_bytes(plan_of(p), p.batch * p.m * p.n); }

Status launch_matmul(const Matmul<float>& p, void* workspace, const Context& context) {
  if (!aligned(p)) return launch_layout<false, false, 1>(p, workspace, context);
  if (p.transpose_a)
    return p.transpose_b ? launch_layout<false, true, 4>(p, workspace, context) : launch_layout<false, false, 4>(p, workspace, context);
  return p.transpose_b ? launch_layout<true, true, 4>(p, workspace, context) : launch_layout<true, false, 4>(p, workspace, context);
}

extern const Kernel kernel_matmul;
const Kernel kernel_matmul = {workspace_bytes, launch_kernel, check};

}  // namespace aludel::cuda
