// A tiny kernel table: enough ops to see addresses, loops, lanes, slots and failures.
#pragma once
#include <atomic>
#include <chrono>
#include <thread>

#include "native/core/executor.h"

namespace aludel::test {

inline std::atomic<int> kernel_runs{0};

inline Status check_same(const KernelArgs& a) {
  if (a.nin < 1 || a.nout != 1) return fail(Code::invalid_program, "expected inputs and one output");
  for (int i = 0; i < a.nin; ++i) {
    if (a.in[i].dtype != DType::f32 || a.in[i].numel() != a.out[0].numel()) return fail(Code::invalid_program, "expected equal f32 shapes");
  }
  return a.out[0].dtype == DType::f32 ? Status{} : fail(Code::invalid_program, "expected an f32 output");
}
inline int64_t one_line(const KernelArgs&) { return 64; }

// y = a + b, one task per element, through scratch.
inline Status run_add(const KernelArgs& a, Exec& exec) {
  ++kernel_runs;
  if (a.nin != 2) return fail(Code::internal, "add");
  parallel_for(exec, a.out[0].numel(), [&](int64_t i, void* scratch) {
    auto* s = static_cast<float*>(scratch);
    s[0] = a.in[0].as<float>()[i];
    a.out[0].as<float>()[i] = s[0] + a.in[1].as<float>()[i];
  });
  return {};
}
inline Status check_two(const KernelArgs& a) {
  return a.nin == 2 ? check_same(a) : fail(Code::invalid_program, "add: expected two inputs");
}

inline Status run_copy(const KernelArgs& a, Exec& exec) {
  ++kernel_runs;
  parallel_for(exec, a.out[0].numel(), [&](int64_t i, void*) { a.out[0].as<float>()[i] = a.in[0].as<float>()[i]; });
  return {};
}

inline Status run_accumulate(const KernelArgs& a, Exec& exec) {
  for (int64_t i = 0; i < a.out[0].numel(); ++i) {
    float& y = a.out[0].as<float>()[i];
    y = a.in[0].as<float>()[i] + (exec.first_slice ? 0.0f : y);
  }
  return {};
}

// partials [L, ...] -> [...]; plain order is enough here.
inline Status check_lane_sum(const KernelArgs& a) {
  const bool fits = a.nin == 1 && a.nout == 1 && a.in[0].rank > 0 && a.in[0].dtype == DType::f32 && a.out[0].dtype == DType::f32 &&
                    a.in[0].numel() == a.in[0].dims[0] * a.out[0].numel();
  return fits ? Status{} : fail(Code::invalid_program, "lane_sum: expected partials and their sum's shape");
}
inline Status run_lane_sum(const KernelArgs& a, Exec&) {
  const int64_t n = a.out[0].numel();
  for (int64_t i = 0; i < n; ++i) {
    float sum = 0;
    for (int64_t l = 0; l < a.in[0].dims[0]; ++l) sum += a.in[0].as<float>()[l * n + i];
    a.out[0].as<float>()[i] = sum;
  }
  return {};
}

// cast u32 -> f32: makes the step scalar visible.
inline Status check_cast(const KernelArgs& a) {
  const bool fits =
      a.nin == 1 && a.nout == 1 && a.in[0].dtype == DType::u32 && a.out[0].dtype == DType::f32 && a.in[0].numel() == a.out[0].numel();
  return fits ? Status{} : fail(Code::invalid_program, "cast: expected u32 -> f32");
}
inline Status run_cast(const KernelArgs& a, Exec&) {
  for (int64_t i = 0; i < a.out[0].numel(); ++i) a.out[0].as<float>()[i] = static_cast<float>(a.in[0].as<uint32_t>()[i]);
  return {};
}

// neg: a slow copy, so that cancel has something to interrupt.
inline Status run_slow(const KernelArgs& a, Exec& exec) {
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  return run_copy(a, exec);
}

// abs: refuses what it finds in data.
inline Status run_refusing(const KernelArgs& a, Exec& exec) {
  if (a.in[0].as<float>()[0] < 0) return fail(Code::invalid_index, "row 0 is negative");
  return run_copy(a, exec);
}

// reverse: by way of shared memory, so that every task needs what another one left.
inline int64_t as_large_as_x(const KernelArgs& a) { return a.in[0].numel() * 4; }
inline Status run_reverse(const KernelArgs& a, Exec& exec) {
  const int64_t n = a.out[0].numel();
  auto* left = static_cast<float*>(exec.shared);
  parallel_for(exec, n, [&](int64_t i, void*) { left[i] = a.in[0].as<float>()[i]; });
  parallel_for(exec, n, [&](int64_t i, void*) { a.out[0].as<float>()[i] = left[n - 1 - i]; });
  return {};
}

inline KernelTable fake_table() {
  static const Kernel add{check_two, one_line, run_add}, copy{check_same, nullptr, run_copy},
      accumulate{check_same, nullptr, run_accumulate}, lane_sum{check_lane_sum, nullptr, run_lane_sum}, cast{check_cast, nullptr, run_cast},
      slow{check_same, nullptr, run_slow}, refusing{check_same, nullptr, run_refusing},
      reverse{check_same, nullptr, run_reverse, as_large_as_x};
  static const Kernel* table[kOpcodeCount] = {};
  const auto set = [](Opcode opcode, const Kernel& kernel) { table[static_cast<size_t>(opcode)] = &kernel; };
  set(Opcode::add, add);
  set(Opcode::copy, copy);
  set(Opcode::accumulate, accumulate);
  set(Opcode::lane_sum, lane_sum);
  set(Opcode::cast, cast);
  set(Opcode::neg, slow);
  set(Opcode::abs, refusing);
  set(Opcode::reverse, reverse);
  return table;
}

}  // namespace aludel::test
