// What is used of cuDNN, declared anew from its public documentation (names, values and signatures of version 9): the library is looked for
// at run time, so neither its headers nor itself are needed to build.
#pragma once
#include <cuda_runtime.h>

#include <cstddef>

#include "native/cuda/libraries/loading.h"

namespace aludel::cuda::dnn {

using Status = int;  // cudnnStatus_t; 0 is success
constexpr Status kSuccess = 0;

struct Handle;
struct Tensor;
struct Filter;
struct ConvolutionDesc;

enum DataType : int { kFloat32 = 0 };       // cudnnDataType_t
enum Format : int { kNhwc = 1 };            // cudnnTensorFormat_t; of a filter: [filters][height][width][channels]
enum Mode : int { kCrossCorrelation = 1 };  // cudnnConvolutionMode_t
enum MathType : int {
  kDefaultMath = 0,  // float32 inputs may be rounded to TF32
  kFmaMath = 3,      // ordinary multiply-adds alone
};
// Each is documented as deterministic, which algorithm 0 of the gradients is not: it adds in whatever order.
enum ForwardAlgorithm : int { kImplicitPrecomputed = 1 };  // CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM
enum InputGradAlgorithm : int { kInputGrad1 = 1 };         // CUDNN_CONVOLUTION_BWD_DATA_ALGO_1
enum WeightGradAlgorithm : int { kWeightGrad1 = 1 };       // CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1

// X(member, symbol, result, parameters)
#define ALUDEL_CUDNN_FUNCTIONS(X)                                                                                                         \
  X(version, cudnnGetVersion, size_t, ())                                                                                                 \
  X(create, cudnnCreate, Status, (Handle**))                                                                                              \
  X(destroy, cudnnDestroy, Status, (Handle*))                                                                                             \
  X(set_stream, cudnnSetStream, Status, (Handle*, cudaStream_t))                                                                          \
  X(create_tensor, cudnnCreateTensorDescriptor, Status, (Tensor**))                                                                       \
  X(destroy_tensor, cudnnDestroyTensorDescriptor, Status, (Tensor*))                                                                      \
  X(set_tensor, cudnnSetTensor4dDescriptor, Status, (Tensor*, Format, DataType, int images, int channels, int height, int width))         \
  X(create_filter, cudnnCreateFilterDescriptor, Status, (Filter**))                                                                       \
  X(destroy_filter, cudnnDestroyFilterDescriptor, Status, (Filter*))                                                                      \
  X(set_filter, cudnnSetFilter4dDescriptor, Status, (Filter*, DataType, Format, int filters, int channels, int height, int width))        \
  X(create_convolution, cudnnCreateConvolutionDescriptor, Status, (ConvolutionDesc**))                                                    \
  X(destroy_convolution, cudnnDestroyConvolutionDescriptor, Status, (ConvolutionDesc*))                                                   \
  X(set_convolution, cudnnSetConvolution2dDescriptor, Status,                                                                             \
    (ConvolutionDesc*, int pad_height, int pad_width, int stride_height, int stride_width, int dilation_height, int dilation_width, Mode, \
     DataType compute))                                                                                                                   \
  X(set_math, cudnnSetConvolutionMathType, Status, (ConvolutionDesc*, MathType))                                                          \
  X(forward_bytes, cudnnGetConvolutionForwardWorkspaceSize, Status,                                                                       \
    (Handle*, Tensor * x, Filter * w, ConvolutionDesc*, Tensor * y, ForwardAlgorithm, size_t*))                                           \
  X(input_grad_bytes, cudnnGetConvolutionBackwardDataWorkspaceSize, Status,                                                               \
    (Handle*, Filter * w, Tensor * dy, ConvolutionDesc*, Tensor * dx, InputGradAlgorithm, size_t*))                                       \
  X(weight_grad_bytes, cudnnGetConvolutionBackwardFilterWorkspaceSize, Status,                                                            \
    (Handle*, Tensor * x, Tensor * dy, ConvolutionDesc*, Filter * dw, WeightGradAlgorithm, size_t*))                                      \
  X(forward, cudnnConvolutionForward, Status,                                                                                             \
    (Handle*, const void* alpha, Tensor*, const void* x, Filter*, const void* w, ConvolutionDesc*, ForwardAlgorithm, void* workspace,     \
     size_t workspace_bytes, const void* beta, Tensor*, void* y))                                                                         \
  X(input_grad, cudnnConvolutionBackwardData, Status,                                                                                     \
    (Handle*, const void* alpha, Filter*, const void* w, Tensor*, const void* dy, ConvolutionDesc*, InputGradAlgorithm, void* workspace,  \
     size_t workspace_bytes, const void* beta, Tensor*, void* dx))                                                                        \
  X(weight_grad, cudnnConvolutionBackwardFilter, Status,                                                                                  \
    (Handle*, const void* alpha, Tensor*, const void* x, Tensor*, const void* dy, ConvolutionDesc*, WeightGradAlgorithm, void* workspace, \
     size_t workspace_bytes, const void* beta, Filter*, void* dw))

struct Functions {
  ALUDEL_CUDNN_FUNCTIONS(ALUDEL_LIBRARY_MEMBER)
};

}  // namespace aludel::cuda::dnn
