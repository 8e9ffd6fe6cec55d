// What is found wrong: text that is kept for tests and printed for people.
#pragma once
#include <string>

#include "cuda_host/execution.h"

namespace cuda_host {

std::string text(const char* format, ...) __attribute__((format(printf, 1, 2)));
std::string text(Location place);  // "file.cu:12"
// For fail(), which never returns and so must not leave a string behind.
const char* file_name(Location place);
inline unsigned line_number(Location place) { return static_cast<unsigned>(place.line()); }
std::string running_thread();              // "block (0,0,0) thread (1,0,0)", or "host code"
std::string source_lines(const void* pc);  // "file.cu:12 < file.cu:40", inlined functions first; "?" if unknown
std::string function_name(const void* entry);

void report(const std::string& what);
void clear_report();

}  // namespace cuda_host
