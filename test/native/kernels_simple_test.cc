// The kernels without convolution, norm and pooling, against plain float64 loops; refusals; equal bits for 1, 2 and 3 threads.
// Build with the flags of one kernel unit, together with the units under test:
//   cd native/cpu/kernels && g++ -std=c++20 -O2 -I../../.. -mavx2 -mfma -DALUDEL_ISA=avx2 -DALUDEL_VW=8 -Wno-psabi -pthread
//     ../../../test/native/kernels_simple_test.cc elementwise.cc cast.cc reduce.cc movement.cc matmul.cc gather.cc softmax.cc
//     softmax_ce.cc softmax_ce_grad.cc random.cc image.cc augment.cc accumulate.cc k_center_step.cc herd_step.cc
#include <algorithm>

#include "native/core/philox.h"
#include "test/native/elementwise_cases.h"

namespace aludel::cpu::ALUDEL_ISA {
extern const Kernel kernel_sum, kernel_max, kernel_argmax, kernel_reshape, kernel_copy, kernel_transpose, kernel_broadcast, kernel_slice,
    kernel_reverse, kernel_pad, kernel_concat, kernel_iota, kernel_matmul, kernel_log_softmax, kernel_softmax_ce, kernel_softmax_ce_grad,
    kernel_softmax_ce_grad_grad, kernel_one_hot, kernel_gather, kernel_scatter_add, kernel_image_gather, kernel_augment,
    kernel_augment_linear, kernel_augment_transpose, kernel_random_uniform, kernel_random_normal, kernel_random_permutation,
    kernel_accumulate, kernel_lane_sum, kernel_k_center_step, kernel_herd_step;
}

namespace aludel::testing {
namespace {

using namespace aludel::cpu::ALUDEL_ISA;

// ---- reductions -----------------------------------------------------------------------------------------------------------------

void test_reduce() {
  const std::vector<Dims> shapes = {{},         {1},        {7},           {100000},    {3, 5},
                                    {300, 700}, {2, 3, 4},  {1, 9, 1, 4},  {40, 7, 33}, {5, 4, 3, 2, 3},
                                    {20000, 3}, {3, 20000}, {130, 16, 60}, {0, 4},      {4, 0}};
  for (auto& shape : shapes)
    for (int mask = 0; mask < (1 << shape.size()); ++mask)
      for (DType dtype : {f32, f64, i32}) {
        Tensor x = random_tensor(dtype, shape, -100, 100);
        Dims kept;
        std::vector<double> axes;
        for (size_t d = 0; d < shape.size(); ++d) {
          if (mask >> d & 1)
            axes.push_back(double(d));
          else
            kept.push_back(shape[d]);
        }
        Tensor y(dtype, kept);
        std::vector<double> sums(size_t(y.count()), 0), maxima(size_t(y.count()), -kInf);
        for (int64_t i = 0; i < x.count(); ++i) {
          int64_t rest = i, index = 0, stride = 1;
          for (size_t k = 0; k < shape.size(); ++k) {
            size_t d = shape.size() - 1 - k;
            if (!(mask >> d & 1)) {
              index += rest % shape[d] * stride;
              stride *= shape[d];
            }
            rest /= shape[d];
          }
          sums[size_t(index)] += x.get(i);
          maxima[size_t(index)] = std::fmax(maxima[size_t(index)], x.get(i));
        }
        if (run_all({&kernel_sum, {&x}, {&y}, axes}, "sum"))
          for (int64_t j = 0; j < y.count(); ++j) near(y.get(j), sums[size_t(j)], dtype == f64 ? 1e-9 : 1e-7, "sum");
        if (x.count() > 0 && run_all({&kernel_max, {&x}, {&y}, axes}, "max"))
          for (int64_t j = 0; j < y.count(); ++j) near(y.get(j), maxima[size_t(j)], 0, "max");
      }
  Tensor x = tensor_of(f32, {3, 4}, {1, 3, 3, 2, kNan, 1, 2, 3, -1, -1, -1, -kInf}), y(i32, {3}), m(f32, {3});
  run_all({&kernel_argmax, {&x}, {&y}}, "argmax");
  expect(y.get(0) == 1 && y.get(1) == 0 && y.get(2) == 0, "argmax takes the first maximum");
  run_all({&kernel_max, {&x}, {&m}, {1}}, "max with NaN");
  expect(m.get(0) == 3 && std::isnan(m.get(1)) && m.get(2) == -1, "max with NaN");
  refuses({&kernel_sum, {&x}, {&m}, {2}}, "sum over an axis that is not there");
  refuses({&kernel_sum, {&x}, {&m}, {1, 1}}, "sum over an axis twice");
  refuses({&kernel_sum, {&x}, {&m}, {0}}, "sum with the other shape");
}

// ---- movement -------------------------------------------------------------------------------------------------------------------

void test_movement() {
  for (DType dtype : {f32, f64, u8}) {
    const std::vector<std::pair<Dims, std::vector<int>>> transposes = {{{}, {}},
                                                                       {{5}, {0}},
                                                                       {{3, 4}, {1, 0}},
                                                                       {{100, 70}, {1, 0}},
                                                                       {{6, 33, 65}, {0, 2, 1}},
                                                                       {{6, 33, 65}, {2, 0, 1}},
                                                                       {{4, 3, 5, 7}, {0, 2, 3, 1}},
                                                                       {{4, 5, 7, 3}, {0, 3, 1, 2}},
                                                                       {{2, 3, 4, 5, 6}, {4, 2, 0, 3, 1}},
                                                                       {{0, 3}, {1, 0}}};
    for (auto& [shape, permutation] : transposes) {
      Tensor x = random_tensor(dtype, shape, 0, 200);
      Dims out;
      for (int p : permutation) out.push_back(shape[size_t(p)]);
      Tensor y(dtype, out);
      if (!run_all({&kernel_transpose, {&x}, {&y}, {permutation.begin(), permutation.end()}}, "transpose")) continue;
      for (int64_t i = 0; i < y.count(); ++i) {
        Dims index(shape.size());
        int64_t rest = i, from = 0;
        for (size_t k = out.size(); k-- > 0; rest /= out[k]) index[size_t(permutation[k])] = rest % out[k];
        for (size_t d = 0; d < shape.size(); ++d) from = from * shape[d] + index[d];
        expect(y.get(i) == x.get(from), "transpose");
      }
    }
    Tensor x = random_tensor(dtype, {7, 1, 9}, 0, 200), wide(dtype, {3, 7, 5, 9});
    run_all({&kernel_broadcast, {&x}, {&wide}}, "broadcast");
    for (int64_t i = 0; i < wide.count(); ++i) expect(wide.get(i) == x.get(broadcast_index(x.dims, wide.dims, i)), "broadcast");
    Tensor a = random_tensor(dtype, {20, 50}, 0, 200), s(dtype, {6, 17}), back(dtype, {20, 50});
    run_all({&kernel_slice, {&a}, {&s}, {2, 1, 3, 2}}, "slice");
    run_all({&kernel_pad, {&s}, {&back}, {2, 1, 2, 1}}, "pad");
    for (int64_t i = 0; i < 20; ++i)
      for (int64_t j = 0; j < 50; ++j) {
        bool inside = i >= 2 && (i - 2) % 3 == 0 && (i - 2) / 3 < 6 && j >= 1 && (j - 1) % 2 == 0 && (j - 1) / 2 < 17;
        expect(back.get(i * 50 + j) == (inside ? a.get(i * 50 + j) : 0), "slice, then pad");
      }
    Tensor r(dtype, {20, 50});
    run_all({&kernel_reverse, {&a}, {&r}, {1}}, "reverse");
    for (int64_t i = 0; i < 1000; ++i) expect(r.get(i) == a.get(i / 50 * 50 + 49 - i % 50), "reverse");
    Tensor b = random_tensor(dtype, {20, 3}, 0, 200), joined(dtype, {20, 53});
    run_all({&kernel_concat, {&a, &b}, {&joined}, {1}}, "concat");
    for (int64_t i = 0; i < joined.count(); ++i)
      expect(joined.get(i) == (i % 53 < 50 ? a.get(i / 53 * 50 + i % 53) : b.get(i / 53 * 3 + i % 53 - 50)), "concat");
    Tensor flat(dtype, {1000});
    run_all({&kernel_reshape, {&a}, {&flat}}, "reshape");
    expect(flat.bytes == a.bytes, "reshape");
    refuses({&kernel_slice, {&a}, {&s}, {5, 1, 3, 2}}, "slice past the end");
    refuses({&kernel_slice, {&a}, {&s}, {2, 1, 0, 2}}, "slice with step 0");
    refuses({&kernel_slice, {&a}, {&s}, {2, 1, 1e14, 2}}, "slice with a wild step");
    refuses({&kernel_pad, {&s}, {&back}, {2, 1, 3, 1}}, "pad past the end");
    refuses({&kernel_pad, {&s}, {&back}, {-1, 1, 2, 1}}, "pad before the start");
    refuses({&kernel_transpose, {&a}, {&back}, {0, 0}}, "transpose that repeats an axis");
    refuses({&kernel_concat, {&a, &b}, {&back}, {1}}, "concat of the wrong size");
    refuses({&kernel_concat, {&a, &b}, {&joined}, {kNan}}, "concat over axis NaN");
    refuses({&kernel_reshape, {&a}, {&s}}, "reshape to another size");
  }
  Tensor y(i32, {3, 70, 40});
  run_all({&kernel_iota, {}, {&y}, {1}}, "iota");
  for (int64_t i = 0; i < y.count(); ++i) expect(y.get(i) == double(i / 40 % 70), "iota");
}

// ---- matmul ---------------------------------------------------------------------------------------------------------------------

void check_products(const std::vector<Dims>& shapes) {
  for (auto& s : shapes)
    for (int64_t batch : {0, 3})
      for (int flags = 0; flags < 4; ++flags)
        for (DType dtype : {f32, f64}) {
          int64_t m = s[0], k = s[1], n = s[2];
          bool ta = flags & 1, tb = flags & 2;
          auto dims = [&](int64_t r, int64_t c) { return batch ? Dims{batch, r, c} : Dims{r, c}; };
          Tensor a = random_tensor(dtype, ta ? dims(k, m) : dims(m, k)), b = random_tensor(dtype, tb ? dims(n, k) : dims(k, n)),
                 y(dtype, dims(m, n));
          std::string name =
              "matmul " + std::to_string(m) + "x" + std::to_string(k) + "x" + std::to_string(n) + " flags " + std::to_string(flags);
          if (!run_all({&kernel_matmul, {&a, &b}, {&y}, {double(ta), double(tb)}}, name)) continue;
          for (int64_t g = 0; g < std::max<int64_t>(batch, 1); ++g)
            for (int64_t i = 0; i < m; ++i)
              for (int64_t j = 0; j < n; ++j) {
                double want = 0, magnitude = 0;
                for (int64_t p = 0; p < k; ++p) {
                  double term = a.get(g * m * k + (ta ? p * m + i : i * k + p)) * b.get(g * k * n + (tb ? j * k + p : p * n + j));
                  want += term;
                  magnitude += std::fabs(term);
                }
                near(y.get((g * m + i) * n + j), want, (dtype == f32 ? 2e-6 : 1e-14) * magnitude, name);
              }
        }
}

void test_matmul() {
  const std::vector<Dims> shapes = {{1, 1, 1},    {3, 5, 7},       {1, 300, 10}, {64, 513, 10}, {10, 513, 64}, {200, 31, 40},
                                    {7, 64, 300}, {130, 270, 129}, {5, 600, 2},  {256, 260, 3}, {0, 3, 2},     {3, 0, 2}};
  check_products(shapes);
  Tensor a(f32, {3, 4}), b(f32, {5, 6}), y(f32, {3, 6});
  refuses({&kernel_matmul, {&a, &b}, {&y}, {0, 0}}, "matmul with unequal inner dimensions");
  refuses({&kernel_matmul, {&a, &b}, {&y}, {2, 0}}, "matmul with flag 2");
}

// Cut along the inner dimension into pieces; the last one ends within a vector.
void test_long_matmul() { check_products({{7, 9001, 5}, {33, 9001, 9}, {50, 9001, 40}}); }

// ---- classification -------------------------------------------------------------------------------------------------------------

void test_softmax() {
  for (int64_t k : {1, 2, 10, 37, 1000})
    for (double scale : {1.0, 30.0, 1e4})
      for (bool hard : {true, false}) {
        int64_t rows = k == 1000 ? 20 : 65;
        Tensor z = random_tensor(f32, {rows, k}, -scale, scale), t = hard ? Tensor(i32, {rows}) : random_tensor(f32, {rows, k}, 0, 0.5);
        if (hard)
          for (int64_t r = 0; r < rows; ++r) t.set(r, double(int64_t(next_random()) % k));
        Tensor g = random_tensor(f32, {rows}), u = random_tensor(f32, {rows, k}), loss(f32, {rows}), el2n(f32, {rows}), dz(f32, {rows, k}),
               gz(f32, {rows, k}), gg(f32, {rows}), ls(f32, {rows, k});
        const int64_t width = 1 + rows % 37;
        Tensor h(f32, {rows, width}), last_layer(f32, {rows});
        for (int64_t i = 0; i < h.count(); ++i) h.set(i, std::sin(double(i)));
        run_all({&kernel_softmax_ce, {&z, &t, &h}, {&loss, &el2n, &last_layer}}, "softmax_ce with features");
        for (int64_t r = 0; r < rows; ++r) {
          double squares = 1;
          for (int64_t i = 0; i < width; ++i) squares += h.get(r * width + i) * h.get(r * width + i);
          near(last_layer.get(r), el2n.get(r) * std::sqrt(squares), 1e-6, "softmax_ce last layer");
        }
        run_all({&kernel_softmax_ce, {&z, &t}, {&loss, &el2n}}, "softmax_ce");
        run_all({&kernel_softmax_ce_grad, {&z, &t, &g}, {&dz}}, "softmax_ce_grad");
        run_all({&kernel_softmax_ce_grad_grad, {&z, &t, &g, &u}, {&gz, &gg}}, "softmax_ce_grad_grad");
        run_all({&kernel_log_softmax, {&z}, {&ls}}, "log_softmax");
        for (int64_t r = 0; r < rows; ++r) {
          double m = -kInf, sum = 0, total = 0, dot = 0, norm = 0, up = 0, ut = 0;
          auto target = [&](int64_t i) { return hard ? double(t.get(r) == double(i)) : t.get(r * k + i); };
          for (int64_t i = 0; i < k; ++i) m = std::fmax(m, z.get(r * k + i));
          for (int64_t i = 0; i < k; ++i) sum += std::exp(z.get(r * k + i) - m);
          for (int64_t i = 0; i < k; ++i) {
            double p = std::exp(z.get(r * k + i) - m) / sum;
            total += target(i);
            dot += target(i) * (z.get(r * k + i) - m);
            norm += (p - target(i)) * (p - target(i));
            up += u.get(r * k + i) * p;
            ut += u.get(r * k + i) * target(i);
          }
          near(loss.get(r), total * std::log(sum) - dot, 1e-6, "softmax_ce loss");
          near(el2n.get(r), std::sqrt(norm), 1e-6, "softmax_ce el2n");
          near(gg.get(r), total * up - ut, 1e-5, "softmax_ce_grad_grad gg");
          for (int64_t i = 0; i < k; ++i) {
            double p = std::exp(z.get(r * k + i) - m) / sum;
            near(dz.get(r * k + i), g.get(r) * (total * p - target(i)), 1e-6, "softmax_ce_grad");
            near(gz.get(r * k + i), g.get(r) * total * p * (u.get(r * k + i) - up), 1e-5, "softmax_ce_grad_grad gz");
            near(ls.get(r * k + i), z.get(r * k + i) - m - std::log(sum), 1e-6, "log_softmax");
          }
        }
      }
  Tensor z(f32, {3, 4}), label = tensor_of(i32, {3}, {0, 4, 1}), loss(f32, {3}), el2n(f32, {3});
  Status status = Call{&kernel_softmax_ce, {&z, &label}, {&loss, &el2n}}.run(1);
  expect(status.code == Code::invalid_index && std::strstr(status.message, "row 1"), "a label out of range names its row");
  Tensor no_rows(f32, {3, 0}), none(f32, {3});
  refuses({&kernel_softmax_ce, {&no_rows, &label}, {&loss, &el2n}}, "softmax_ce over no classes");
  Tensor features(f32, {2, 4}), norms(f32, {3});
  refuses({&kernel_softmax_ce, {&z, &label, &features}, {&loss, &el2n, &norms}}, "softmax_ce with features of other rows");
}

void test_rows() {
  for (int64_t width : {1, 3, 700})
    for (int64_t rows : {1, 5, 3000}) {
      int64_t m = 257;
      Tensor x = random_tensor(f32, {rows, width}), index(i32, {m}), y(f32, {m, width}), sum(f32, {rows, width});
      for (int64_t i = 0; i < m; ++i) index.set(i, double(int64_t(next_random()) % rows));
      run_all({&kernel_gather, {&x, &index}, {&y}}, "gather");
      for (int64_t i = 0; i < y.count(); ++i) expect(y.get(i) == x.get(int64_t(index.get(i / width)) * width + i % width), "gather");
      run_all({&kernel_scatter_add, {&y, &index}, {&sum}}, "scatter_add");
      std::vector<double> want(size_t(rows * width), 0);
      for (int64_t i = 0; i < y.count(); ++i) want[size_t(int64_t(index.get(i / width)) * width + i % width)] += y.get(i);
      for (int64_t i = 0; i < sum.count(); ++i) near(sum.get(i), want[size_t(i)], 1e-7, "scatter_add");
      index.set(3, double(rows));
      expect((Call{&kernel_gather, {&x, &index}, {&y}}.run(1).code == Code::invalid_index), "gather past the end");
      expect((Call{&kernel_scatter_add, {&y, &index}, {&sum}}.run(1).code == Code::invalid_index), "scatter_add past the end");
    }
  Tensor label = tensor_of(i32, {2, 2}, {0, 2, 1, 2}), hot(f32, {2, 2, 3});
  run_all({&kernel_one_hot, {&label}, {&hot}}, "one_hot");
  for (int64_t i = 0; i < 12; ++i) expect(hot.get(i) == double(label.get(i / 3) == double(i % 3)), "one_hot");
  label.set(0, -1);
  expect((Call{&kernel_one_hot, {&label}, {&hot}}.run(1).code == Code::invalid_index), "one_hot of -1");
  for (int64_t c : {1, 3, 5, 20}) {
    Tensor x = random_tensor(u8, {6, 9, 7, c}, 0, 256), index = tensor_of(i32, {4}, {5, 0, 3, 3}), scale = random_tensor(f32, {c}),
           shift = random_tensor(f32, {c}), y(f32, {4, 9, 7, c});
    run_all({&kernel_image_gather, {&x, &index, &scale, &shift}, {&y}}, "image_gather");
    int64_t image = 63 * c;
    for (int64_t i = 0; i < y.count(); ++i)
      near(y.get(i), x.get(int64_t(index.get(i / image)) * image + i % image) * scale.get(i % c) + shift.get(i % c), 1e-6, "image_gather");
    index.set(2, 6);
    expect((Call{&kernel_image_gather, {&x, &index, &scale, &shift}, {&y}}.run(1).code == Code::invalid_index),
           "image_gather past the end");
  }
}

// ---- augment --------------------------------------------------------------------------------------------------------------------

// Adjoint test <A x, u> = <x, A' u> on every kind, A x = augment - delta, and no reads out of bounds for absurd parameters.
void test_augment() {
  const std::vector<std::vector<double>> thetas = {{0},
                                                   {1, 0.3, 1.7, 0.6},
                                                   {1, -0.2, 1, 1},
                                                   {1, 0, 1, 0.5},
                                                   {2, 1, -2},
                                                   {2, -100, 3},
                                                   {3, 2, 1, 4, 3},
                                                   {3, -3, 5, 5, 100},
                                                   {4, 1},
                                                   {4, 0},
                                                   {5, 0.9, 0.2, 0.1, -0.2, 1.1, -0.3},
                                                   {5, 1, 0, 0, 0, 1, 0},
                                                   {2, 1e30, -1e30},
                                                   {2, kNan, kInf},
                                                   {3, kNan, -kInf, kInf, 1e38},
                                                   {5, kNan, kInf, 0, 1e38, 1, 0},
                                                   {5, 50, 0, 0, 0, 50, 9}};
  int64_t n = int64_t(thetas.size()), h = 6, w = 9, c = 3, image = h * w * c;
  Tensor theta(f32, {n, 8}), x = random_tensor(f32, {n, h, w, c}), u = random_tensor(f32, {n, h, w, c}), y(f32, {n, h, w, c}), linear = y,
                             adjoint = y;
  for (int64_t i = 0; i < n; ++i)
    for (size_t k = 0; k < thetas[size_t(i)].size(); ++k) theta.set(8 * i + int64_t(k), thetas[size_t(i)][k]);
  for (double align : {0.0, 1.0}) {
    run_all({&kernel_augment, {&x, &theta}, {&y}, {align}}, "augment");
    run_all({&kernel_augment_linear, {&x, &theta}, {&linear}, {align}}, "augment_linear");
    run_all({&kernel_augment_transpose, {&u, &theta}, {&adjoint}, {align}}, "augment_transpose");
    for (int64_t i = 0; i < n; ++i) {
      double left = 0, right = 0;
      for (int64_t k = i * image; k < (i + 1) * image; ++k) {
        left += linear.get(k) * u.get(k);
        right += x.get(k) * adjoint.get(k);
        if (theta.get(8 * i) != 1) expect(y.get(k) == linear.get(k), "augment and augment_linear differ only in brightness");
      }
      near(left, right, 1e-5, "augment adjoint of row " + std::to_string(i));
    }
    for (int64_t k = 11 * image; k < 12 * image; ++k) near(y.get(k), x.get(k), 1e-6, "the identity as an affine map");
  }
  for (int64_t i = 0; i < h; ++i)
    for (int64_t j = 0; j < w; ++j)
      expect(y.get(4 * image + (i * w + j) * c) == (i + 1 < h && j - 2 >= 0 ? x.get(4 * image + ((i + 1) * w + j - 2) * c) : 0), "crop");
  theta.set(0, 6);
  expect(!Call{&kernel_augment, {&x, &theta}, {&y}, {0}}.run(1).ok(), "an unknown kind");
  theta.set(0, kNan);
  expect(!Call{&kernel_augment, {&x, &theta}, {&y}, {0}}.run(1).ok(), "a NaN kind");
}

// ---- random ---------------------------------------------------------------------------------------------------------------------

void test_random() {
  PhiloxBlock zero = philox4x32_10({0, 0, 0, 0}, 0, 0), ones = philox4x32_10({~0u, ~0u, ~0u, ~0u}, ~0u, ~0u);
  expect(zero.w0 == 0x6627e8d5 && zero.w1 == 0xe169c58d && zero.w2 == 0xbc57ac4c && zero.w3 == 0x9b00dbd8, "Philox known answer, zeros");
  expect(ones.w0 == 0x408f276d && ones.w1 == 0x41c83b0e && ones.w2 == 0xa20bc7c6 && ones.w3 == 0x6d5451fd, "Philox known answer, ones");
  Tensor key = tensor_of(u32, {2}, {123456789, 4000000000.0}), counter = tensor_of(u32, {1}, {7});
  auto word = [&](int64_t i) {
    PhiloxBlock b = philox4x32_10({uint32_t(i / 4), 7, 3, 0}, 123456789u, 4000000000u);
    return i % 4 == 0 ? b.w0 : i % 4 == 1 ? b.w1 : i % 4 == 2 ? b.w2 : b.w3;
  };
  uint32_t hash = 2166136261u;
  for (int64_t n : {1, 3, 257, 200003}) {
    Tensor y(f32, {n}), p(i32, {n});
    run_all({&kernel_random_uniform, {&key, &counter}, {&y}, {3}}, "random_uniform");
    for (int64_t i = 0; i < n; ++i) expect(y.get(i) == double(word(i) >> 8) / 16777216.0, "random_uniform");
    run_all({&kernel_random_normal, {&key, &counter}, {&y}, {3}}, "random_normal");
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; ++i) {
      double r = std::sqrt(-2 * std::log(double((word(i & ~int64_t{1}) >> 8) + 1) / 16777216.0)),
             a = 2 * M_PI * double(word(i | 1) >> 8) / 16777216.0;
      expect(std::fabs(y.get(i) - r * (i % 2 ? std::sin(a) : std::cos(a))) < 1e-6, "random_normal");
      float first, second;
      normal_pair(word(i & ~int64_t{1}), word(i | 1), &first, &second);
      expect(y.as<float>()[i] == (i % 2 ? second : first), "random_normal differs from its recipe");
      sum += y.get(i);
      squares += y.get(i) * y.get(i);
      uint32_t bits;
      std::memcpy(&bits, y.as<float>() + i, 4);
      hash = (hash ^ bits) * 16777619u;
    }
    if (n > 1000) expect(std::fabs(sum / double(n)) < 0.01 && std::fabs(squares / double(n) - 1) < 0.02, "moments of random_normal");
    run_all({&kernel_random_permutation, {&key, &counter}, {&p}, {3}}, "random_permutation");
    std::vector<std::pair<uint32_t, int32_t>> order;
    for (int64_t i = 0; i < n; ++i) order.emplace_back(word(i), int32_t(i));
    std::sort(order.begin(), order.end());
    for (int64_t i = 0; i < n; ++i) expect(p.get(i) == order[size_t(i)].second, "random_permutation");
  }
  // One hash for all instruction sets and compilers: the bits are part of the contract.
  expect(hash == 4016509892u, "bits of random_normal: hash " + std::to_string(hash));
  Tensor y(f32, {4});
  refuses({&kernel_random_uniform, {&key, &counter}, {&y}, {-1}}, "random_uniform with purpose -1");
  refuses({&kernel_random_uniform, {&counter, &key}, {&y}, {1}}, "random_uniform with key and counter exchanged");
}

// ---- lanes ----------------------------------------------------------------------------------------------------------------------

void test_lanes() {
  for (DType dtype : {f32, f64})
    for (int64_t lanes : {1, 2, 3, 7, 16}) {
      Tensor partials = random_tensor(dtype, {lanes, 9, 601}), y(f32, {9, 601});
      run_all({&kernel_lane_sum, {&partials}, {&y}}, "lane_sum");
      for (int64_t i = 0; i < y.count(); ++i) {
        double want = 0;
        for (int64_t l = 0; l < lanes; ++l) want += partials.get(l * y.count() + i);
        near(y.get(i), want, 1e-7, "lane_sum");
      }
    }
  Tensor x = random_tensor(f32, {1000}), acc(f64, {1000});
  Call call{&kernel_accumulate, {&x}, {&acc}, {}, 0, true};
  run_all(call, "accumulate, first slice");
  call.first_slice = false;
  expect(call.run(2).ok(), "accumulate");
  for (int64_t i = 0; i < 1000; ++i) expect(acc.get(i) == 2 * x.get(i), "accumulate");
}

// Rows in panels of 32, whole numbers so that rows tie; anything behind the last row.
Tensor panels_of(const Tensor& x) {
  const int64_t rows = x.dims[0], width = x.dims[1];
  Tensor panels = random_tensor(f32, {(rows + 31) / 32, width, 32}, 1e6, 2e6);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t d = 0; d < width; ++d) panels.set((r / 32 * width + d) * 32 + r % 32, x.get(r * width + d));
  return panels;
}

// Sums as a plain loop makes them: products and sums round apart.
double term_sum(const Tensor& x, int64_t row, const std::vector<double>& point, bool distance) {
  const int64_t width = x.dims[1];
  volatile double sum = 0;
  for (int64_t d = 0; d < width; ++d) {
    const double a = point[size_t(d)], b = x.get(row * width + d);
    volatile double term = distance ? (a - b) * (a - b) : a * b;
    sum = sum + term;
  }
  return sum;
}

void test_k_center(int64_t rows, int64_t width, bool whole) {
  Tensor x = random_tensor(f32, {rows, width}, -3, 3), panels, nearest(f64, {rows}), next(i32, {}), given(i32, {}), after(f64, {rows}),
         following(i32, {}), chosen(i32, {}), radius(f64, {});
  for (int64_t i = 0; whole && i < x.count(); ++i) x.set(i, std::floor(x.get(i)));
  panels = panels_of(x);
  for (int64_t r = 0; r < rows; ++r) nearest.set(r, kInf);
  given.set(0, double(rows - 1));
  for (int64_t t = 0; t < std::min<int64_t>(rows, 5); ++t) {
    run_all({&kernel_k_center_step, {&panels, &nearest, &next, &given}, {&after, &following, &chosen, &radius}}, "k_center_step");
    const int64_t centre = t == 0 ? rows - 1 : int64_t(next.get(0));
    std::vector<double> point;
    for (int64_t d = 0; d < width; ++d) point.push_back(x.get(centre * width + d));
    double largest = -1, farthest = -1;
    for (int64_t r = 0; r < rows; ++r) {
      const double want = r == centre || nearest.get(r) < 0 ? -1 : std::fmin(nearest.get(r), term_sum(x, r, point, true));
      expect(after.get(r) == want, "k_center_step nearest");
      if (want > largest) largest = want, farthest = double(r);
    }
    expect(chosen.get(0) == double(centre) && following.get(0) == farthest, "k_center_step rows");
    expect(radius.get(0) == (largest < 0 ? 0 : std::sqrt(largest)), "k_center_step radius");
    std::swap(nearest, after), std::swap(next, following);
    given.set(0, -1);
  }
}

void test_herding(int64_t rows, int64_t width, bool residual, bool repeats) {
  Tensor x = random_tensor(f32, {rows, width}, -3, 3), panels = panels_of(x), mean = random_tensor(f64, {width}),
         target = random_tensor(f64, {width}), taken(i32, {rows}), after(f64, {width}), counted(i32, {rows}), chosen(i32, {});
  for (int64_t t = 0; t < std::min<int64_t>(rows, 5); ++t) {
    run_all({&kernel_herd_step, {&panels, &mean, &target, &taken}, {&after, &counted, &chosen}, {residual ? 0.0 : 1.0, double(repeats)}},
            "herd_step");
    std::vector<double> point;
    for (int64_t d = 0; d < width; ++d) point.push_back(residual ? target.get(d) + mean.get(d) : target.get(d));
    int64_t best = -1;
    double least = 0;
    for (int64_t r = 0; r < rows; ++r) {
      if (!repeats && taken.get(r) > 0) continue;
      const double value = term_sum(x, r, point, residual) * (residual ? 1 : -1);
      if (best < 0 || value < least) best = r, least = value;
    }
    expect(chosen.get(0) == double(best), "herd_step row");
    for (int64_t r = 0; r < rows; ++r) expect(counted.get(r) == taken.get(r) + double(r == best), "herd_step taken");
    for (int64_t d = 0; d < width; ++d) {
      const double left = point[size_t(d)] - x.get(best * width + d);
      expect(after.get(d) == (residual ? left : left + mean.get(d)), "herd_step target");
    }
    std::swap(target, after), std::swap(taken, counted);
  }
}

void test_picks() {
  for (int64_t rows : {1, 32, 33, 1000})
    for (int64_t width : {1, 7, 300}) {
      test_k_center(rows, width, true);
      test_k_center(rows, width, false);
      for (bool residual : {true, false}) test_herding(rows, width, residual, !residual && rows == 33);
    }
  Tensor panels(f32, {1, 2, 32}), nearest(f64, {5}), next(i32, {}), given(i32, {}), after(f64, {5}), following(i32, {}), chosen(i32, {}),
      radius(f64, {}), mean(f64, {2}), target(f64, {2}), taken(i32, {5}), moved(f64, {2}), counted(i32, {5}), more(f64, {33}),
      most(f64, {33});
  next.set(0, -1), given.set(0, -1);
  for (double row : {-1.0, 5.0, 2147483647.0}) {
    next.set(0, row);
    Status status = Call{&kernel_k_center_step, {&panels, &nearest, &next, &given}, {&after, &following, &chosen, &radius}}.run(2);
    expect(status.code == Code::invalid_index, "a row out of range");
  }
  for (int64_t r = 0; r < 5; ++r) taken.set(r, 1);
  Status status = Call{&kernel_herd_step, {&panels, &mean, &target, &taken}, {&moved, &counted, &chosen}, {0, 0}}.run(2);
  expect(status.code == Code::invalid_index, "no row is left");
  refuses({&kernel_k_center_step, {&panels, &more, &next, &given}, {&most, &following, &chosen, &radius}}, "k_center_step of more rows");
  refuses({&kernel_k_center_step, {&panels, &nearest, &next, &given}, {&most, &following, &chosen, &radius}},
          "k_center_step of other rows");
  refuses({&kernel_herd_step, {&panels, &mean, &after, &taken}, {&moved, &counted, &chosen}, {0, 0}}, "herd_step with a wide target");
  refuses({&kernel_herd_step, {&panels, &mean, &target, &taken}, {&moved, &counted, &chosen}, {2, 0}}, "herd_step by a third rule");
}

}  // namespace
}  // namespace aludel::testing

int main() {
  using namespace aludel::testing;
  test_unary();
  test_binary();
  test_map();
  test_cast();
  test_reduce();
  test_movement();
  test_matmul();
  test_softmax();
  test_rows();
  test_augment();
  test_random();
  test_lanes();
  test_picks();
  test_long_matmul();
  std::printf(failures ? "%d failures\n" : "kernels_simple_test: ok\n", failures);
  return failures ? 1 : 0;
}
