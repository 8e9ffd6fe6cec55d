// ldmatrix and cp.async: instructions that move data to or from shared memory behind the compiler's back, so that the race detector has to
// be told of them here.
#include <cstring>
#include <utility>

#include "cuda_host/tensor_core.h"
#include "test/native/cuda_host/race_detector.h"
#include "test/native/cuda_host/report.h"
#include "test/native/cuda_host/scheduler.h"

namespace cuda_host {
namespace {

struct MatrixOperands {
  uint32_t* r;
  const void* row;
  int matrices;
  bool transposed;
};

void load_matrices(void* const* operands, unsigned mask) {
  if (mask != ~0u) fail("ldmatrix with exited lanes (live %08x)", mask);
  const auto lanes = reinterpret_cast<MatrixOperands* const*>(operands);
  const Fiber* fibers = &block->fibers[block->current->linear / 32 * 32];
  for (int q = 0; q < lanes[0]->matrices; ++q) {
    for (int l = 0; l < 32; ++l) {
      uint16_t halves[2];
      for (int e = 0; e < 2; ++e) {
        int row = l / 4, column = l % 4 * 2 + e;
        if (lanes[0]->transposed) std::swap(row, column);
        const auto address = static_cast<const char*>(lanes[q * 8 + row]->row);
        if (reinterpret_cast<uintptr_t>(address) % 16) fail("ldmatrix: the row address of lane %d is not 16-byte aligned", q * 8 + row);
        race_access_of(fibers[l], address + column * 2, 2, Touch::read, nullptr);
        std::memcpy(&halves[e], address + column * 2, 2);
      }
      lanes[l]->r[q] = static_cast<uint32_t>(halves[0]) | static_cast<uint32_t>(halves[1]) << 16;
    }
  }
}

const Operation ldmatrix_operation{"ldmatrix", load_matrices, false};

void perform(const AsyncCopy& copy) {
  if (copy.valid) std::memcpy(copy.target, copy.source, static_cast<size_t>(copy.valid));
  std::memset(static_cast<char*>(copy.target) + copy.valid, 0, static_cast<size_t>(copy.bytes - copy.valid));
}

}  // namespace

void ldmatrix(uint32_t* r, const void* row, int matrices, bool transposed, Location place) {
  MatrixOperands m{r, row, matrices, transposed};
  collective(ldmatrix_operation, ~0u, &m, place);
}

void cp_async(void* target, const void* source, int bytes, int valid, Location place) {
  for (const void* p : {static_cast<const void*>(target), source})
    if (reinterpret_cast<uintptr_t>(p) % static_cast<uintptr_t>(bytes))
      fail("cp.async at %s:%u: address %p is not aligned to %d bytes", file_name(place), line_number(place), p, bytes);
  const AsyncCopy copy{target, source, bytes, valid, !block->defer_copies};
  if (copy.performed) perform(copy);
  Fiber& f = *block->current;
  if (race_detector_on) {
    void* pc = __builtin_return_address(0);
    if (valid) race_access_of(f, source, static_cast<size_t>(valid), Touch::read, pc);
    race_access_of(f, target, static_cast<size_t>(bytes), Touch::async_begin, pc);
  }
  if (!copy.performed || race_detector_on) f.copies.push_back(copy);
}

void cp_async_commit() { block->current->groups.push_back(block->current->copies.size()); }

void cp_async_wait(int pending) {
  Fiber& f = *block->current;
  if (f.groups.size() <= static_cast<size_t>(pending)) return;
  const size_t done = f.groups.size() - static_cast<size_t>(pending), copies = f.groups[done - 1];
  for (size_t i = 0; i < copies; ++i) {
    const AsyncCopy& copy = f.copies[i];
    if (!copy.performed) perform(copy);
    if (race_detector_on) race_access_of(f, copy.target, static_cast<size_t>(copy.bytes), Touch::async_end, __builtin_return_address(0));
  }
  f.copies.erase(f.copies.begin(), f.copies.begin() + static_cast<ptrdiff_t>(copies));
  f.groups.erase(f.groups.begin(), f.groups.begin() + static_cast<ptrdiff_t>(done));
  for (size_t& end : f.groups) end -= copies;
}

}  // namespace cuda_host
