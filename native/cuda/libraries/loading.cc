#include "native/cuda/libraries/loading.h"

#include <dlfcn.h>

#include <cstring>

namespace aludel::cuda {
namespace {

// Null with the reason appended.
void* open(const char* file, std::string* reasons) {
  void* library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (library != nullptr) return library;
  const char* error = dlerror();
  *reasons += (reasons->empty() ? "" : "; ") + std::string(error != nullptr ? error : file);
  return nullptr;
}

// Why the library cannot be used, empty when it can: a symbol that is not there, or a version too old.
std::string take(void* library, const Wanted& wanted, std::string* version) {
  for (const Symbol& symbol : wanted.symbols) {
    void* found = dlsym(library, symbol.name);
    if (found == nullptr) return std::string("it has no ") + symbol.name;
    memcpy(symbol.function, &found, sizeof found);
  }
  const size_t number = (*wanted.version)();
  const std::string minor = std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100);
  const std::string whole = minor + "." + std::to_string(number % 100);
  if (number < wanted.oldest)
    return "version " + whole + " is older than " + std::to_string(wanted.oldest / 10000) + "." + std::to_string(wanted.oldest / 100 % 100);
  *version = whole;
  return {};
}

}  // namespace

FoundLibrary find_library(const Wanted& wanted) {
  FoundLibrary found{wanted.name, "", ""};
  for (const char* part : wanted.parts)
    if (open(part, &found.missing) == nullptr) return found;
  for (const char* file : wanted.files) {
    void* library = open(file, &found.missing);
    if (library == nullptr) continue;
    const std::string wrong = take(library, wanted, &found.version);
    if (wrong.empty()) {
      found.missing.clear();
      return found;
    }
    found.missing += (found.missing.empty() ? "" : "; ") + std::string(file) + ": " + wrong;
    dlclose(library);
  }
  return found;
}

}  // namespace aludel::cuda
