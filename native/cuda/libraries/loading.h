// How libraries are looked for at run time: as the dynamic linker finds them (LD_LIBRARY_PATH, the system's folders), never needed.
#pragma once
#include <cstddef>
#include <initializer_list>

#include "native/cuda/library_options.h"

namespace aludel::cuda {

struct Symbol {
  const char* name;
  void* function;  // address of a pointer to the function
};

struct Wanted {
  const char* name;
  std::initializer_list<const char*> files;  // in order of preference
  // What a library loads itself, and ends the process without: looked for before.
  std::initializer_list<const char*> parts;
  std::initializer_list<Symbol> symbols;
  size_t (*const* version)();  // one of the symbols: 10000 major + 100 minor + patch
  size_t oldest;               // what the declarations are of
};

// The first of its files that can be used, its functions filled in; never unloaded. Without a version where there is none.
FoundLibrary find_library(const Wanted& wanted);

}  // namespace aludel::cuda

// For lists X(member, symbol, result, parameters) of functions: members of a struct, and the symbols for a struct `call`.
#define ALUDEL_LIBRARY_MEMBER(member, symbol, result, parameters) result(*member) parameters;
#define ALUDEL_LIBRARY_SYMBOL(member, symbol, result, parameters) {#symbol, &call.member},
