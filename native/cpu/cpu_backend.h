// The CPU backend: host memory, one thread pool, the kernels of one instruction set.
#pragma once
#include <memory>
#include <string>

#include "native/core/backend.h"

namespace aludel::cpu {

constexpr int kMaxThreads = 256;

// Processors this process may run on.
int available_cores();

// threads: 1..kMaxThreads, the run thread included. isa: a name of isas(); empty: $ALUDEL_ISA, else the best supported.
Status create_backend(int threads, const std::string& isa, std::unique_ptr<Backend>* backend);

}  // namespace aludel::cpu
