// Random data and child processes of the self tests.
#include "test/native/cuda_host/self_test/harness.h"

#include <sys/wait.h>
#include <unistd.h>

std::vector<float> normal(size_t n, unsigned seed, float scale) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution(0, scale);
  std::vector<float> v(n);
  for (float& x : v) x = distribution(generator);
  return v;
}

bool reported(const char* part) {
  if (std::strstr(cuda_host::last_report(), part)) return true;
  std::fprintf(stderr, "expected a report with '%s' but have '%s'\n", part, cuda_host::last_report());
  return false;
}

bool clean() {
  const cudaError_t error = cudaDeviceSynchronize();
  if (error == cudaSuccess && !*cuda_host::last_report()) return true;
  std::fprintf(stderr, "%s\n%s", cudaGetErrorName(error), cuda_host::last_report());
  return false;
}

std::string death(const std::function<void()>& f) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    cuda_host::config().quiet = false;
    f();
    _exit(0);
  }
  close(ends[1]);
  std::string output;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) output.append(buffer, static_cast<size_t>(n));
  close(ends[0]);
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(status != 0);
  return output;
}
