// Reports and the names in them.
#include "test/native/cuda_host/report.h"

#include <dlfcn.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "cuda_host/control.h"
#include "test/native/cuda_host/fibers.h"

namespace cuda_host {
namespace {

constexpr size_t kMost = 20000;  // of a report that is kept, in bytes
std::string& kept() {
  static std::string& report = *new std::string;
  return report;
}

// Runs addr2line on the file that holds `pc`; each line of its answer goes to `take`.
template <class F>
void look_up(const void* pc, const char* options, ptrdiff_t shift, F take) {
  Dl_info info;
  if (!pc || !dladdr(pc, &info)) return;
  const size_t offset = static_cast<size_t>(static_cast<const char*>(pc) + shift - static_cast<const char*>(info.dli_fbase));
  FILE* answer = popen(text("addr2line %s '%s' %zx 2>/dev/null", options, info.dli_fname, offset).c_str(), "r");
  if (!answer) return;
  char line[400];
  while (fgets(line, sizeof line, answer)) {
    line[strcspn(line, "\n")] = 0;
    take(line);
  }
  pclose(answer);
}

}  // namespace

std::string text(const char* format, ...) {
  char buffer[800];
  va_list list;
  va_start(list, format);
  vsnprintf(buffer, sizeof buffer, format, list);
  va_end(list);
  return buffer;
}

const char* file_name(Location place) {
  const char* slash = strrchr(place.file_name(), '/');
  return slash ? slash + 1 : place.file_name();
}

std::string text(Location place) { return text("%s:%u", file_name(place), line_number(place)); }

std::string running_thread() {
  if (!inside_kernel) return "host code";
  const uint3 b = running.block, t = running.thread;
  return text("block (%u,%u,%u) thread (%u,%u,%u)", b.x, b.y, b.z, t.x, t.y, t.z);
}

std::string source_lines(const void* pc) {
  std::string lines;
  look_up(pc, "-sie", -1, [&](char* line) {  // -1: from the return address into the call
    line[strcspn(line, " ")] = 0;
    for (const char* ours : {"warp.h:", "atomics.h:", "arithmetic.h:", "execution.h:", "functional:", "std_function.h:", "invoke.h:"})
      if (strncmp(line, ours, strlen(ours)) == 0) return;
    lines += (lines.empty() ? "" : " < ") + std::string(line);
  });
  return lines.empty() ? "?" : lines;
}

std::string function_name(const void* entry) {
  std::string name;
  look_up(entry, "-fCse", 0, [&](const char* line) {
    if (name.empty()) name = line;
  });
  return name.empty() ? "?" : name;
}

void report(const std::string& what) {
  const std::string line = "cuda_host: " + what + "\n";
  if (!config().quiet) fputs(line.c_str(), stderr);
  if (kept().size() < kMost) kept() += line;
}

void clear_report() { kept().clear(); }
const char* last_report() { return kept().c_str(); }

}  // namespace cuda_host
