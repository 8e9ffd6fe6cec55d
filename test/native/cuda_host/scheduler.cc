// Runs the threads of one block: each goes on until it waits for others. A warp runs as far as it can before another one is chosen, which
// drives warps as far apart as the barriers allow; the seed decides which thread of those that could run does.
#include "test/native/cuda_host/scheduler.h"

#include <algorithm>
#include <bit>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "cuda_host/tensor_core.h"
#include "test/native/cuda_host/race_detector.h"
#include "test/native/cuda_host/report.h"

namespace cuda_host {

constinit Running running{};
constinit Stats counters{};
constinit Block* block = nullptr;

namespace {

unsigned random_bits(Block& b) {
  b.random ^= b.random << 13;
  b.random ^= b.random >> 7;
  b.random ^= b.random << 17;
  return static_cast<unsigned>(b.random >> 32);
}

// Which of the set bits comes next.
inline unsigned pick(Block& b, unsigned bits) {
  if (b.seed == 0) return static_cast<unsigned>(std::countr_zero(bits));
  if (b.seed == 1) return static_cast<unsigned>(31 - std::countl_zero(bits));
  const unsigned r = random_bits(b) & 31;
  return (static_cast<unsigned>(std::countr_zero(std::rotr(bits, static_cast<int>(r)))) + r) & 31;
}

inline unsigned bit_of(const Fiber& f) { return 1u << (f.linear & 31); }
inline Warp& warp_of(Block& b, const Fiber& f) { return b.warps[f.linear / 32]; }

inline void unready(Block& b, const Fiber& f) {
  Warp& w = warp_of(b, f);
  w.ready &= ~bit_of(f);
  if (!w.ready) b.ready_warps &= ~(1u << (f.linear / 32));
}

inline void make_current(Block& b, Fiber& f) {
  b.current = &f;
  running.thread = f.index;
  running.linear = f.linear;
}

void report_deadlock(Block& b) {
  std::map<std::string, std::vector<unsigned>> places;
  for (unsigned i = 0; i < b.threads; ++i) {
    const Fiber& f = b.fibers[i];
    const Warp& w = warp_of(b, f);
    const bool live = w.live & bit_of(f);
    places[!live                    ? "exited"
           : w.at_block & bit_of(f) ? "__syncthreads at " + text(f.place)
                                    : text("%s mask %08x at ", f.operation->name, f.mask) + text(f.place)]
        .push_back(i);
  }
  std::string what = text("deadlock in block (%u,%u,%u):", running.block.x, running.block.y, running.block.z);
  for (const auto& [place, threads] : places) {
    what += "\n  " + place + text(": %zu threads:", threads.size());
    for (size_t i = 0, j; i < threads.size(); i = j) {
      for (j = i + 1; j < threads.size() && threads[j] == threads[j - 1] + 1;) ++j;
      what += j - i > 1 ? text(" %u-%u", threads[i], threads[j - 1]) : text(" %u", threads[i]);
    }
  }
  report(what);
}

// Who runs next; null when all have exited. Ends the kernel when nobody can.
inline Fiber* choose(Block& b) {
  if (!b.ready_warps) {
    if (!b.live) return nullptr;
    report_deadlock(b);
    abandon(cudaErrorLaunchFailure);
  }
  if (!(b.ready_warps >> b.warp & 1) || (b.seed > 1 && (random_bits(b) & 15) == 0)) b.warp = pick(b, b.ready_warps);
  return &b.fibers[b.warp * 32 + pick(b, b.warps[b.warp].ready)];
}

inline bool started(Block& b, const Fiber& f) { return warp_of(b, f).started & bit_of(f); }
inline void start(Block& b, Fiber& f, Stack* stack) {
  warp_of(b, f).started |= bit_of(f);
  f.stack = stack;
}

void run_threads();

// Goes on with `next`; `from` is where the caller will go on, unless it ends.
inline void go(Block& b, Context& from, Fiber& next, bool from_ends) {
  make_current(b, next);
  ++counters.switches;
  if (!started(b, next)) {
    Stack* stack = b.stacks.take();
    prepare(*stack, run_threads);
    start(b, next, stack);
  }
  switch_context(from, next.stack->context, from_ends);
}

inline void suspend(Block& b, Fiber& f) {
  Fiber* next = choose(b);
  if (next != &f) go(b, f.stack->context, *next, false);
}

void release_barrier(Block& b) {
  b.result = b.kind == Barrier::count ? static_cast<int>(b.predicates)
             : b.kind == Barrier::all ? b.predicates == b.waiting
                                      : b.predicates > 0;
  b.waiting = b.predicates = 0;
  ++b.epoch;
  for (unsigned i = 0; i * 32 < b.threads; ++i) {
    Warp& w = b.warps[i];
    w.ready |= w.at_block;
    w.at_block = 0;
    if (w.ready) b.ready_warps |= 1u << i;
  }
}

// Runs the collective that f waits for if all its lanes are there: the live ones of the mask, at the same operation.
bool try_collective(Block& b, Fiber& f) {
  Warp& w = warp_of(b, f);
  const unsigned mask = f.mask & w.live;
  if ((w.at_warp & mask) != mask) return false;
  Fiber* lanes = &b.fibers[f.linear / 32 * 32];
  void* operands[32];
  for (unsigned left = mask; left; left &= left - 1) {
    const int i = std::countr_zero(left);
    if (lanes[i].operation != f.operation || lanes[i].mask != f.mask) return false;
    operands[i] = lanes[i].operands;
  }
  f.operation->run(operands, mask);
  if (f.operation->orders_memory && race_detector_on) join_clocks(lanes, mask);
  w.at_warp &= ~mask;
  w.ready |= mask;
  b.ready_warps |= 1u << (f.linear / 32);
  ++counters.collectives;
  return true;
}

// After the kernel has returned in f: what waited for this thread alone goes on.
void finish(Block& b, Fiber& f) {
  if (!f.copies.empty() || !f.groups.empty()) {
    cp_async_commit();
    cp_async_wait(0);
  }
  Warp& w = warp_of(b, f);
  unready(b, f);
  w.live &= ~bit_of(f);
  --b.live;
  if (b.waiting && b.waiting == b.live) release_barrier(b);
  for (unsigned left = w.at_warp; left; left &= left - 1)
    if (const unsigned lane = left & -left; w.at_warp & lane) try_collective(b, b.fibers[f.linear / 32 * 32 + std::countr_zero(lane)]);
}

// On a fresh stack: runs the current thread and then, on the same stack, all those that come next and have not started.
__attribute__((no_sanitize("address"))) void run_threads() {
  Block& b = *block;
  entered(b.from_main ? &b.main : nullptr);
  b.from_main = false;
  Stack* stack = b.current->stack;
  for (;;) {
    (*b.body)();
    finish(b, *b.current);
    Fiber* next = choose(b);
    if (next && !started(b, *next)) {
      make_current(b, *next);
      start(b, *next, stack);
      continue;
    }
    b.stacks.give_back(stack);
    if (next)
      go(b, stack->context, *next, true);
    else
      switch_context(stack->context, b.main, true);
  }
}

}  // namespace

void abandon(cudaError_t error) {
  Block& b = *block;
  b.error = error;
  Context nowhere;
  switch_context(nowhere, b.main, true);
  abort();  // nobody comes back
}

void fail(const char* format, ...) {
  char buffer[600];
  va_list list;
  va_start(list, format);
  vsnprintf(buffer, sizeof buffer, format, list);
  va_end(list);
  report(running_thread() + ": " + buffer);
  if (!inside_kernel) abort();
  abandon(cudaErrorLaunchFailure);
}

void yield() {
  if (!inside_kernel) return;
  Block& b = *block;
  Fiber& f = *b.current;
  unready(b, f);
  Fiber* next = b.ready_warps ? choose(b) : &f;
  warp_of(b, f).ready |= bit_of(f);
  b.ready_warps |= 1u << (f.linear / 32);
  if (next == &f) return;
  b.warp = next->linear / 32;
  go(b, f.stack->context, *next, false);
}

unsigned live_lanes() { return warp_of(*block, *block->current).live; }
uint64_t clock() { return counters.switches; }

int barrier(Barrier kind, int predicate, Location place) {
  if (!inside_kernel) fail("__syncthreads outside a kernel");
  Block& b = *block;
  Fiber& f = *b.current;
  f.place = place;
  if (b.waiting == 0) {
    b.first_waiting = &f;
    b.kind = kind;
  } else if (const Location other = b.first_waiting->place;
             other.line() != place.line() ||
             (other.file_name() != place.file_name() && strcmp(other.file_name(), place.file_name()) != 0)) {
    fail("divergent barrier: this thread is at %s:%u, thread %u at %s:%u", file_name(place), line_number(place), b.first_waiting->linear,
         file_name(other), line_number(other));
  }
  ++b.waiting;
  ++counters.collectives;
  b.predicates += predicate != 0;
  warp_of(b, f).at_block |= bit_of(f);
  unready(b, f);
  if (b.waiting == b.live) release_barrier(b);
  suspend(b, f);
  return b.result;  // stays: nobody can complete the next barrier before all have left this one
}

void collective(const Operation& operation, unsigned mask, void* operands, Location place) {
  if (!inside_kernel) fail("%s outside a kernel", operation.name);
  Block& b = *block;
  Fiber& f = *b.current;
  Warp& w = warp_of(b, f);
  if (!(mask & bit_of(f)))
    fail("%s at %s:%u: mask %08x lacks the calling lane %u", operation.name, file_name(place), line_number(place), mask, f.linear & 31);
  f.operation = &operation;
  f.mask = mask;
  f.operands = operands;
  f.place = place;
  w.at_warp |= bit_of(f);
  const unsigned needed = mask & w.live;
  if ((w.at_warp & needed) == needed && try_collective(b, f)) {
    if (b.seed > 1) suspend(b, f);
    return;
  }
  unready(b, f);
  suspend(b, f);
}

void begin_grid(dim3 grid, dim3 shape, const std::function<void()>& body) {
  if (!block) block = new Block;
  Block& b = *block;
  const Config& c = config();
  b.threads = shape.x * shape.y * shape.z;
  b.body = &body;
  b.seed = c.seed;
  b.defer_copies = c.cp_async < 0 ? c.seed % 2 == 0 : c.cp_async == 1;
  running.grid_dim = grid;
  running.block_dim = shape;
  for (unsigned i = 0; i < b.threads; ++i) {
    b.fibers[i].index = {i % shape.x, i / shape.x % shape.y, i / shape.x / shape.y};
    b.fibers[i].linear = i;
  }
}

cudaError_t run_block(uint64_t linear, uint3 index, void* dynamic_shared) {
  Block& b = *block;
  b.linear = linear;
  b.live = b.threads;
  b.waiting = b.predicates = 0;
  b.epoch = 0;
  b.error = cudaSuccess;
  b.random = (b.seed + 1) * 0x9e3779b97f4a7c15ull ^ (linear + 1) * 0xbf58476d1ce4e5b9ull;
  b.ready_warps = 0;
  for (unsigned i = 0; i * 32 < b.threads; ++i) {
    const unsigned lanes = std::min(32u, b.threads - i * 32), all = lanes == 32 ? ~0u : (1u << lanes) - 1;
    b.warps[i] = {all, all, 0, 0, 0};
    b.ready_warps |= 1u << i;
  }
  if (race_detector_on) begin_block(b);
  running.block = index;
  running.dynamic_shared = dynamic_shared;
  b.from_main = true;
  b.warp = pick(b, b.ready_warps);
  inside_kernel = true;
  go(b, b.main, *choose(b), false);
  inside_kernel = false;
  b.current = nullptr;
  if (b.error != cudaSuccess) {
    b.stacks.reset();
    for (unsigned i = 0; i < b.threads; ++i) {
      b.fibers[i].copies.clear();
      b.fibers[i].groups.clear();
    }
  }
  return b.error;
}

}  // namespace cuda_host
