// softmax_ce_grad: dz = g (T softmax(z) - t). With a hard label y the sum leaves y out, R = sum_{k != y} e_k: dz_y = -g R / S is then no
// difference of two numbers near 1.
#include "native/cuda/kernels/softmax_rows.cuh"

namespace aludel::cuda {
namespace {

struct HardGrad {
  static constexpr bool kTargets = false, kDirections = false, kWrites = true;

  template <typename H, typename Z, typename T, typename U, typename O>
  static __device__ __forceinline__ void row(const H& h, const SoftmaxArgs& a, int64_t r, Z& z, T&, U&, O& out) {
    typedef typename H::Final Final;
    const float m = row_max(h, z);
    const int label = a.labels[r];
    typename H::Partial others = 0, at_label = 0;
    h.each([&](auto i, int k) {
      const float x = z[i] - m, e = exp_of(x);
      if (k == label) {
        at_label = x;
      } else {
        others += e;
      }
      out[i] = e;
    });
    const auto R = h.total(others), S = R + exp_of(static_cast<Final>(h.total(at_label)));
    const float scale = static_cast<float>(static_cast<Final>(a.g[r]) / static_cast<Final>(S));
    const float label_grad = static_cast<float>(-static_cast<Final>(R) / static_cast<Final>(S) * static_cast<Final>(a.g[r]));
    h.each([&](auto i, int k) { out[i] = k == label ? label_grad : out[i] * scale; });
  }
};

struct SoftGrad {
  static constexpr bool kTargets = true, kDirections = false, kWrites = true;

  template <typename H, typename Z, typename T, typename U, typename O>
  static __device__ __forceinline__ void row(const H& h, const SoftmaxArgs& a, int64_t r, Z& z, T& t, U&, O& out) {
    const float m = row_max(h, z), g = a.g[r];
    typename H::Partial exponentials = 0, targets = 0;
    h.each([&](auto i, int) {
      const float e = exp_of(z[i] - m);
      exponentials += e, targets += t[i];
      out[i] = e;
    });
    const float scale = static_cast<float>(h.total(targets) / h.total(exponentials));
    h.each([&](auto i, int) { out[i] = g * (out[i] * scale - t[i]); });
  }
};

Status launch_softmax_ce_grad(const KernelArgs& args, const Context& context) {
  SoftmaxArgs a{};
  ALUDEL_RETURN_IF_ERROR(softmax_args(args, context, a));
  a.g = args.in[2].as<const float>(), a.out = args.out[0].as<float>();
  return a.labels != nullptr ? launch_rows<HardGrad>(a, context) : launch_rows<SoftGrad>(a, context);
}

}  // namespace

extern const Kernel kernel_softmax_ce_grad;
const Kernel kernel_softmax_ce_grad = {nullptr, launch_softmax_ce_grad};

}  // namespace aludel::cuda
