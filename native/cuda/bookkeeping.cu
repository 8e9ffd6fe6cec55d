#include "native/cuda/bookkeeping.h"
#include "native/cuda/kernels/launching.h"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kBatch = 64;  // copies of one launch: parameters of a kernel are at most 4 KB

struct Batch {
  SlotCopy copies[kBatch];
};

template <typename T>
__device__ void copy_words(const char* from, char* to, int64_t bytes) {
  const int64_t n = bytes / static_cast<int64_t>(sizeof(T)), stride = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += stride)
    reinterpret_cast<T*>(to)[i] = reinterpret_cast<const T*>(from)[i];
}

// Row y of the grid does copy y.
__global__ void __launch_bounds__(kThreads) copy_slots(Guard guard, Batch batch, const RunState* state, bool load) {
  if (guard.stopped()) return;
  const SlotCopy& copy = batch.copies[blockIdx.y];
  const int64_t slots = copy.slots;
  const int64_t slot = ((static_cast<int64_t>(state->step) * copy.mul + copy.add) % slots + slots) % slots;
  char* ring = copy.ring + slot * copy.bytes;
  const char* from = load ? ring : copy.stand_in;
  char* to = load ? copy.stand_in : ring;
  // A slot begins at a multiple of the value's bytes.
  if (copy.bytes % 16 == 0)
    copy_words<uint4>(from, to, copy.bytes);
  else if (copy.bytes % 4 == 0)
    copy_words<uint32_t>(from, to, copy.bytes);
  else
    copy_words<uint8_t>(from, to, copy.bytes);
}

__global__ void finish_step(Guard, RunState* state) {
  if (state->fault != 0) return;
  ++state->step;
  ++state->completed;
}

__global__ void __launch_bounds__(kThreads) clear_words(Guard guard, uint32_t* words, int64_t n, int tail) {
  if (guard.stopped()) return;
  const int64_t stride = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += stride) words[i] = 0;
  if (blockIdx.x == 0 && static_cast<int>(threadIdx.x) < tail) reinterpret_cast<uint8_t*>(words + n)[threadIdx.x] = 0;
}

Status launch_copies(const Context& context, const std::vector<SlotCopy>& copies, bool load) {
  for (size_t first = 0; first < copies.size(); first += kBatch) {
    Batch batch{};
    const size_t count = copies.size() - first < kBatch ? copies.size() - first : kBatch;
    int64_t largest = 0;
    for (size_t i = 0; i < count; ++i) {
      batch.copies[i] = copies[first + i];
      if (batch.copies[i].bytes > largest) largest = batch.copies[i].bytes;
    }
    const dim3 grid(grid_for(largest, kThreads, *context.device, 64), static_cast<unsigned>(count));
    ALUDEL_RETURN_IF_ERROR(launched(context, copy_slots, grid, kThreads, 0, batch, context.state, load));
  }
  return {};
}

}  // namespace

Status load_slots(const Context& context, const std::vector<SlotCopy>& copies) { return launch_copies(context, copies, true); }
Status store_slots(const Context& context, const std::vector<SlotCopy>& copies) { return launch_copies(context, copies, false); }

Status end_step(const Context& context) { return launched(context, finish_step, 1, 1, 0, context.state); }

Status clear(const Context& context, void* data, int64_t bytes) {
  if (bytes == 0) return {};
  return launched(context, clear_words, grid_for(bytes / 4, kThreads, *context.device, 8), kThreads, 0, static_cast<uint32_t*>(data),
                  bytes / 4, static_cast<int>(bytes % 4));
}

}  // namespace aludel::cuda
