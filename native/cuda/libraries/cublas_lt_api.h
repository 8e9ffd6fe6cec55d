// What is used of cuBLASLt, declared anew from its public documentation (names, values and signatures of versions 12 and 13): the library
// is looked for at run time, so neither its headers nor itself are needed to build.
#pragma once
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "native/cuda/libraries/loading.h"

namespace aludel::cuda::lt {

using Status = int;  // cublasStatus_t; 0 is success
constexpr Status kSuccess = 0;

struct Handle;
struct MatmulDesc;
struct Layout;
struct Preference;

struct Algorithm {
  uint64_t data[8];
};
struct Heuristic {  // cublasLtMatmulHeuristicResult_t
  Algorithm algorithm;
  size_t workspace_bytes;
  Status state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(Heuristic) == 96, "the library's layout");

enum DataType : int { kFloat32 = 0 };                                                       // cudaDataType
enum ComputeType : int { kCompute32F = 68, kComputeFast16BF = 75, kComputeFastTF32 = 77 };  // cublasComputeType_t
enum Operation : int { kAsIs = 0, kTransposed = 1 };                                        // cublasOperation_t
enum MatmulDescAttribute : int { kTransposeA = 3, kTransposeB = 4 };
enum LayoutAttribute : int { kBatchCount = 5, kBatchStride = 6 };  // int32, int64 in elements
enum PreferenceAttribute : int {
  kMostWorkspaceBytes = 1,  // uint64
  kReductionSchemes = 3,    // uint32, a mask
  kAlignmentA = 5,          // uint32, bytes
  kAlignmentB = 6,
  kAlignmentC = 7,
  kAlignmentD = 8,
};
// Parts of a split inner axis go to the workspace and are added up by a kernel of their own, in order. No split is always allowed.
constexpr uint32_t kReductionInWorkspace = 2;  // CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE

// X(member, symbol, result, parameters)
#define ALUDEL_CUBLAS_LT_FUNCTIONS(X)                                                                                                   \
  X(version, cublasLtGetVersion, size_t, ())                                                                                            \
  X(create, cublasLtCreate, Status, (Handle**))                                                                                         \
  X(destroy, cublasLtDestroy, Status, (Handle*))                                                                                        \
  X(create_desc, cublasLtMatmulDescCreate, Status, (MatmulDesc**, ComputeType, DataType))                                               \
  X(destroy_desc, cublasLtMatmulDescDestroy, Status, (MatmulDesc*))                                                                     \
  X(set_desc, cublasLtMatmulDescSetAttribute, Status, (MatmulDesc*, MatmulDescAttribute, const void*, size_t))                          \
  X(create_layout, cublasLtMatrixLayoutCreate, Status, (Layout**, DataType, uint64_t rows, uint64_t columns, int64_t leading))          \
  X(destroy_layout, cublasLtMatrixLayoutDestroy, Status, (Layout*))                                                                     \
  X(set_layout, cublasLtMatrixLayoutSetAttribute, Status, (Layout*, LayoutAttribute, const void*, size_t))                              \
  X(create_preference, cublasLtMatmulPreferenceCreate, Status, (Preference**))                                                          \
  X(destroy_preference, cublasLtMatmulPreferenceDestroy, Status, (Preference*))                                                         \
  X(set_preference, cublasLtMatmulPreferenceSetAttribute, Status, (Preference*, PreferenceAttribute, const void*, size_t))              \
  X(heuristic, cublasLtMatmulAlgoGetHeuristic, Status,                                                                                  \
    (Handle*, MatmulDesc*, Layout * a, Layout * b, Layout * c, Layout * d, Preference*, int wanted, Heuristic*, int* found))            \
  X(matmul, cublasLtMatmul, Status,                                                                                                     \
    (Handle*, MatmulDesc*, const void* alpha, const void* a, Layout*, const void* b, Layout*, const void* beta, const void* c, Layout*, \
     void* d, Layout*, const Algorithm*, void* workspace, size_t workspace_bytes, cudaStream_t))

struct Functions {
  ALUDEL_CUBLAS_LT_FUNCTIONS(ALUDEL_LIBRARY_MEMBER)
};

}  // namespace aludel::cuda::lt
