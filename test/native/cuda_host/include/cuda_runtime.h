// Host stand-in for the CUDA toolkit's header of this name: with it g++ compiles .cu files as plain C++20, and their kernels run on the
// CPU, one fiber per CUDA thread. First on g++'s include path, never on nvcc's. See README.md two folders up.
#pragma once
#include "cuda_host/arithmetic.h"
#include "cuda_host/atomics.h"
#include "cuda_host/execution.h"
#include "cuda_host/keywords.h"
#include "cuda_host/runtime_api.h"
#include "cuda_host/tensor_core.h"
#include "cuda_host/vector_types.h"
#include "cuda_host/warp.h"
