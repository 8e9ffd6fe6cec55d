// The host half of cuda_runtime.h, for sources without kernels.
#pragma once
#include "cuda_host/runtime_api.h"
