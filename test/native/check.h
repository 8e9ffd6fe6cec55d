// CHECK for native tests: says where and what, and ends the process with 1.
#pragma once
#include <cstdio>
#include <cstdlib>

#define CHECK(condition)                                                                 \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                                      \
    }                                                                                    \
  } while (0)

#define CHECK_OK(expression)                                                                          \
  do {                                                                                                \
    const ::aludel::Status check_status = (expression);                                               \
    if (!check_status.ok()) {                                                                         \
      std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #expression, check_status.message); \
      std::exit(1);                                                                                   \
    }                                                                                                 \
  } while (0)
