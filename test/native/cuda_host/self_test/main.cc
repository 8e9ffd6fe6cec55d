// Runs the tests named on the command line, or lists those of this build.
#include "test/native/cuda_host/self_test/tests.h"

namespace {
struct Test {
  const char *name, *builds;
  void (*run)();
};
const Test tests[] = {
#define CUDA_HOST_ENTRY(name, builds) {#name, builds, name},
    CUDA_HOST_TESTS(CUDA_HOST_ENTRY)
#undef CUDA_HOST_ENTRY
        {"environment", "", environment},
    {"speed", "", speed},
};
}  // namespace

int main(int argc, char** argv) {
  cuda_host::config().quiet = true;
  if (argc < 2)
    for (const Test& t : tests)
      if (std::strchr(t.builds, variant[0])) std::printf("%s\n", t.name);
  for (int i = 1; i < argc; ++i) {
    const Test* found = nullptr;
    for (const Test& t : tests)
      if (!std::strcmp(t.name, argv[i])) found = &t;
    if (!found) {
      std::fprintf(stderr, "no test is called %s\n", argv[i]);
      return 1;
    }
    cuda_host::reset();
    found->run();
    std::fprintf(stderr, "%s", cuda_host::last_report());
  }
  return 0;
}
