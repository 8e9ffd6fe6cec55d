#include "native/core/row_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <numeric>
#include <vector>

namespace aludel {
namespace {

struct File {
  int fd;
  ~File() {
    if (fd >= 0) close(fd);
  }
};

Status refused(const char* what) { return fail(Code::unavailable, "%s: %s", what, std::strerror(errno)); }

Status read_at(int fd, int64_t offset, int64_t bytes, char* into) {
  while (bytes > 0) {
    const ssize_t got = pread(fd, into, static_cast<size_t>(bytes), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return refused("read");
    if (got == 0) return fail(Code::invalid_argument, "the file ends at byte %lld", static_cast<long long>(offset));
    bytes -= got;
    offset += got;
    into += got;
  }
  return {};
}

Status check_size(int fd, const RowRequest& request) {
  struct stat about {};
  if (fstat(fd, &about) != 0) return refused("stat");
  const int64_t wanted = request.row_bytes * request.rows_in_file;
  if (static_cast<int64_t>(about.st_size) == wanted) return {};
  return fail(Code::invalid_argument, "expected a file of %lld bytes but it has %lld", static_cast<long long>(wanted),
              static_cast<long long>(about.st_size));
}

}  // namespace

Status read_rows(const RowRequest& request, char* into) try {
  for (int64_t i = 0; i < request.count; ++i) {
    if (request.rows[i] < 0 || request.rows[i] >= request.rows_in_file) {
      return fail(Code::invalid_index, "row %d of a file with %lld rows", request.rows[i], static_cast<long long>(request.rows_in_file));
    }
  }
  const File file{open(request.path, O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return refused("open");
  ALUDEL_RETURN_IF_ERROR(check_size(file.fd, request));
  std::vector<int64_t> order(static_cast<size_t>(request.count));
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return request.rows[a] < request.rows[b]; });
  int64_t before = -1;  // place of the row read last
  for (const int64_t place : order) {
    char* target = into + place * request.row_bytes;
    if (before >= 0 && request.rows[before] == request.rows[place]) {
      memcpy(target, into + before * request.row_bytes, static_cast<size_t>(request.row_bytes));
      continue;
    }
    ALUDEL_RETURN_IF_ERROR(read_at(file.fd, request.rows[place] * request.row_bytes, request.row_bytes, target));
    before = place;
  }
  return {};
} catch (const std::bad_alloc&) {
  return fail(Code::out_of_memory, "the order of %lld rows does not fit into memory", static_cast<long long>(request.count));
}

}  // namespace aludel
