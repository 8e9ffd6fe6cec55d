// Elementwise ops, fused programs and casts against libm in float64: values, edges, broadcasting, aliasing, refusals.
#pragma once
#include "native/core/opcodes.h"
#include "test/native/kernel_harness.h"

namespace aludel::cpu::ALUDEL_ISA {
extern const Kernel kernel_elementwise, kernel_map, kernel_cast;
}

namespace aludel::testing {
namespace {

using namespace aludel::cpu::ALUDEL_ISA;
constexpr DType f32 = DType::f32, f64 = DType::f64, i32 = DType::i32, u32 = DType::u32, u8 = DType::u8;
constexpr double kInf = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();

// Index in a tensor of shape `dims` of element `flat` of shape `out`, by NumPy broadcasting.
int64_t broadcast_index(const Dims& dims, const Dims& out, int64_t flat) {
  int64_t index = 0, stride = 1;
  for (size_t k = 0; k < out.size(); ++k) {
    size_t d = out.size() - 1 - k;
    int64_t i = flat % out[d];
    flat /= out[d];
    if (k >= dims.size()) continue;
    int64_t size = dims[dims.size() - 1 - k];
    index += (size == 1 ? 0 : i) * stride;
    stride *= size;
  }
  return index;
}

// ---- elementwise ----------------------------------------------------------------------------------------------------------------

double scalar_op(Opcode op, double a, double b, double c) {
  switch (op) {
    case Opcode::neg:
      return -a;
    case Opcode::abs:
      return std::fabs(a);
    case Opcode::sign:
      return a > 0 ? 1 : a < 0 ? -1 : 0;
    case Opcode::exp:
      return std::exp(a);
    case Opcode::log:
      return std::log(a);
    case Opcode::sqrt:
      return std::sqrt(a);
    case Opcode::rsqrt:
      return 1 / std::sqrt(a);
    case Opcode::reciprocal:
      return 1 / a;
    case Opcode::square:
      return a * a;
    case Opcode::tanh:
      return std::tanh(a);
    case Opcode::sigmoid:
      return 1 / (1 + std::exp(-a));
    case Opcode::relu:
      return std::isnan(a) ? a : a > 0 ? a : 0;
    case Opcode::floor:
      return std::floor(a);
    case Opcode::sin:
      return std::sin(a);
    case Opcode::cos:
      return std::cos(a);
    case Opcode::erf:
      return std::erf(a);
    case Opcode::is_finite:
      return std::isfinite(a);
    case Opcode::add:
      return a + b;
    case Opcode::sub:
      return a - b;
    case Opcode::mul:
      return a * b;
    case Opcode::div:
      return a / b;
    case Opcode::pow:
      return std::pow(a, b);
    case Opcode::maximum:
      return std::isnan(a) || a > b ? a : b;
    case Opcode::minimum:
      return std::isnan(a) || a < b ? a : b;
    case Opcode::greater:
      return a > b;
    case Opcode::greater_equal:
      return a >= b;
    case Opcode::equal:
      return a == b;
    default:
      return c != 0 ? a : b;
  }
}

constexpr int kFirstUnary = int(Opcode::neg), kLastUnary = int(Opcode::is_finite), kFirstBinary = int(Opcode::add),
              kLastBinary = int(Opcode::equal);

// Distance in units of the last place of float32, denormals included.
double ulps(float got, double want) {
  double rounded = double(float(want));
  if (std::isnan(rounded)) return std::isnan(got) ? 0 : 1e9;
  if (std::isinf(rounded) || std::isinf(got)) return double(got) == rounded ? 0 : 1e9;
  return std::fabs(double(got) - want) / std::fmax(std::ldexp(1.0, std::ilogb(std::fmax(std::fabs(want), 1e-300)) - 23), 1.401298464e-45);
}

void test_unary() {
  std::vector<double> values = {0.0, -0.0, kInf, -kInf, kNan,  1e-40,  -1e-40, 1.4e-45, 3.4e38,  -3.4e38, 1,
                                -1,  0.5,  88.7, 88.8,  -87.3, -103.9, -104.5, 1e30,    8388609, -8388609};
  for (int i = 0; i < 4000; ++i) values.push_back(uniform(-20, 20));
  for (int i = 0; i < 4000; ++i) values.push_back(uniform(-110, 90));
  for (int i = 0; i < 4000; ++i) values.push_back(std::exp(uniform(-90, 85)));
  for (int i = 0; i < 2000; ++i) values.push_back(uniform(-9000, 9000));
  for (int i = 0; i < 2000; ++i) values.push_back(uniform(0.9, 1.1));
  Dims dims = {int64_t(values.size())};
  for (int op = kFirstUnary; op <= kLastUnary; ++op) {
    for (DType dtype : {f32, f64}) {
      Tensor x = tensor_of(dtype, dims, values), y(dtype, dims);
      std::string name = "unary opcode " + std::to_string(op);
      if (!run_all({&kernel_elementwise, {&x}, {&y}, {}, op}, name)) continue;
      for (int64_t i = 0; i < x.count(); ++i) {
        double want = scalar_op(Opcode(op), x.get(i), 0, 0);
        if (dtype == f64) {
          near(y.get(i), want, 1e-15, name + " f64 at " + std::to_string(x.get(i)));
          continue;
        }
        bool trigonometric = op == int(Opcode::sin) || op == int(Opcode::cos);
        // Near a zero of sine or cosine the error is bounded absolutely.
        double error = ulps(y.as<float>()[i], want);
        bool ok = error <= 2.5 || (trigonometric && std::fabs(y.get(i) - want) <= 1.2e-7);
        expect(ok, name + " at " + std::to_string(x.get(i)) + ": got " + std::to_string(y.get(i)) + ", expected " + std::to_string(want) +
                       ", ulps " + std::to_string(error));
      }
    }
  }
}

void test_binary() {
  struct Shapes {
    Dims a, b, out;
  };
  const std::vector<Shapes> cases = {
      {{5}, {5}, {5}},
      {{7, 100}, {100}, {7, 100}},
      {{7, 100}, {7, 1}, {7, 100}},
      {{1}, {3, 5}, {3, 5}},
      {{}, {}, {}},
      {{4, 1, 6}, {5, 1}, {4, 5, 6}},
      {{3, 700}, {700}, {3, 700}},
      {{40000}, {1}, {40000}},
      {{2, 3, 4, 5}, {3, 1, 5}, {2, 3, 4, 5}},
      {{90, 1200}, {1200}, {90, 1200}},
      {{90, 1200}, {90, 1}, {90, 1200}},
      {{0, 3}, {3}, {0, 3}},
      {{50, 30, 3}, {3}, {50, 30, 3}},
  };
  for (auto& s : cases)
    for (int op = kFirstBinary; op <= kLastBinary; ++op)
      for (DType dtype : {f32, f64, i32}) {
        if (dtype == i32 && (op == int(Opcode::pow) || op == int(Opcode::div))) continue;
        Tensor a = random_tensor(dtype, s.a, 0.1, 3), b = random_tensor(dtype, s.b, 0.1, 3), y(dtype, s.out);
        std::string name = "binary opcode " + std::to_string(op);
        if (!run_all({&kernel_elementwise, {&a, &b}, {&y}, {}, op}, name)) continue;
        for (int64_t i = 0; i < y.count(); ++i)
          near(y.get(i), scalar_op(Opcode(op), a.get(broadcast_index(s.a, s.out, i)), b.get(broadcast_index(s.b, s.out, i)), 0),
               dtype == f64 ? 1e-15 : 2e-7, name);
      }
  Tensor a = tensor_of(f32, {4}, {kNan, 1, kNan, 2}), b = tensor_of(f32, {4}, {1, kNan, kNan, 3}), y(f32, {4});
  run_all({&kernel_elementwise, {&a, &b}, {&y}, {}, int(Opcode::maximum)}, "maximum of NaN");
  for (int i = 0; i < 3; ++i) near(y.get(i), kNan, 0, "maximum of NaN");
  Tensor c = tensor_of(f32, {4, 1}, {0, 1, -1, 0.5}), big(f32, {4, 4});
  run_all({&kernel_elementwise, {&c, &a, &b}, {&big}, {}, int(Opcode::select)}, "select");
  for (int64_t i = 0; i < 16; ++i) near(big.get(i), c.get(i / 4) != 0 ? a.get(i % 4) : b.get(i % 4), 0, "select");
  Tensor wrong_shape(f32, {3});
  refuses({&kernel_elementwise, {&a, &b}, {&wrong_shape}, {}, int(Opcode::add)}, "add to another shape");
  refuses({&kernel_elementwise, {&a}, {&y}, {}, int(Opcode::add)}, "add of one input");
  refuses({&kernel_elementwise, {&a}, {&y}, {}, int(Opcode::matmul)}, "elementwise matmul");
}

// velocity' = m velocity + g; parameter' = parameter - lr velocity', both in place of their inputs.
void test_map() {
  int mul = int(Opcode::mul), add = int(Opcode::add), sub = int(Opcode::sub);
  std::vector<double> sgd = {4, double(mul), 5, 3,  1,           -1, double(add), 6, 5,  2, -1, double(mul),
                             7, 4,           6, -1, double(sub), 8,  0,           7, -1, 2, 8,  6};
  for (int64_t n : {1, 511, 100003}) {
    Tensor p = random_tensor(f32, {n}), v = random_tensor(f32, {n}), g = random_tensor(f32, {n}), m = tensor_of(f32, {}, {0.9}),
           lr = tensor_of(f32, {}, {0.01});
    Tensor p_new(f32, {n}), v_new(f32, {n});
    run_all({&kernel_map, {&p, &v, &g, &m, &lr}, {&p_new, &v_new}, sgd}, "map");
    for (int64_t i = 0; i < n; ++i) {
      double w = 0.9 * v.get(i) + g.get(i);
      near(v_new.get(i), w, 1e-6, "map velocity");
      near(p_new.get(i), p.get(i) - 0.01 * w, 1e-6, "map parameter");
    }
    Tensor p_in = p, v_in = v;
    Call in_place{&kernel_map, {&p_in, &v_in, &g, &m, &lr}, {&p_in, &v_in}, sgd};
    expect(in_place.run(2).ok(), "map in place");
    expect(p_in.bytes == p_new.bytes && v_in.bytes == v_new.bytes, "map in place gives other bits");
    // The output that overwrites input 0 is ready before input 0 is last read: a + b into a, then a * b into b.
    Tensor a = p, b = v;
    std::vector<double> hazard = {2, double(add), 2, 0, 1, -1, double(mul), 3, 0, 1, -1, 2, 2, 3};
    expect(Call{&kernel_map, {&a, &b}, {&a, &b}, hazard}.run(1).ok(), "map hazard");
    for (int64_t i = 0; i < n; ++i) {
      near(a.get(i), p.get(i) + v.get(i), 1e-6, "map hazard sum");
      near(b.get(i), p.get(i) * v.get(i), 1e-6, "map hazard product");
    }
    // Inputs straight to outputs, and one register twice.
    Tensor o0(f32, {n}), o1(f32, {n}), o2(f32, {n});
    run_all({&kernel_map, {&p, &v}, {&o0, &o1, &o2}, {1, double(add), 2, 0, 1, -1, 3, 0, 2, 2}}, "map copies");
    expect(o0.bytes == p.bytes && o1.bytes == o2.bytes, "map copies");
  }
  Tensor x = random_tensor(f32, {4}), y(f32, {4});
  refuses({&kernel_map, {&x}, {&y}, {1, double(add), 1, 0, 2, -1, 1, 1}}, "map that reads an unwritten register");
  refuses({&kernel_map, {&x}, {&y}, {1, double(add), 0, 0, 0, -1, 1, 0}}, "map that writes an input");
  refuses({&kernel_map, {&x}, {&y}, {1, double(add), 1e9, 0, 0, -1, 1, 1}}, "map with a wild register");
  refuses({&kernel_map, {&x}, {&y}, {1e300, double(add), 1, 0, 0, -1, 1, 1}}, "map with a wild count");
  refuses({&kernel_map, {&x}, {&y}, {1, double(add), 1, 0, 0, -1, 1, kNan}}, "map with a NaN output");
  refuses({&kernel_map, {&x}, {&y}, {1, double(add), 1, 0, 0, -1, 1}}, "map cut short");
  refuses({&kernel_map, {&x}, {&y}, {}}, "map without attributes");
}

void test_cast() {
  std::vector<double> values = {0, 1.7, -1.7, 255.9, 256, 2147483520.0, 3e9, -3e9, 1e20, kNan, kInf, -kInf, 77};
  double low[5] = {0, 0, -2147483648.0, 0, 0}, high[5] = {0, 0, 2147483647.0, 4294967295.0, 255};
  for (int from = 0; from < 5; ++from)
    for (int to = 0; to < 5; ++to) {
      Tensor x(DType(from), {int64_t(values.size())}), y(DType(to), {int64_t(values.size())});
      for (size_t i = 0; i < values.size(); ++i)
        x.set(int64_t(i), from < 2 ? values[i] : std::isnan(values[i]) ? 5 : std::fmin(std::fmax(values[i], low[from]), high[from]));
      run_all({&kernel_cast, {&x}, {&y}}, "cast");
      for (int64_t i = 0; i < x.count(); ++i) {
        double v = x.get(i), want = to == 0         ? double(float(v))
                                    : to == 1       ? v
                                    : std::isnan(v) ? 0
                                                    : std::fmin(std::fmax(std::trunc(v), low[to]), high[to]);
        near(y.get(i), want, 0, "cast " + std::to_string(from) + " to " + std::to_string(to));
      }
    }
}

}  // namespace
}  // namespace aludel::testing
