// The CUDA backend, and what there is to open. Without a CUDA compiler native/no_cuda stands behind the same names.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "native/core/backend.h"
#include "native/core/executor.h"
#include "native/cuda/cuda_options.h"
#include "native/cuda/library_options.h"

namespace aludel::cuda {

// Looks at driver and devices; never fails, never takes memory on a device.
Survey survey();

// Looks for libraries, which takes a moment: they are large.
std::vector<FoundLibrary> survey_libraries();

// `checks`: the CPU kernels, whose check() serves here too. `host_threads`: what threads() says, for what runs beside. `open_host`: a CPU
// backend, for the eigendecomposition. unavailable: no driver or one too old, no such device, or one that this build has no code for.
Status create_backend(const Options& options, LibraryUse libraries, KernelTable checks, int host_threads,
                      std::function<Status(std::unique_ptr<Backend>*)> open_host, std::unique_ptr<Backend>* backend);

}  // namespace aludel::cuda
