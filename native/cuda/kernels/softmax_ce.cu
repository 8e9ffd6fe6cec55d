// softmax_ce: loss = T log sum exp(z - max) - <t, z - max> with T = sum t, where the maximum cancels exactly, so logits of 1e4 lose
// nothing; and el2n = ||softmax(z) - t||. With a hard label y the sums leave y out: R = sum_{k != y} e_k, Q = sum_{k != y} e_k^2, and
// 1 - p_y = R / S, so that neither a small loss nor a small el2n = sqrt(Q + R^2) / S is a difference of large numbers.
// With features h also el2n sqrt(||h||^2 + 1), the norm of a last linear layer's gradient.
#include "native/cuda/kernels/softmax_rows.cuh"

namespace aludel::cuda {
namespace {

struct HardLoss {
  static constexpr bool kTargets = false, kDirections = false, kWrites = false;

  template <typename H, typename Z, typename T, typename U, typename O>
  static __device__ __forceinline__ void row(const H& h, const SoftmaxArgs& a, int64_t r, Z& z, T&, U&, O&) {
    typedef typename H::Final Final;
    const float m = row_max(h, z);
    const int label = a.labels[r];
    typename H::Partial others = 0, squares = 0, at_label = 0;
    h.each([&](auto i, int k) {
      const float x = z[i] - m, e = exp_of(x);
      if (k == label) {
        at_label = x;
      } else {
        others += e, squares += e * e;
      }
    });
    const auto R = h.total(others), Q = h.total(squares), own = h.total(at_label), S = R + exp_of(static_cast<Final>(own));
    // Where the label is the maximum, exp(own) = 1. Elsewhere some other class has 1, and the rest is what is not it.
    const Final rest = static_cast<Final>(own == 0 ? R : S - 1);
    if (!h.leads()) return;
    a.first[r] = static_cast<float>(log1p_of(rest) - static_cast<Final>(own));
    a.second[r] = static_cast<float>(sqrt_of(static_cast<Final>(Q + R * R)) / static_cast<Final>(S));
  }
};

struct SoftLoss {
  static constexpr bool kTargets = true, kDirections = false, kWrites = false;

  template <typename H, typename Z, typename T, typename U, typename O>
  static __device__ __forceinline__ void row(const H& h, const SoftmaxArgs& a, int64_t r, Z& z, T& t, U&, O&) {
    typedef typename H::Final Final;
    const float m = row_max(h, z);
    typename H::Partial below = 0, maxima = 0, targets = 0, inner = 0;  // below: of the classes that are not the maximum
    h.each([&](auto i, int) {
      const float x = z[i] - m, e = exp_of(x);
      if constexpr (H::kKeeps) z[i] = e;
      if (x == 0) {
        maxima += 1;
      } else {
        below += e;
      }
      targets += t[i];
      inner += t[i] == 0 ? 0.0f : t[i] * x;  // a class of -infinity counts for nothing where the target is 0
    });
    const auto others = h.total(below) + (h.total(maxima) - 1), total = h.total(targets), product = h.total(inner);
    const float inverse = static_cast<float>(1 / (1 + others));
    typename H::Partial squares = 0;
    h.each([&](auto i, int) {
      const float e = H::kKeeps ? z[i] : exp_of(z[i] - m), error = e * inverse - t[i];
      squares += error * error;
    });
    const auto Q = h.total(squares);
    if (!h.leads()) return;
    a.first[r] = static_cast<float>(static_cast<Final>(total) * log1p_of(static_cast<Final>(others)) - static_cast<Final>(product));
    a.second[r] = static_cast<float>(sqrt_of(static_cast<Final>(Q)));
  }
};

// One warp per row of features, after el2n.
template <int VW>
__global__ void __launch_bounds__(kThreads)
    last_layer(Guard guard, const float* features, int64_t width, const float* el2n, float* norm, int64_t rows) {
  if (guard.stopped()) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int64_t r = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32; r < rows; r += int64_t{gridDim.x} * kWarps) {
    const float* h = features + r * width;
    double squares = 0;
#pragma unroll 4
    for (int64_t i = lane * VW; i < width; i += 32 * VW) {
      const Vec<VW> v = load<VW>(h + i);
      float part = 0;
#pragma unroll
      for (int j = 0; j < VW; ++j) part += v.v[j] * v.v[j];
      squares += static_cast<double>(part);
    }
    squares = sum_warp(squares);
    if (lane == 0) norm[r] = static_cast<float>(static_cast<double>(el2n[r]) * sqrt(squares + 1));
  }
}

Status launch_softmax_ce(const KernelArgs& args, const Context& context) {
  SoftmaxArgs a{};
  ALUDEL_RETURN_IF_ERROR(softmax_args(args, context, a));
  a.first = args.out[0].as<float>(), a.second = args.out[1].as<float>();
  ALUDEL_RETURN_IF_ERROR(a.labels != nullptr ? launch_rows<HardLoss>(a, context) : launch_rows<SoftLoss>(a, context));
  if (args.nin < 3 || a.rows == 0) return {};
  const float* h = args.in[2].as<const float>();
  const int64_t width = args.in[2].dim(-1);
  const unsigned grid = grid_for(a.rows, kWarps, *context.device);
  float* norm = args.out[2].as<float>();
  return takes_vectors(width, 4, {h}) ? launched(context, last_layer<4>, grid, kThreads, 0, h, width, a.second, norm, a.rows)
                                      : launched(context, last_layer<1>, grid, kThreads, 0, h, width, a.second, norm, a.rows);
}

}  // namespace

extern const Kernel kernel_softmax_ce;
const Kernel kernel_softmax_ce = {nullptr, launch_softmax_ce};

}  // namespace aludel::cuda
