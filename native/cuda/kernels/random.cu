// Random draws addressed by (key, counter, purpose, element): recipe and arithmetic in native/core/philox.h. A thread makes whole Philox
// blocks of four elements; the bits are those of the scalar recipe.
#include "native/core/philox.h"
#include "native/cuda/kernels/radix_sort.h"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 256;

struct Uniform {
  using Value = float;
  static __device__ __forceinline__ void convert(const PhiloxBlock& words, float* v) {
    v[0] = uniform_of(words.w0);
    v[1] = uniform_of(words.w1);
    v[2] = uniform_of(words.w2);
    v[3] = uniform_of(words.w3);
  }
};
struct Normal {
  using Value = float;
  static __device__ __forceinline__ void convert(const PhiloxBlock& words, float* v) {
    normal_pair(words.w0, words.w1, v, v + 1);
    normal_pair(words.w2, words.w3, v + 2, v + 3);
  }
};
struct Word {
  using Value = uint32_t;
  static __device__ __forceinline__ void convert(const PhiloxBlock& words, uint32_t* v) {
    v[0] = words.w0;
    v[1] = words.w1;
    v[2] = words.w2;
    v[3] = words.w3;
  }
};

template <typename T>
struct alignas(16) Four {
  T v[4];
};

template <typename Kind>
__global__ void __launch_bounds__(kThreads)
    draw(Guard guard, const uint32_t* key, const uint32_t* counter, uint32_t purpose, typename Kind::Value* y, int64_t n, bool aligned) {
  if (guard.stopped()) return;
  using T = typename Kind::Value;
  const uint32_t key0 = key[0], key1 = key[1], step = counter[0];
  const int64_t stride = int64_t{gridDim.x} * kThreads;
  for (int64_t b = int64_t{blockIdx.x} * kThreads + threadIdx.x; 4 * b < n; b += stride) {
    Four<T> four;
    Kind::convert(philox4x32_10({static_cast<uint32_t>(b), step, purpose, 0}, key0, key1), four.v);
    if (aligned && 4 * b + 4 <= n) {
      reinterpret_cast<Four<T>*>(y)[b] = four;
    } else {
#pragma unroll
      for (int e = 0; e < 4; ++e)
        if (4 * b + e < n) y[4 * b + e] = four.v[e];
    }
  }
}

template <typename Kind>
Status launch_draw(const KernelArgs& args, typename Kind::Value* y, const Context& context) {
  const int64_t n = args.out[0].numel();
  if (n == 0) return {};
  return launched(context, draw<Kind>, grid_for(n, kThreads, *context.device, 4), kThreads, 0, args.in[0].as<const uint32_t>(),
                  args.in[1].as<const uint32_t>(), static_cast<uint32_t>(args.attrs[0]), y, n, reinterpret_cast<uintptr_t>(y) % 16 == 0);
}

Status launch_uniform(const KernelArgs& args, const Context& context) {
  return launch_draw<Uniform>(args, args.out[0].as<float>(), context);
}
Status launch_normal(const KernelArgs& args, const Context& context) { return launch_draw<Normal>(args, args.out[0].as<float>(), context); }

// ---- permutation ----------------------------------------------------------------------------------------------------------------

// Elements 0..n-1 sorted by word, the sort being stable.
int64_t array_bytes(const KernelArgs& args) { return round_up(4 * args.out[0].numel(), 256); }
int64_t permutation_workspace(const KernelArgs& args, const DeviceInfo&) {
  return 3 * array_bytes(args) + sort_count_bytes(args.out[0].numel());
}

Status launch_permutation(const KernelArgs& args, const Context& context) {
  const int64_t n = args.out[0].numel(), bytes = array_bytes(args);
  if (n == 0) return {};
  char* workspace = static_cast<char*>(context.workspace);
  RadixSort sort;
  sort.n = n;
  sort.keys[0] = reinterpret_cast<uint32_t*>(workspace);
  sort.keys[1] = reinterpret_cast<uint32_t*>(workspace + bytes);
  sort.ids[0] = args.out[0].as<int32_t>();  // after an even number of passes the ids are here
  sort.ids[1] = reinterpret_cast<int32_t*>(workspace + 2 * bytes);
  sort.counts = reinterpret_cast<uint32_t*>(workspace + 3 * bytes);
  sort.totals = sort.counts + sort.tiles() * kSortDigits;
  ALUDEL_RETURN_IF_ERROR(launch_draw<Word>(args, sort.keys[0], context));
  return launch_radix_sort(context, sort, 4, false);
}

}  // namespace

extern const Kernel kernel_random_uniform;
extern const Kernel kernel_random_normal;
extern const Kernel kernel_random_permutation;
const Kernel kernel_random_uniform = {nullptr, launch_uniform};
const Kernel kernel_random_normal = {nullptr, launch_normal};
const Kernel kernel_random_permutation = {permutation_workspace, launch_permutation};

}  // namespace aludel::cuda
