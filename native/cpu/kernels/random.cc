// Random draws addressed by (key, counter, purpose, element): recipe and arithmetic in native/core/philox.h.
// Work goes in batches of blocks with one plain loop per stage, which the compiler turns into vectors; bits are those of the scalar recipe.
#include "native/core/philox.h"
#include "native/cpu/kernels/checks.h"
#include "native/cpu/kernels/elementwise_math.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kBatch = 64;                   // Philox blocks of one batch
constexpr int64_t kTaskElements = 16 * 1024;     // a multiple of 4 kBatch
constexpr int64_t kMaxDraws = int64_t{1} << 34;  // the block index is one 32-bit word

struct Address {
  uint32_t key0, key1, counter, purpose;
};

Address address_of(const KernelArgs& args) {
  const uint32_t* key = args.in[0].as<const uint32_t>();
  return {key[0], key[1], args.in[1].as<const uint32_t>()[0], static_cast<uint32_t>(args.attrs[0])};
}

// ---- kernels --------------------------------------------------------------------------------------------------------------------

// words[k * kBatch + i] = word k of block first + i.
void draw_batch(const Address& address, uint32_t first, uint32_t* __restrict__ words) {
  for (uint32_t i = 0; i < kBatch; ++i) {
    PhiloxBlock block = philox4x32_10({first + i, address.counter, address.purpose, 0}, address.key0, address.key1);
    words[i] = block.w0;
    words[kBatch + i] = block.w1;
    words[2 * kBatch + i] = block.w2;
    words[3 * kBatch + i] = block.w3;
  }
}

void uniform_batch(const uint32_t* __restrict__ words, float* __restrict__ out) {
  for (int64_t i = 0; i < kBatch; ++i)
    for (int64_t k = 0; k < 4; ++k) out[4 * i + k] = uniform_of(words[k * kBatch + i]);
}

void normal_half(const uint32_t* __restrict__ word0, const uint32_t* __restrict__ word1, float* __restrict__ out) {
  alignas(64) float radius[kBatch], cosine[kBatch], sine[kBatch];
  for (int64_t i = 0; i < kBatch; ++i) radius[i] = normal_radius_squared(word0[i]);
  for (int64_t i = 0; i < kBatch; ++i) normal_direction(word1[i], &cosine[i], &sine[i]);
  for (int64_t i = 0; i < kBatch; i += VW) store(radius + i, sqrt_of(load(radius + i)));
  for (int64_t i = 0; i < kBatch; ++i) {
    out[4 * i] = radius[i] * cosine[i];
    out[4 * i + 1] = radius[i] * sine[i];
  }
}

void normal_batch(const uint32_t* words, float* out) {
  normal_half(words, words + kBatch, out);
  normal_half(words + 2 * kBatch, words + 3 * kBatch, out + 2);
}

// One stable counting-sort pass over 11 bits of the key, from (keys, ids) to the other pair of buffers.
void radix_pass(const uint32_t* keys, const int32_t* ids, uint32_t* keys_out, int32_t* ids_out, int64_t n, int shift) {
  int64_t starts[2048] = {};
  for (int64_t i = 0; i < n; ++i) ++starts[(keys[i] >> shift) & 2047];
  int64_t sum = 0;
  for (int b = 0; b < 2048; ++b) {
    int64_t count = starts[b];
    starts[b] = sum;
    sum += count;
  }
  for (int64_t i = 0; i < n; ++i) {
    int64_t to = starts[(keys[i] >> shift) & 2047]++;
    keys_out[to] = keys[i];
    ids_out[to] = ids[i];
  }
}

// ---- entry points ---------------------------------------------------------------------------------------------------------------

Status check_draw(const char* op, const KernelArgs& args, DType dtype) {
  ALUDEL_RETURN_IF_ERROR(check_arity(op, args, 2, 1, 1));
  const TensorRef &key = args.in[0], &counter = args.in[1];
  int64_t purpose;
  if (key.dtype != DType::u32 || key.numel() != 2 || counter.dtype != DType::u32 || counter.numel() != 1)
    return wrong(op, "a u32 [2] key and a u32 [1] counter");
  if (args.out[0].dtype != dtype) return wrong(op, dtype == DType::f32 ? "an f32 output" : "an i32 output");
  if (!integer_attr(args.attrs[0], 0, UINT32_MAX, &purpose)) return wrong(op, "a purpose of 0..2^32-1");
  return args.out[0].numel() <= kMaxDraws ? Status{} : wrong(op, "at most 2^34 elements");
}

template <typename F>
void draw(const KernelArgs& args, Exec& exec, const F& convert) {
  Address address = address_of(args);
  float* out = args.out[0].as<float>();
  parallel_ranges(exec, args.out[0].numel(), kTaskElements, [&](int64_t begin, int64_t end, void*) {
    alignas(64) uint32_t words[4 * kBatch];
    alignas(64) float last[4 * kBatch];
    for (int64_t i = begin; i < end; i += 4 * kBatch) {
      draw_batch(address, static_cast<uint32_t>(i / 4), words);
      if (i + 4 * kBatch <= end) {
        convert(words, out + i);
      } else {
        convert(words, last);
        memcpy(out + i, last, static_cast<size_t>(end - i) * sizeof(float));
      }
    }
  });
}

Status check_random_uniform(const KernelArgs& args) { return check_draw("random_uniform", args, DType::f32); }
Status run_random_uniform(const KernelArgs& args, Exec& exec) {
  draw(args, exec, [](const uint32_t* words, float* out) { uniform_batch(words, out); });
  return {};
}

Status check_random_normal(const KernelArgs& args) { return check_draw("random_normal", args, DType::f32); }
Status run_random_normal(const KernelArgs& args, Exec& exec) {
  draw(args, exec, [](const uint32_t* words, float* out) { normal_batch(words, out); });
  return {};
}

Status check_random_permutation(const KernelArgs& args) {
  ALUDEL_RETURN_IF_ERROR(check_draw("random_permutation", args, DType::i32));
  return args.out[0].rank == 1 && args.out[0].dims[0] <= INT32_MAX ? Status{} : wrong("random_permutation", "an output of rank 1");
}
int64_t padded(const KernelArgs& args) { return round_up(args.out[0].numel(), 4 * kBatch); }
int64_t scratch_random_permutation(const KernelArgs& args) { return 3 * padded(args) * 4; }
Status run_random_permutation(const KernelArgs& args, Exec& exec) {
  Address address = address_of(args);
  int64_t n = args.out[0].numel();
  int32_t* ids = args.out[0].as<int32_t>();
  if (n == 0) return {};
  parallel_for(exec, 1, [&](int64_t, void* scratch) {
    uint32_t* keys = static_cast<uint32_t*>(scratch);
    uint32_t* other_keys = keys + padded(args);
    int32_t* other_ids = reinterpret_cast<int32_t*>(other_keys + padded(args));
    uint32_t words[4 * kBatch];
    for (int64_t i = 0; i < n; i += 4 * kBatch) {
      draw_batch(address, static_cast<uint32_t>(i / 4), words);
      for (int64_t k = 0; k < 4 * kBatch; ++k) keys[i + k] = words[k % 4 * kBatch + k / 4];
    }
    for (int64_t i = 0; i < n; ++i) other_ids[i] = static_cast<int32_t>(i);
    // Three stable passes, least significant bits first; equal words keep their order.
    radix_pass(keys, other_ids, other_keys, ids, n, 0);
    radix_pass(other_keys, ids, keys, other_ids, n, 11);
    radix_pass(keys, other_ids, other_keys, ids, n, 22);
  });
  return {};
}

}  // namespace

extern const Kernel kernel_random_uniform;
extern const Kernel kernel_random_normal;
extern const Kernel kernel_random_permutation;
const Kernel kernel_random_uniform = {check_random_uniform, nullptr, run_random_uniform};
const Kernel kernel_random_normal = {check_random_normal, nullptr, run_random_normal};
const Kernel kernel_random_permutation = {check_random_permutation, scratch_random_permutation, run_random_permutation};

}  // namespace aludel::cpu::ALUDEL_ISA
