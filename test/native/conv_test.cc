// Convolutions against float64 loops; prepared against raw weights and 1, 2, 3 threads bit for bit; refusals.
// Build with the flags of one kernel unit, together with native/cpu/kernels/conv*.cc:
//   g++ -std=c++20 -O2 -I. -mavx2 -mfma -DALUDEL_ISA=avx2 -DALUDEL_VW=8 test/native/conv_test.cc native/cpu/kernels/conv*.cc -pthread
#include "test/native/conv_harness.h"

namespace aludel::cpu::ALUDEL_ISA {
extern const Kernel kernel_conv2d, kernel_conv2d_input_grad, kernel_conv2d_weight_grad, kernel_conv2d_weight_grad_squared_norm,
    kernel_conv2d_prepare;
}

namespace aludel::testing {
namespace {

using namespace aludel::cpu::ALUDEL_ISA;

int failures = 0;
double worst[2] = {0, 0};  // largest error of each algorithm, as a fraction of its tolerance

void report(bool ok, const ConvCase& c, const char* what, const char* detail = "") {
  if (ok || ++failures > 20) return;
  std::printf("FAIL %s: G%lld N%lld %lldx%lld C%lld K%lld kernel %lldx%lld stride %lld,%lld pad %lld,%lld %s\n", what, (long long)c.groups,
              (long long)c.images, (long long)c.height, (long long)c.width, (long long)c.channels, (long long)c.filters,
              (long long)c.kernel_height, (long long)c.kernel_width, (long long)c.stride_height, (long long)c.stride_width,
              (long long)c.pad_height, (long long)c.pad_width, detail);
}

// Direct: rounding is bounded by the magnitude of each sum. Winograd mixes a tile's terms with weights up to 8, so the largest sum counts.
void compare(const ConvCase& c, const char* what, const Tensor& got, const Expected& expected, int algorithm) {
  double largest = 0, fraction = 0;
  for (double m : expected.magnitude) largest = std::fmax(largest, m);
  for (size_t i = 0; i < got.data.size(); ++i) {
    const double tolerance = 1e-30 + std::ldexp(1.0, -24) * (algorithm == 0 ? 8 * expected.magnitude[i] : 64 * largest);
    const double error = std::fabs(double(got.data[i]) - expected.value[i]) / tolerance;
    fraction = error > fraction || std::isnan(error) ? error : fraction;
  }
  worst[algorithm] = std::fmax(worst[algorithm], fraction);
  report(fraction <= 1, c, what, algorithm == 0 ? "direct" : "winograd");
}

bool same_bits(const Tensor& a, const Tensor& b) { return std::memcmp(a.data.data(), b.data.data(), a.data.size() * sizeof(float)) == 0; }

// `result` starts as NaN: an element that no task writes is seen.
Tensor unwritten(const Dims& dims) { return Tensor(dims, std::numeric_limits<float>::quiet_NaN()); }

void run(const ConvCase& c, const Kernel& kernel, const std::vector<Tensor*>& in, const std::vector<Tensor*>& out,
         const std::vector<double>& attrs, int threads) {
  const Status status = run_instruction(kernel, in, out, attrs, threads);
  report(status.ok(), c, "run", status.message);
}

Tensor prepare(const ConvCase& c, Tensor& w, int role, int algorithm) {
  const int64_t produced = role == 0 ? c.filters : c.channels;
  Tensor out = unwritten(
      {c.groups, algorithm == 1 ? 36 : c.kernel_height * c.kernel_width, role == 0 ? c.channels : c.filters, (produced + 31) / 32 * 32});
  run(c, kernel_conv2d_prepare, {&w}, {&out}, {double(role), double(algorithm)}, 2);
  return out;
}

// conv2d (role 0, with bias) or conv2d_input_grad (role 1), raw and prepared, at 1 to 3 threads.
void check_products(const ConvCase& c, int role, int algorithm, Tensor& in, Tensor& w, Tensor& bias, const Expected& expected) {
  const Kernel& kernel = role == 0 ? kernel_conv2d : kernel_conv2d_input_grad;
  const char* name = role == 0 ? "conv2d" : "conv2d_input_grad";
  std::vector<Tensor*> inputs{&in, &w};
  if (role == 0) inputs.push_back(&bias);
  const Dims shape = role == 0 ? c.y() : c.x();
  Tensor first = unwritten(shape);
  run(c, kernel, inputs, {&first}, c.attrs(algorithm), 1);
  compare(c, name, first, expected, algorithm);
  const bool square = c.kernel_height == c.kernel_width;
  Tensor prepared = square ? prepare(c, w, role, algorithm) : Tensor();
  for (int threads = 1; threads <= 3; ++threads) {
    Tensor again = unwritten(shape);
    run(c, kernel, inputs, {&again}, c.attrs(algorithm), threads);
    report(same_bits(first, again), c, name, "threads");
    if (!square) continue;
    inputs[1] = &prepared;
    again = unwritten(shape);
    run(c, kernel, inputs, {&again}, c.attrs(algorithm + 16), threads);
    report(same_bits(first, again), c, name, "prepared");
    inputs[1] = &w;
  }
}

void check_weight_grad(const ConvCase& c, int algorithm, Tensor& x, Tensor& dy, const ConvReference& expected) {
  Tensor dw = unwritten(c.w()), db = unwritten(c.bias());
  run(c, kernel_conv2d_weight_grad, {&x, &dy}, {&dw, &db}, c.attrs(algorithm), 1);
  compare(c, "conv2d_weight_grad dw", dw, expected.dw, algorithm);
  compare(c, "conv2d_weight_grad db", db, expected.db, algorithm);
  for (int threads = 2; threads <= 3; ++threads) {
    Tensor dw2 = unwritten(c.w()), db2 = unwritten(c.bias());
    run(c, kernel_conv2d_weight_grad, {&x, &dy}, {&dw2, &db2}, c.attrs(algorithm), threads);
    report(same_bits(dw, dw2) && same_bits(db, db2), c, "conv2d_weight_grad", "threads");
  }
}

// Sums of squares of each group; `term` of an element is bounded by the square of its sum's magnitude.
Expected squares(const ConvCase& c, const Expected& gradient) {
  Expected sums({c.groups});
  const size_t size = gradient.value.size() / size_t(c.groups);
  for (size_t i = 0; i < gradient.value.size(); ++i) {
    sums.value[i / size] += gradient.value[i] * gradient.value[i];
    sums.magnitude[i / size] += 2 * gradient.magnitude[i] * gradient.magnitude[i];
  }
  return sums;
}

std::vector<double> norm_attrs(const ConvCase& c, int way) {
  std::vector<double> attrs = c.attrs(way);
  attrs.insert(attrs.end(), {double(c.kernel_height), double(c.kernel_width)});
  return attrs;
}

// By the gradient of a group at a time (0), and by inner products (1) where a group has one image.
void check_squared_norms(const ConvCase& c, Tensor& x, Tensor& dy, const ConvReference& expected) {
  const Kernel& kernel = kernel_conv2d_weight_grad_squared_norm;
  const bool products = c.images == 1 && c.kernel_height * c.kernel_width <= 64;
  for (int way = 0; way <= (products ? 1 : 0); ++way) {
    Tensor dw = unwritten({c.groups}), db = unwritten({c.groups});
    run(c, kernel, {&x, &dy}, {&dw, &db}, norm_attrs(c, way), 1);
    compare(c, way == 0 ? "squared norm dw, direct" : "squared norm dw, gram", dw, squares(c, expected.dw), 0);
    compare(c, way == 0 ? "squared norm db, direct" : "squared norm db, gram", db, squares(c, expected.db), 0);
    for (int threads = 2; threads <= 3; ++threads) {
      Tensor dw2 = unwritten({c.groups}), db2 = unwritten({c.groups});
      run(c, kernel, {&x, &dy}, {&dw2, &db2}, norm_attrs(c, way), threads);
      report(same_bits(dw, dw2) && same_bits(db, db2), c, "squared norm", "threads");
    }
  }
}

// The same shapes as samples: one image a group, more groups than a task takes.
void check_samples(ConvCase c) {
  c.groups = 6;
  c.images = 1;
  Tensor x = random_tensor(c.x(), 5), w = random_tensor(c.w(), 2), bias = random_tensor(c.bias(), 3), dy = random_tensor(c.y(), 6);
  check_squared_norms(c, x, dy, reference(c, x, w, bias, dy));
}

void check_case(const ConvCase& c) {
  Tensor x = random_tensor(c.x(), 1), w = random_tensor(c.w(), 2), bias = random_tensor(c.bias(), 3), dy = random_tensor(c.y(), 4);
  const ConvReference expected = reference(c, x, w, bias, dy);
  for (int algorithm = 0; algorithm <= (c.winograd() ? 1 : 0); ++algorithm) {
    check_products(c, 0, algorithm, x, w, bias, expected.y);
    check_products(c, 1, algorithm, dy, w, bias, expected.dx);
    check_weight_grad(c, algorithm, x, dy, expected);
  }
  check_squared_norms(c, x, dy, expected);
  check_samples(c);
}

// Every operand and attribute in turn made wrong; each must be refused, none may crash.
void check_refusals() {
  const ConvCase c{2, 3, 8, 8, 5, 7, 3, 3, 1, 1, 1, 1};
  Tensor x(c.x()), w(c.w()), bias(c.bias()), y(c.y()), prepared(Dims{2, 9, 5, 32}), points(Dims{2, 36, 5, 32}), wrong(Dims{2, 3, 9, 8, 5}),
      squared(Dims{2});
  auto refused = [&](const char* what, const Kernel& kernel, const std::vector<Tensor*>& in, const std::vector<Tensor*>& out,
                     const std::vector<double>& attrs) {
    report(check_instruction(kernel, in, out, attrs).code == Code::invalid_program, c, "accepted", what);
  };
  auto accepted = [&](const char* what, const Kernel& kernel, const std::vector<Tensor*>& in, const std::vector<Tensor*>& out,
                      const std::vector<double>& attrs) {
    const Status status = check_instruction(kernel, in, out, attrs);
    report(status.ok(), c, what, status.message);
  };
  accepted("bias", kernel_conv2d, {&x, &w, &bias}, {&y}, {1, 1, 1, 1, 0});
  accepted("prepared", kernel_conv2d, {&x, &prepared}, {&y}, {1, 1, 1, 1, 16});
  accepted("points", kernel_conv2d, {&x, &points}, {&y}, {1, 1, 1, 1, 17});
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  for (double bad : {nan, inf, -inf, -1.0, 0.5, 1e300, 4.0}) {
    for (size_t i = 0; i < 5; ++i) {
      std::vector<double> attrs{1, 1, 1, 1, 0};
      attrs[i] = bad;
      refused("attribute", kernel_conv2d, {&x, &w}, {&y}, attrs);
      refused("attribute", kernel_conv2d_input_grad, {&y, &w}, {&x}, attrs);
      refused("attribute", kernel_conv2d_weight_grad, {&x, &y}, {&w, &bias}, attrs);
      attrs.insert(attrs.end(), {3, 3});
      refused("attribute", kernel_conv2d_weight_grad_squared_norm, {&x, &y}, {&squared, &squared}, attrs);
    }
    refused("role", kernel_conv2d_prepare, {&w}, {&prepared}, {bad, 0});
    refused("algorithm", kernel_conv2d_prepare, {&w}, {&prepared}, {0, bad});
  }
  refused("swapped prepared", kernel_conv2d, {&x, &points}, {&y}, {1, 1, 1, 1, 16});
  refused("swapped prepared", kernel_conv2d, {&x, &prepared}, {&y}, {1, 1, 1, 1, 17});
  refused("raw as prepared", kernel_conv2d, {&x, &w}, {&y}, {1, 1, 1, 1, 16});
  refused("weight grad prepared", kernel_conv2d_weight_grad, {&x, &y}, {&w, &bias}, {1, 1, 1, 1, 16});
  const Kernel& norm = kernel_conv2d_weight_grad_squared_norm;
  accepted("norms", norm, {&x, &y}, {&squared, &squared}, {1, 1, 1, 1, 0, 3, 3});
  refused("inner products of several images", norm, {&x, &y}, {&squared, &squared}, {1, 1, 1, 1, 1, 3, 3});
  refused("a kernel of another size", norm, {&x, &y}, {&squared, &squared}, {1, 1, 1, 1, 0, 3, 5});
  refused("norms of filters", norm, {&x, &y}, {&squared, &bias}, {1, 1, 1, 1, 0, 3, 3});
  refused("norms without a kernel size", norm, {&x, &y}, {&squared, &squared}, {1, 1, 1, 1, 0});
  Tensor map(Dims{1, 1, 4096, 4096, 1}), one(Dims{1});
  refused("inner products of too many pixels", norm, {&map, &map}, {&one, &one}, {1, 1, 0, 0, 1, 1, 1});
  refused("few attributes", kernel_conv2d, {&x, &w}, {&y}, {1, 1, 1, 1});
  refused("one input", kernel_conv2d, {&x}, {&y}, {1, 1, 1, 1, 0});
  refused("two outputs", kernel_conv2d, {&x, &w}, {&y, &y}, {1, 1, 1, 1, 0});
  refused("x", kernel_conv2d, {&wrong, &w}, {&y}, {1, 1, 1, 1, 0});
  refused("w", kernel_conv2d, {&x, &wrong}, {&y}, {1, 1, 1, 1, 0});
  refused("y", kernel_conv2d, {&x, &w}, {&wrong}, {1, 1, 1, 1, 0});
  refused("bias", kernel_conv2d, {&x, &w, &x}, {&y}, {1, 1, 1, 1, 0});
  refused("db", kernel_conv2d_weight_grad, {&x, &y}, {&w, &x}, {1, 1, 1, 1, 0});
  Tensor w5(Dims{2, 5, 5, 5, 7}), y5(Dims{2, 3, 6, 6, 7});
  refused("winograd 5x5", kernel_conv2d, {&x, &w5}, {&y5}, {1, 1, 1, 1, 1});
  refused("winograd 5x5", kernel_conv2d_prepare, {&w5}, {&points}, {0, 1});
  Tensor small_y(Dims{2, 3, 6, 6, 7});
  refused("winograd pad 0", kernel_conv2d, {&x, &w}, {&small_y}, {1, 1, 0, 0, 1});
}

// Shapes whose data nobody owns: sizes that overflow when multiplied must be refused before anything is computed from them.
void check_hostile_shapes() {
  const ConvCase c{};
  for (int64_t dim : {int64_t{0}, int64_t{-1}, int64_t{1} << 23, int64_t{1} << 62}) {
    TensorRef refs[3] = {{DType::f32, 5, {dim, dim, dim, dim, dim}, nullptr}, {DType::f32, 5, {dim, 1, 1, dim, dim}, nullptr}, {}};
    refs[2] = refs[0];
    const double attrs[5] = {1, 1, 0, 0, 0};
    report(kernel_conv2d.check({0, refs, 2, refs + 2, 1, attrs, 5}).code == Code::invalid_program, c, "accepted", "hostile shape");
  }
}

int main() {
  const ConvCase cases[] = {
      {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0},     {1, 2, 5, 7, 3, 10, 3, 3, 1, 1, 1, 1},     {2, 3, 8, 8, 16, 16, 3, 3, 1, 1, 1, 1},
      {3, 2, 9, 6, 13, 21, 3, 3, 1, 1, 1, 1},   {1, 5, 4, 4, 33, 65, 3, 3, 1, 1, 1, 1},    {1, 1, 28, 28, 1, 6, 5, 5, 1, 1, 3, 3},
      {1, 2, 28, 28, 3, 20, 3, 3, 1, 1, 3, 3},  {1, 1, 35, 39, 3, 24, 11, 11, 4, 4, 2, 2}, {2, 2, 9, 9, 12, 18, 1, 1, 2, 2, 0, 0},
      {1, 2, 8, 8, 17, 9, 3, 3, 2, 2, 1, 1},    {1, 2, 11, 7, 4, 40, 3, 5, 2, 3, 0, 2},    {1, 1, 6, 6, 9, 5, 5, 5, 1, 1, 2, 2},
      {1, 3, 7, 7, 10, 11, 3, 3, 1, 1, 0, 0},   {1, 2, 7, 7, 10, 11, 3, 3, 1, 1, 2, 2},    {1, 2, 6, 5, 12, 3, 2, 4, 1, 1, 1, 0},
      {1, 1, 10, 10, 9, 8, 1, 1, 3, 3, 0, 0},   {2, 1, 5, 5, 2, 130, 3, 3, 1, 1, 1, 1},    {1, 1, 1, 1, 40, 40, 3, 3, 1, 1, 1, 1},
      {1, 3, 2, 13, 128, 10, 3, 3, 1, 1, 1, 1}, {1, 1, 3, 3, 150, 140, 3, 3, 1, 1, 1, 1},  {1, 20, 8, 8, 24, 24, 3, 3, 1, 1, 1, 1},
      {1, 9, 12, 12, 11, 34, 3, 3, 1, 1, 1, 1}, {1, 3, 2, 2, 64, 32, 2, 2, 2, 2, 0, 0},    {1, 2, 4, 4, 8, 8, 4, 4, 1, 1, 0, 0},
      {1, 4, 32, 32, 3, 48, 3, 3, 1, 1, 1, 1},  {1, 70, 32, 32, 2, 34, 3, 3, 1, 1, 1, 1},  {1, 300, 8, 8, 70, 70, 3, 3, 1, 1, 1, 1},
  };
  for (const ConvCase& c : cases) check_case(c);
  check_refusals();
  check_hostile_shapes();
  std::printf("conv: %d failures, largest error %.2f (direct) and %.2f (Winograd) of tolerance (%d lanes)\n", failures, worst[0], worst[1],
              ALUDEL_VW);
  return failures != 0;
}

}  // namespace
}  // namespace aludel::testing

int main() { return aludel::testing::main(); }
