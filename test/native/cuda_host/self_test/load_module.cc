// Opens the shared library and runs it on this thread and on one with a small stack.
#include <dlfcn.h>
#include <pthread.h>

#include <cstdio>

namespace {
using Run = int (*)();
void* call(void* run) { return reinterpret_cast<Run>(run)() == 0 ? run : nullptr; }
}  // namespace

int main(int, char** argv) {
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  void* run = library ? dlsym(library, "cuda_host_module_run") : nullptr;
  if (!run) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 32 << 10);
  pthread_t thread;
  void* result = nullptr;
  if (pthread_create(&thread, &attributes, call, run) != 0 || pthread_join(thread, &result) != 0 || !result) return 2;
  return call(run) ? 0 : 3;
}
