// A cuBLASLt for the emulated device: the symbols that the backend asks for, with the values of the public documentation, apart from the
// backend's own declarations. It multiplies what its descriptors say, in float64, operands rounded as the compute type allows, and refuses
// whatever does not fit together.
//
// CUBLAS_LT_FAKE: old (a version before 12), no-handle, no-algorithm, failing (every product).
#include <cstdint>
#include <mutex>
#include <vector>

#include "fake_library.h"

namespace {

using Status = int;
constexpr Status kSuccess = 0, kNotInitialized = 1, kInvalidValue = 7, kExecutionFailed = 13;

struct Handle {
  int unused;
};
struct MatmulDesc {
  int compute, scale;
  int transpose_a = 0, transpose_b = 0;
};
struct Layout {
  int type;
  uint64_t rows, columns;
  int64_t leading;
  int32_t batch = 1;
  int64_t batch_stride = 0;
};
struct Preference {
  uint64_t workspace = 0;
  uint32_t reduction = 7;
  uint32_t alignment[4] = {256, 256, 256, 256};
};
struct Heuristic {
  uint64_t algorithm[8];
  size_t workspace_bytes;
  Status state;
  float waves;
  int reserved[4];
};

const fake::Library library("CUBLAS_LT_FAKE");

Status refuse(const std::string& why) { return library.refuse(why, kInvalidValue); }

template <class T>
bool take(T* value, const void* from, size_t bytes) {
  if (from == nullptr || bytes != sizeof(T)) return false;
  memcpy(value, from, sizeof(T));
  return true;
}

// What the descriptors say together: column-major op(a)[m, k] op(b)[k, n].
struct Problem {
  int compute, transpose_a, transpose_b;
  int32_t batch;
  uint64_t m, n, k;
  int64_t lead_a, lead_b, lead_d, stride_a, stride_b, stride_d;

  bool operator==(const Problem&) const = default;
};

// Empty when they fit.
std::string read(const MatmulDesc& desc, const Layout& a, const Layout& b, const Layout& c, const Layout& d, Problem* p) {
  for (const Layout* layout : {&a, &b, &c, &d}) {
    if (layout->type != 0) return "a layout that is not float32";
    if (layout->rows == 0 || layout->columns == 0) return "an empty matrix";
    if (layout->leading < static_cast<int64_t>(layout->rows)) return "a leading dimension below the rows";
    if (layout->batch != a.batch || layout->batch < 1) return "batches of different size";
    if (layout->batch > 1 && layout->batch_stride < static_cast<int64_t>(layout->rows)) return "a batch stride too small";
  }
  if (desc.compute != 68 && desc.compute != 75 && desc.compute != 77) return "a compute type that is none of float32";
  if (desc.scale != 0) return "a scale type that is not float32";
  if (c.rows != d.rows || c.columns != d.columns || c.leading != d.leading || c.batch_stride != d.batch_stride) return "c unlike d";
  const uint64_t m = desc.transpose_a ? a.columns : a.rows, k = desc.transpose_a ? a.rows : a.columns;
  const uint64_t n = desc.transpose_b ? b.rows : b.columns, inner = desc.transpose_b ? b.columns : b.rows;
  if (m != d.rows || n != d.columns || k != inner) return "operands that do not fit";
  *p = {desc.compute, desc.transpose_a, desc.transpose_b, a.batch,       m, n, k, a.leading, b.leading,
        d.leading,    a.batch_stride,   b.batch_stride,   d.batch_stride};
  return "";
}

struct Work {
  Problem problem;
  const float *a, *b;
  float* d;
  char* workspace;
  size_t workspace_bytes;
};

fake::Rounding rounding(int compute) {
  return compute == 75 ? fake::Rounding::bf16 : compute == 77 ? fake::Rounding::tf32 : fake::Rounding::none;
}

// The workspace is full of NaN before and after: where it overlaps an operand or the output, results show it.
[[maybe_unused]] void multiply(void* data) {
  const Work& w = *static_cast<const Work*>(data);
  const Problem& p = w.problem;
  const fake::Rounding how = rounding(p.compute);
  memset(w.workspace, 0xff, w.workspace_bytes);
  for (int32_t i = 0; i < p.batch; ++i) {
    const float *a = w.a + i * p.stride_a, *b = w.b + i * p.stride_b;
    float* d = w.d + i * p.stride_d;
    for (uint64_t column = 0; column < p.n; ++column)
      for (uint64_t row = 0; row < p.m; ++row) {
        double sum = 0;
        for (uint64_t k = 0; k < p.k; ++k) {
          const float x = p.transpose_a ? a[row * p.lead_a + k] : a[k * p.lead_a + row];
          const float y = p.transpose_b ? b[k * p.lead_b + column] : b[column * p.lead_b + k];
          sum += double{fake::rounded(x, how)} * fake::rounded(y, how);
        }
        d[column * p.lead_d + row] = static_cast<float>(sum);
      }
  }
  memset(w.workspace, 0xff, w.workspace_bytes);
}

// Algorithms name the problem that they were found for, and what the answer relied on.
constexpr uint64_t kMagic = 0x616c75646c74;
struct Found {
  Problem problem;
  uint32_t alignment[4];
  size_t workspace_bytes;
};
std::mutex mutex;
std::vector<Found>& founds() {
  static auto& all = *new std::vector<Found>;
  return all;
}

}  // namespace

EXPORTED size_t cublasLtGetVersion() { return library.asked_for("old") ? 110401 : 130102; }

EXPORTED Status cublasLtCreate(Handle** handle) {
  if (library.asked_for("no-handle")) return kNotInitialized;
  *handle = new Handle{};
  return kSuccess;
}
EXPORTED Status cublasLtDestroy(Handle* handle) {
  delete handle;
  return kSuccess;
}

EXPORTED Status cublasLtMatmulDescCreate(MatmulDesc** desc, int compute, int scale) {
  *desc = new MatmulDesc{compute, scale};
  return kSuccess;
}
EXPORTED Status cublasLtMatmulDescDestroy(MatmulDesc* desc) {
  delete desc;
  return kSuccess;
}
EXPORTED Status cublasLtMatmulDescSetAttribute(MatmulDesc* desc, int attribute, const void* value, size_t bytes) {
  int* field = attribute == 3 ? &desc->transpose_a : attribute == 4 ? &desc->transpose_b : nullptr;
  if (field == nullptr || !take(field, value, bytes) || (*field != 0 && *field != 1)) return refuse("an attribute of a product");
  return kSuccess;
}

EXPORTED Status cublasLtMatrixLayoutCreate(Layout** layout, int type, uint64_t rows, uint64_t columns, int64_t leading) {
  *layout = new Layout{type, rows, columns, leading};
  return kSuccess;
}
EXPORTED Status cublasLtMatrixLayoutDestroy(Layout* layout) {
  delete layout;
  return kSuccess;
}
EXPORTED Status cublasLtMatrixLayoutSetAttribute(Layout* layout, int attribute, const void* value, size_t bytes) {
  const bool taken = attribute == 5   ? take(&layout->batch, value, bytes)
                     : attribute == 6 ? take(&layout->batch_stride, value, bytes)
                                      : false;
  return taken ? kSuccess : refuse("an attribute of a layout");
}

EXPORTED Status cublasLtMatmulPreferenceCreate(Preference** preference) {
  *preference = new Preference{};
  return kSuccess;
}
EXPORTED Status cublasLtMatmulPreferenceDestroy(Preference* preference) {
  delete preference;
  return kSuccess;
}
EXPORTED Status cublasLtMatmulPreferenceSetAttribute(Preference* preference, int attribute, const void* value, size_t bytes) {
  const bool taken = attribute == 1                     ? take(&preference->workspace, value, bytes)
                     : attribute == 3                   ? take(&preference->reduction, value, bytes)
                     : attribute >= 5 && attribute <= 8 ? take(&preference->alignment[attribute - 5], value, bytes)
                                                        : false;
  return taken ? kSuccess : refuse("a preference");
}

EXPORTED Status cublasLtMatmulAlgoGetHeuristic(Handle* handle, MatmulDesc* desc, Layout* a, Layout* b, Layout* c, Layout* d,
                                               Preference* preference, int wanted, Heuristic* result, int* count) {
  *count = 0;
  if (handle == nullptr) return kNotInitialized;
  if (library.asked_for("no-algorithm")) return kSuccess;
  Problem problem;
  if (const std::string wrong = read(*desc, *a, *b, *c, *d, &problem); !wrong.empty()) return refuse(wrong);
  // 1 adds up in place, 4 in the output's type: parts in the order in which they end, or rounded between.
  if (preference->reduction & ~2u) return refuse("a reduction whose order is not fixed");
  for (const uint32_t alignment : preference->alignment)
    if (alignment < 4 || alignment > 16) return refuse("an alignment that the device's memory does not have");
  Found found{problem, {}, 4 * problem.m * problem.n + 16};
  memcpy(found.alignment, preference->alignment, sizeof found.alignment);
  if (wanted != 1 || found.workspace_bytes > preference->workspace) return refuse("a workspace too small");
  const std::lock_guard<std::mutex> lock(mutex);
  *result = {{kMagic, founds().size()}, found.workspace_bytes, kSuccess, 1, {}};
  founds().push_back(found);
  *count = 1;
  return kSuccess;
}

#ifndef ALUDEL_FAKE_INCOMPLETE
EXPORTED Status cublasLtMatmul(Handle* handle, MatmulDesc* desc, const float* alpha, const float* a, Layout* layout_a, const float* b,
                               Layout* layout_b, const float* beta, const float* c, Layout* layout_c, float* d, Layout* layout_d,
                               const uint64_t* algorithm, char* workspace, size_t workspace_bytes, cudaStream_t stream) {
  if (handle == nullptr) return kNotInitialized;
  if (library.asked_for("failing")) return kExecutionFailed;
  Problem problem;
  if (const std::string wrong = read(*desc, *layout_a, *layout_b, *layout_c, *layout_d, &problem); !wrong.empty()) return refuse(wrong);
  Found found;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    if (algorithm == nullptr || algorithm[0] != kMagic || algorithm[1] >= founds().size()) return refuse("an unknown algorithm");
    found = founds()[algorithm[1]];
  }
  if (found.problem != problem) return refuse("the algorithm of another product");
  if (*alpha != 1 || *beta != 0 || c != d) return refuse("factors, or a matrix to add");
  const void* pointers[] = {a, b, c, d};
  for (int i = 0; i < 4; ++i)
    if (!fake::aligned(pointers[i], found.alignment[i])) return refuse("a pointer that is not aligned as was promised");
  if (workspace == nullptr || workspace_bytes < found.workspace_bytes || !fake::aligned(workspace, 16))
    return refuse("a workspace too small or not aligned");
  if (stream == nullptr) return refuse("no stream");
  library.log("product " + std::to_string(problem.compute) + ": " + std::to_string(problem.batch) + " of " + std::to_string(problem.n) +
              " x " + std::to_string(problem.k) + " x " + std::to_string(problem.m));
  const Work work{problem, a, b, d, workspace, found.workspace_bytes};
  return fake::put(stream, multiply, work) ? kSuccess : kExecutionFailed;
}
#endif
