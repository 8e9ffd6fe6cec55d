// What stand-ins for libraries have in common. NAME is what their settings begin with: NAME=a fault, NAME_LOG=a file that gets one line for
// the library's loading, for each call that computes, and for what was refused.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "cuda_host/library_work.h"

#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace fake {

class Library {
 public:
  explicit Library(std::string name) : name_(std::move(name)) { log("loaded"); }

  bool asked_for(const char* fault) const {
    const char* value = getenv(name_.c_str());
    return value != nullptr && strcmp(value, fault) == 0;
  }
  void log(const std::string& line) const {
    const char* path = getenv((name_ + "_LOG").c_str());
    FILE* file = path == nullptr ? nullptr : fopen(path, "a");
    if (file == nullptr) return;
    fprintf(file, "%s\n", line.c_str());
    fclose(file);
  }
  int refuse(const std::string& why, int status) const {
    log("refused: " + why);
    return status;
  }

 private:
  const std::string name_;
};

inline bool aligned(const void* pointer, size_t bytes) { return reinterpret_cast<uintptr_t>(pointer) % bytes == 0; }

// bfloat16 to nearest even, TF32 to nearest, ties away from zero, or as it is.
enum class Rounding { none, tf32, bf16 };
inline float rounded(float value, Rounding how) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (how == Rounding::bf16) bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
  if (how == Rounding::tf32) bits = (bits + 0x1000) & 0xffffe000u;
  memcpy(&value, &bits, sizeof bits);
  return value;
}

// Puts work(a copy of `what`) on the stream; the copy is kept as long as the process, for a graph may replay it.
template <class Work>
bool put(cudaStream_t stream, void (*work)(void*), const Work& what) {
  return reinterpret_cast<const cuda_host::LibraryWork*>(stream)->put(stream, work, new Work(what)) == cudaSuccess;
}

}  // namespace fake
