// Right kernels give the right values, the same bits in all orders and with both timings of cp.async, and no reports.
#include "test/native/cuda_host/self_test/planted_kernels.cuh"
#include "test/native/cuda_host/self_test/right_kernels.cuh"
#include "test/native/cuda_host/self_test/tests.h"

using namespace self_test;
using aludel::cuda::launch;

void softmax() {
  const int rows = 37, columns = 100;
  const std::vector<float> x = normal(rows * columns, 1, 3);
  std::vector<int> labels(rows);
  for (int i = 0; i < rows; ++i) labels[i] = i * 7 % columns;
  const Buffer<float> logits(x), loss(rows), gradient(rows * columns);
  const Buffer<int> y(labels);
  const auto run = [&] {
    CHECK_CUDA(launch(softmax_loss, {(rows + 3) / 4, 128}, logits.p, y.p, loss.p, gradient.p, rows, columns));
    std::vector<float> v = loss.values(), g = gradient.values();
    v.insert(v.end(), g.begin(), g.end());
    return v;
  };
  const std::vector<float> v = run();
  double error = 0;
  for (int i = 0; i < rows; ++i) {
    double largest = -1e30, sum = 0;
    for (int j = 0; j < columns; ++j) largest = std::max(largest, static_cast<double>(x[i * columns + j]));
    for (int j = 0; j < columns; ++j) sum += std::exp(x[i * columns + j] - largest);
    error = std::max(error, std::abs(v[i] - (largest + std::log(sum) - x[i * columns + labels[i]])));
    for (int j = 0; j < columns; ++j) {
      const double g = std::exp(x[i * columns + j] - largest) / sum - (j == labels[i]);
      error = std::max(error, std::abs(v[rows + i * columns + j] - g));
    }
  }
  CHECK(error < 2e-6);
  CHECK(same_in_all_orders(run));
  CHECK(clean());
}

void reductions() {
  const int blocks = 5, threads = 256;
  const std::vector<float> host = normal(blocks * threads, 2);
  const Buffer<float> x(host), out(blocks);
  const auto sum = [&](auto kernel, size_t shared) {
    return [&, kernel, shared] {
      CHECK_CUDA(launch(kernel, {blocks, threads, shared}, x.p, out.p));
      return out.values();
    };
  };
  for (const auto& run : {std::function<std::vector<float>()>(sum(block_sum<false>, 0)), {sum(tree_sum<false>, threads * sizeof(float))}}) {
    const std::vector<float> sums = run();
    for (int b = 0; b < blocks; ++b) {
      double expected = 0;
      for (int i = 0; i < threads; ++i) expected += host[b * threads + i];
      CHECK(std::abs(sums[b] - expected) < 1e-4);
    }
    CHECK(same_in_all_orders(run));
  }
  CHECK(clean());
}

void pipeline() {
  const int steps = 6;
  const std::vector<float> host = normal(steps * 64 * 4, 3);
  const Buffer<float> x(host), out(64);
  const auto run = [&] {
    CHECK_CUDA(launch(pipeline_sum<kNoBug>, {1, 64}, reinterpret_cast<const float4*>(x.p), out.p, steps));
    return out.values();
  };
  std::vector<float> expected(64);
  for (int s = 0; s < steps; ++s)
    for (int t = 0; t < 64; ++t) {
      const float* v = &host[(s * 64 + 63 - t) * 4];
      expected[t] += v[0] + 2 * v[1] + 3 * v[2] + 4 * v[3];
    }
  for (const int timing : {0, 1}) {
    const Set keep(cuda_host::config().cp_async, timing);
    CHECK(run() == expected);
    CHECK(same_in_all_orders(run));
  }
  CHECK(clean());
}

void warp_votes() {
  const Buffer<unsigned> out(128);
  const auto run = [&] {
    CHECK_CUDA(launch(votes, {1, 128}, out.p));
    return out.values();
  };
  const std::vector<unsigned> v = run();
  for (unsigned t = 0; t < 128; ++t) CHECK(v[t] == 0xaaaaaaaau + 43 * 2 + 2 + (t % 32 < 16 ? (t ^ 8) + 16 : 0));
  CHECK(same_in_all_orders(run));

  std::vector<int> order(32);
  for (int i = 0; i < 32; ++i) order[i] = i;
  const Buffer<int> x(order), y(32);
  const auto reverse = [&] {
    CHECK_CUDA(launch(reverse_warp<false>, {1, 32}, x.p, y.p));
    return y.values();
  };
  CHECK(reverse()[0] == 31);
  CHECK(same_in_all_orders(reverse));
  CHECK(clean());
}

void atomics() {
  const Buffer<int> n(1);
  n.fill(0);
  CHECK_CUDA(launch(count_threads<false>, {4, 64}, n.p));
  CHECK(n.values()[0] == 256);

  const int blocks = 9;
  const Buffer<float> x(normal(blocks * 64, 4)), parts(blocks), out(1);
  const Buffer<unsigned> finished(1);
  CHECK(same_in_all_orders([&] {
    finished.fill(0);
    CHECK_CUDA(launch(last_block_sum, {blocks, 64}, x.p, parts.p, finished.p, out.p));
    return out.values();
  }));
  CHECK(clean());
}

void tensor_core() {
  const auto from_bf16 = [](uint16_t h) { return std::bit_cast<float>(static_cast<uint32_t>(h) << 16); };
  std::mt19937 generator(3);
  std::vector<uint16_t> a(256), b(128);
  for (auto* v : {&a, &b})
    for (uint16_t& h : *v) h = static_cast<uint16_t>(0x3f00 + generator() % 256 + (generator() & 1 ? 0x8000 : 0));
  const Buffer<uint16_t> da(a), db(b);
  const Buffer<float> d(128);
  CHECK_CUDA(launch(product_bf16, {1, 32}, da.p, db.p, d.p));
  const std::vector<float> p16 = d.values();
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; ++j) {
      double sum = 0;
      for (int k = 0; k < 16; ++k) sum += static_cast<double>(from_bf16(a[i * 16 + k])) * from_bf16(b[k * 8 + j]);
      CHECK(static_cast<float>(sum) == p16[i * 8 + j]);
    }

  const std::vector<float> fa = normal(128, 5), fb = normal(64, 6);
  const Buffer<float> dfa(fa), dfb(fb);
  const auto rounded = [](float v) { return static_cast<double>(std::bit_cast<float>(cuda_host::to_tf32(v))); };
  for (const bool to_zero : {false, true}) {
    const Set keep(cuda_host::config().round_to_zero, to_zero);
    CHECK_CUDA(launch(product_tf32, {1, 32}, dfa.p, dfb.p, d.p));
    const std::vector<float> p = d.values();
    for (int i = 0; i < 16; ++i)
      for (int j = 0; j < 8; ++j) {
        double sum = 0;
        for (int k = 0; k < 8; ++k) sum += rounded(fa[i * 8 + k]) * rounded(fb[k * 8 + j]);
        CHECK(to_zero ? std::abs(p[i * 8 + j]) <= std::abs(sum) && std::abs(p[i * 8 + j] - sum) <= 1e-6
                      : p[i * 8 + j] == static_cast<float>(sum));
      }
  }

  std::vector<double> xa(32), xb(32);
  for (int i = 0; i < 32; ++i) xa[i] = std::sin(i + 1.0), xb[i] = std::cos(i * 3.0);
  const Buffer<double> dxa(xa), dxb(xb), dx(64);
  CHECK_CUDA(launch(product_f64, {1, 32}, dxa.p, dxb.p, dx.p));
  const std::vector<double> p64 = dx.values();
  for (int i = 0; i < 8; ++i)
    for (int j = 0; j < 8; ++j) {
      double sum = 0;
      for (int k = 0; k < 4; ++k) sum = std::fma(xa[i * 4 + k], xb[k * 8 + j], sum);
      CHECK(sum == p64[i * 8 + j]);
    }
  CHECK(clean());
}

void intrinsics() {
  CHECK(cuda_host::to_tf32(1.0f) == 0x3f800000u && cuda_host::to_tf32(std::bit_cast<float>(0x3f801000u)) == 0x3f802000u);
  CHECK(cuda_host::to_bf16x2(1.0f, -2.0f) == 0xc0003f80u && cuda_host::to_bf16(std::bit_cast<float>(0x3f808000u)) == 0x3f80u);
  CHECK(cuda_host::to_bf16(std::bit_cast<float>(0x3f818000u)) == 0x3f82u && cuda_host::to_bf16(NAN) == 0x7fffu);
  CHECK(__float2int_rn(2.5f) == 2 && __float2int_rn(3.5f) == 4 && __float2int_rz(-2.7f) == -2 && __float2int_ru(2.1f) == 3);
  CHECK(__float2int_rn(1e20f) == INT32_MAX && __float2int_rn(-1e20f) == INT32_MIN && __float2int_rn(NAN) == 0);
  CHECK(__float2uint_rn(-3.0f) == 0 && __float2uint_rz(4e9f) == 4000000000u && __double2ll_rn(1e30) == INT64_MAX);
  CHECK(__umulhi(0x80000000u, 6) == 3 && __umul64hi(1ull << 63, 6) == 3 && __mulhi(-1, 1) == -1);
  CHECK(__popc(0xf0u) == 4 && __clz(1) == 31 && __ffs(8) == 4 && __ffs(0) == 0 && __brev(1u) == 0x80000000u);
  CHECK(__funnelshift_l(0x80000000u, 1u, 1) == 3u && __byte_perm(0x33221100u, 0x77665544u, 0x7540u) == 0x77554400u);
  CHECK(min(3, 4u) == 3u && max(1.0f, 2.0) == 2.0 && fminf(NAN, 1.0f) == 1.0f && max(NAN, 1.0f) == 1.0f);
  CHECK(__hiloint2double(__double2hiint(-1.5), __double2loint(-1.5)) == -1.5);
  CHECK(rsqrtf(4.0f) == 0.5f && __fmaf_rn(3.0f, 4.0f, 5.0f) == 17.0f && __saturatef(2.0f) == 1.0f && __saturatef(NAN) == 0.0f);
  CHECK(alignof(float4) == 16 && sizeof(float3) == 12 && alignof(double2) == 16 && alignof(uchar4) == 4 && make_int4(1, 2, 3, 4).w == 4);
  const float a = 1.0f + 0x1p-12f;  // contraction would keep the bits that the product loses
  volatile float b = a;
  CHECK(b * b - (1.0f + 0x1p-11f) == 0.0f);
}
