// Rows of a file of equal rows, by number: positional reads on whatever thread calls. No state between calls.
#pragma once
#include <cstdint>

#include "native/core/status.h"

namespace aludel {

struct RowRequest {
  const char* path;
  int64_t row_bytes;
  int64_t rows_in_file;  // what the file must hold; another size is another file
  const int32_t* rows;
  int64_t count;
};

// Puts row rows[i] at into + i * row_bytes. Reads in the order of the file, whatever the order of `rows`; a row that stands there twice is
// read once. Fails with invalid_index for a number that is no row, invalid_argument when the file has another size, unavailable for what
// the system refuses.
Status read_rows(const RowRequest& request, char* into);

}  // namespace aludel
