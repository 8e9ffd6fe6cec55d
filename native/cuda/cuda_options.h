// What a CUDA device is opened with and what can be known before. Plain types: builds without CUDA use them too.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace aludel::cuda {

// Of the inputs of products in matmul and conv2d; sums and everything else are float32. tf32x3: each input as the sum of two TF32 numbers.
enum class Precision : uint8_t { f32 = 0, tf32 = 1, bf16 = 2, tf32x3 = 3 };

struct Options {
  int ordinal = 0;
  Precision precision = Precision::tf32;
  int64_t memory_limit = 0;  // bytes; 0: what the device has
};

struct Found {
  std::string name;
  std::string architecture;  // sm_90
  int64_t total_bytes = 0;
};

struct Survey {
  bool built = true;   // false: this build has no CUDA backend
  std::string reason;  // why no device can be opened; empty when one can
  int driver = 0;      // newest CUDA version that the driver knows, as 1000 major + 10 minor; 0: no driver
  int toolkit = 0;     // that this build was made with
  std::vector<Found> devices;
};

}  // namespace aludel::cuda
