// Status: the only way a failure travels in native code. Plain data, so that ISA-specific units may use it; no exception crosses a thread.
#pragma once
#include <cstdarg>
#include <cstdint>
#include <cstdio>

namespace aludel {

enum class Code : int32_t {
  ok = 0,
  invalid_program,   // bytes that decode refuses
  invalid_argument,  // a binding or an attribute that does not fit
  invalid_index,     // an index or label in device data out of range
  out_of_memory,
  cancelled,
  unavailable,  // backend or feature absent in this build
  device_lost,  // the device answers no more; what it held is gone
  internal,
};

struct Status {
  Code code = Code::ok;
  int32_t instruction = -1;  // index of the instruction that failed, when there is one
  char message[240] = {0};

  __attribute__((always_inline)) bool ok() const { return code == Code::ok; }
};

// Static, not inline: kernel units must not share weak symbols across instruction sets. The message is cut at 239 characters; it names what
// was expected and what came.
[[maybe_unused]] __attribute__((format(printf, 2, 3))) static Status fail(Code code, const char* format, ...) {
  Status status;
  status.code = code;
  va_list list;
  va_start(list, format);
  vsnprintf(status.message, sizeof status.message, format, list);
  va_end(list);
  return status;
}

#define ALUDEL_RETURN_IF_ERROR(expression)           \
  do {                                               \
    ::aludel::Status aludel_status_ = (expression);  \
    if (!aludel_status_.ok()) return aludel_status_; \
  } while (0)

}  // namespace aludel
