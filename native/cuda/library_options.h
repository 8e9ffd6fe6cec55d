// What a device may use of libraries that are found at run time, and what there is. Plain types: builds without CUDA use them too.
#pragma once
#include <cstdint>
#include <string>

namespace aludel::cuda {

// Which products a library may compute: those of the committed table, none, or all it can (to measure and to test).
enum class LibraryUse : uint8_t { chosen = 0, off = 1, all = 2 };

struct FoundLibrary {
  std::string name;
  std::string version;  // empty: none that can be used
  std::string missing;  // why
};

}  // namespace aludel::cuda
