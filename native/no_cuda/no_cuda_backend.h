// Stands in for the CUDA backend in builds without it.
#pragma once
#include <memory>

#include "native/core/backend.h"

namespace aludel::cuda {

constexpr bool kBuilt = false;

// Why no CUDA device can be opened, and what to do about it.
const char* unavailable_reason();

// Always unavailable, with that reason.
Status create_backend(int ordinal, std::unique_ptr<Backend>* backend);

}  // namespace aludel::cuda
