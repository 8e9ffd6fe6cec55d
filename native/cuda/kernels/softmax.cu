// log_softmax, and the second derivative of softmax cross-entropy: with T = sum t and p = softmax(z), softmax_ce_grad_grad gives
// gz = g T p (u - <u, p>) and gg = <u, T p - t>.
#include "native/cuda/kernels/softmax_rows.cuh"

namespace aludel::cuda {
namespace {

struct LogSoftmax {
  static constexpr bool kTargets = false, kDirections = false, kWrites = true;

  template <typename H, typename Z, typename T, typename U, typename O>
  static __device__ __forceinline__ void row(const H& h, const SoftmaxArgs&, int64_t, Z& z, T&, U&, O& out) {
    typedef typename H::Number Number;
    const Number m = row_max(h, z);
    typename H::Partial exponentials = 0;
    h.each([&](auto i, int) { exponentials += exp_of(z[i] - m); });
    const Number log_sum = static_cast<Number>(log_of(static_cast<typename H::Final>(h.total(exponentials))));
    h.each([&](auto i, int) { out[i] = (z[i] - m) - log_sum; });
  }
};

template <bool SOFT>
struct SecondGrad {
  static constexpr bool kTargets = SOFT, kDirections = true, kWrites = true;

  template <typename H, typename Z, typename T, typename U, typename O>
  static __device__ __forceinline__ void row(const H& h, const SoftmaxArgs& a, int64_t r, Z& z, T& t, U& u, O& out) {
    const float m = row_max(h, z);
    const int label = SOFT ? -1 : a.labels[r];
    typename H::Partial exponentials = 0, targets = 0, along_p = 0, along_t = 0;
    h.each([&](auto i, int k) {
      const float e = exp_of(z[i] - m);
      exponentials += e;
      if constexpr (SOFT) {
        targets += t[i], along_t += u[i] * t[i];
      } else {
        along_t += k == label ? u[i] : 0.0f;
      }
      out[i] = e;
    });
    const float inverse = static_cast<float>(1 / h.total(exponentials));
    h.each([&](auto i, int) {
      const float p = out[i] * inverse;
      along_p += u[i] * p;
      out[i] = p;
    });
    const auto total = SOFT ? h.total(targets) : 1, up = h.total(along_p), ut = h.total(along_t);
    const float scale = a.g[r] * static_cast<float>(total), mean = static_cast<float>(up);
    h.each([&](auto i, int) { out[i] = scale * out[i] * (u[i] - mean); });
    if (h.leads()) a.second[r] = static_cast<float>(total * up - ut);
  }
};

template <int THREADS>
__global__ void __launch_bounds__(kThreads, 2) log_softmax_f64(Guard guard, const double* z, double* y, int64_t rows, int K) {
  if (guard.stopped()) return;
  __shared__ double shared[kWarps];
  const StreamRow<double, THREADS> h{K, static_cast<int>(threadIdx.x) % THREADS, shared};
  constexpr int kRows = kThreads / THREADS;
  for (int64_t r = int64_t{blockIdx.x} * kRows + threadIdx.x / THREADS; r < rows; r += int64_t{gridDim.x} * kRows) {
    const double* from = z + r * K;
    double* to = y + r * K;
    LogSoftmax::row(h, SoftmaxArgs{}, r, from, from, from, to);
  }
}

Status launch_log_softmax(const KernelArgs& args, const Context& context) {
  const TensorRef& x = args.in[0];
  SoftmaxArgs a{};
  a.rows = x.numel() / x.dim(-1), a.K = static_cast<int>(x.dim(-1));
  a.z = x.as<const float>(), a.out = args.out[0].as<float>();
  if (x.dtype == DType::f32 || a.rows == 0) return launch_rows<LogSoftmax>(a, context);
  const double* z = x.as<const double>();
  double* y = args.out[0].as<double>();
  return a.K <= kWide ? launched(context, log_softmax_f64<32>, grid_for(a.rows, kWarps, *context.device), kThreads, 0, z, y, a.rows, a.K)
                      : launched(context, log_softmax_f64<kThreads>, grid_for(a.rows, 1, *context.device), kThreads, 0, z, y, a.rows, a.K);
}

Status launch_softmax_ce_grad_grad(const KernelArgs& args, const Context& context) {
  SoftmaxArgs a{};
  ALUDEL_RETURN_IF_ERROR(softmax_args(args, context, a));
  a.g = args.in[2].as<const float>(), a.u = args.in[3].as<const float>();
  a.out = args.out[0].as<float>(), a.second = args.out[1].as<float>();
  return a.labels != nullptr ? launch_rows<SecondGrad<false>>(a, context) : launch_rows<SecondGrad<true>>(a, context);
}

}  // namespace

extern const Kernel kernel_log_softmax;
extern const Kernel kernel_softmax_ce_grad_grad;
const Kernel kernel_log_softmax = {nullptr, launch_log_softmax};
const Kernel kernel_softmax_ce_grad_grad = {nullptr, launch_softmax_ce_grad_grad};

}  // namespace aludel::cuda
