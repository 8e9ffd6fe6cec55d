// Elementwise ops and fused elementwise programs. A block interpreter: each task takes a stretch of the output, walks it in chunks that
// stay in L1, and runs every micro-op over the chunk as one vector loop. Inputs of the output's shape are read in place, broadcast ones
// are expanded into a chunk buffer, and the last write of an output goes straight to memory.
// Plain ops on other dtypes than float32 compute in float64, which holds every 32-bit integer.
#include "native/cpu/kernels/elementwise_program.h"

namespace aludel::cpu::ALUDEL_ISA {
namespace {

constexpr int64_t kChunk = 512;
constexpr int64_t kTaskElements = 64 * kChunk;

// ---- inputs ---------------------------------------------------------------------------------------------------------------------

enum class Access { direct, periodic, strided, converted };

struct View {
  const TensorRef* tensor;
  Access access;
  int64_t period;  // periodic: the input repeats after so many elements, at most kChunk
  int rank;        // strided: collapsed output dimensions with the input's stride in each (0 where it is broadcast)
  int64_t dims[kMaxRank], strides[kMaxRank];
};

// Collapsed (dims, strides) of reading `in` in the order of `out`.
void collapse(const TensorRef& in, const TensorRef& out, View* view) {
  int64_t stride = 1;
  int64_t dims[kMaxRank], strides[kMaxRank];  // innermost first
  int n = 0;
  for (int d = out.rank - 1; d >= 0; --d) {
    int own = d - (out.rank - in.rank);
    int64_t size = out.dims[d];
    int64_t step = own >= 0 && in.dims[own] != 1 ? stride : 0;
    if (own >= 0) stride *= in.dims[own];
    if (size == 1) continue;
    if (n > 0 && step == strides[n - 1] * dims[n - 1]) {
      dims[n - 1] *= size;
    } else {
      dims[n] = size;
      strides[n++] = step;
    }
  }
  if (n == 0) {
    dims[0] = 1;
    strides[n++] = 0;
  }
  view->rank = n;
  for (int i = 0; i < n; ++i) {
    view->dims[i] = dims[n - 1 - i];
    view->strides[i] = strides[n - 1 - i];
  }
}

View view_of(const TensorRef& in, const TensorRef& out, DType compute) {
  View view = {};
  view.tensor = &in;
  collapse(in, out, &view);
  int64_t inner = view.dims[view.rank - 1], inner_stride = view.strides[view.rank - 1];
  if (in.dtype != compute) {
    view.access = Access::converted;
  } else if (in.numel() == 1) {
    view.access = Access::periodic;
    view.period = 1;
  } else if (view.rank == 1 && inner_stride == 1) {
    view.access = Access::direct;
  } else if (view.rank == 2 && view.strides[0] == 0 && inner_stride == 1 && inner <= kChunk) {
    view.access = Access::periodic;
    view.period = inner;
  } else {
    view.access = Access::strided;
  }
  return view;
}

// Calls f(position, input offset, count, stride) for the runs of the innermost dimension that make up elements first..first+n-1.
template <typename F>
ALUDEL_INLINE void for_runs(const View& view, int64_t first, int64_t n, const F& f) {
  int64_t index[kMaxRank];
  int64_t rest = first, offset = 0;
  int last = view.rank - 1;
  for (int d = last; d >= 0; --d) {
    index[d] = rest % view.dims[d];
    rest /= view.dims[d];
    offset += index[d] * view.strides[d];
  }
  for (int64_t done = 0; done < n;) {
    int64_t count = min_of(view.dims[last] - index[last], n - done);
    f(done, offset, count, view.strides[last]);
    done += count;
    index[last] += count;
    offset += count * view.strides[last];
    for (int d = last; d > 0 && index[d] == view.dims[d]; --d) {
      offset += view.strides[d - 1] - view.dims[d] * view.strides[d];
      index[d] = 0;
      ++index[d - 1];
    }
  }
}

template <typename S, typename T>
void read_strided(const View& view, int64_t first, int64_t n, T* dst) {
  const S* src = view.tensor->as<const S>();
  for_runs(view, first, n, [&](int64_t position, int64_t offset, int64_t count, int64_t stride) {
    T* to = dst + position;
    const S* from = src + offset;
    if (stride == 0) {
      T value = static_cast<T>(from[0]);
      for (int64_t i = 0; i < count; ++i) to[i] = value;
    } else if (stride == 1) {
      for (int64_t i = 0; i < count; ++i) to[i] = static_cast<T>(from[i]);
    } else {
      for (int64_t i = 0; i < count; ++i) to[i] = static_cast<T>(from[i * stride]);
    }
  });
}

template <typename T>
void read_any(const View& view, int64_t first, int64_t n, T* dst) {
  switch (view.tensor->dtype) {
    case DType::f32:
      return read_strided<float, T>(view, first, n, dst);
    case DType::f64:
      return read_strided<double, T>(view, first, n, dst);
    case DType::i32:
      return read_strided<int32_t, T>(view, first, n, dst);
    case DType::u32:
      return read_strided<uint32_t, T>(view, first, n, dst);
    case DType::u8:
      return read_strided<uint8_t, T>(view, first, n, dst);
  }
}

// Where the chunk of an input lies; fills its scratch (2 kChunk elements) when it is not read in place.
// Periodic inputs are laid out once per task: two periods' worth serves every phase.
template <typename T>
const T* chunk_of(const View& view, int64_t first, int64_t n, bool task_start, T* scratch) {
  const T* src = view.tensor->as<const T>();
  switch (view.access) {
    case Access::direct:
      return src + first;
    case Access::periodic:
      if (task_start) {
        memcpy(scratch, src, static_cast<size_t>(view.period) * sizeof(T));
        for (int64_t i = view.period; i < kChunk + view.period; ++i) scratch[i] = scratch[i - view.period];
      }
      return scratch + first % view.period;
    default: {
      int last = view.rank - 1;
      int64_t column = first % view.dims[last];
      if (view.access == Access::strided && view.strides[last] == 1 && column + n <= view.dims[last]) {
        int64_t offset = 0;  // the whole chunk is one run: read it where it is
        for_runs(view, first, 1, [&](int64_t, int64_t at, int64_t, int64_t) { offset = at; });
        return src + offset;
      }
      read_any<T>(view, first, n, scratch);
      return scratch;
    }
  }
}

// ---- outputs --------------------------------------------------------------------------------------------------------------------

// An output register may live in the output's memory unless that memory is also an input that some later op (or the final copy of
// an input to an output) still reads.
bool writes_in_place(const MicroProgram& program, const KernelArgs& args, int o, DType compute) {
  int r = program.output_register[o];
  if (r < args.nin || args.out[o].dtype != compute) return false;
  for (int i = 0; i < o; ++i)
    if (program.output_register[i] == r) return false;  // the second output of a register is a copy
  int first_write = 0;
  while (program.ops[first_write].dst != r) ++first_write;
  for (int i = 0; i < program.noutputs; ++i)
    if (program.output_register[i] < args.nin) return false;
  const char* begin = args.out[o].as<const char>();
  const char* end = begin + args.out[o].bytes();
  for (int i = first_write + 1; i < program.nops; ++i)
    for (int k = 0; k < operand_count(program.ops[i].code); ++k) {
      int from = program.ops[i].operand[k];
      if (from >= args.nin) continue;
      const char* input = args.in[from].as<const char>();
      if (input < end && begin < input + args.in[from].bytes()) return false;
    }
  return true;
}

// Out-of-range results stop at the ends of the integer range; NaN becomes 0.
template <typename D, typename T>
ALUDEL_INLINE D saturate(T x, double lo, double hi) {
  double v = static_cast<double>(x);
  return v != v ? D{0} : static_cast<D>(v < lo ? lo : v > hi ? hi : v);
}

template <typename T>
void store_chunk(const TensorRef& out, int64_t first, int64_t n, const T* src) {
  switch (out.dtype) {
    case DType::f32:
      for (int64_t i = 0; i < n; ++i) out.as<float>()[first + i] = static_cast<float>(src[i]);
      break;
    case DType::f64:
      for (int64_t i = 0; i < n; ++i) out.as<double>()[first + i] = static_cast<double>(src[i]);
      break;
    case DType::i32:
      for (int64_t i = 0; i < n; ++i) out.as<int32_t>()[first + i] = saturate<int32_t>(src[i], -2147483648.0, 2147483647.0);
      break;
    case DType::u32:
      for (int64_t i = 0; i < n; ++i) out.as<uint32_t>()[first + i] = saturate<uint32_t>(src[i], 0, 4294967295.0);
      break;
    case DType::u8:
      for (int64_t i = 0; i < n; ++i) out.as<uint8_t>()[first + i] = saturate<uint8_t>(src[i], 0, 255.0);
      break;
  }
}

// ---- the interpreter ------------------------------------------------------------------------------------------------------------

struct Plan {
  const KernelArgs* args;
  const MicroProgram* program;
  View views[kMaxRegisters / 2];
  bool in_place[kMaxOutputs];
};

template <typename T>
void run_range(const Plan& plan, int64_t begin, int64_t end, T* scratch) {
  const MicroProgram& program = *plan.program;
  const KernelArgs& args = *plan.args;
  T* registers[kMaxRegisters];
  for (int r = args.nin; r < program.nregisters; ++r) registers[r] = scratch + 2 * kChunk * args.nin + kChunk * (r - args.nin);
  for (int64_t first = begin; first < end; first += kChunk) {
    int64_t n = min_of(kChunk, end - first);
    for (int i = 0; i < args.nin; ++i)
      registers[i] = const_cast<T*>(chunk_of<T>(plan.views[i], first, n, first == begin, scratch + 2 * kChunk * i));
    for (int o = 0; o < program.noutputs; ++o)
      if (plan.in_place[o]) registers[program.output_register[o]] = args.out[o].as<T>() + first;
    for (int i = 0; i < program.nops; ++i) {
      const MicroOp& op = program.ops[i];
      const T* operand[3];
      for (int k = 0; k < 3; ++k) operand[k] = op.operand[k] < 0 ? nullptr : registers[op.operand[k]];
      micro_op<T>(op.code, registers[op.dst], operand[0], operand[1], operand[2], n);
    }
    for (int o = 0; o < program.noutputs; ++o) {
      const T* from = registers[program.output_register[o]];
      if (!plan.in_place[o] && from != args.out[o].as<T>() + first) store_chunk<T>(args.out[o], first, n, from);
    }
  }
}

bool is_float(DType dtype) { return dtype == DType::f32 || dtype == DType::f64; }

DType compute_type(const KernelArgs& args) {
  for (int i = 0; i < args.nin; ++i)
    if (args.in[i].dtype != DType::f32) return DType::f64;
  for (int i = 0; i < args.nout; ++i)
    if (args.out[i].dtype != DType::f32) return DType::f64;
  return DType::f32;
}

Status check_shapes(const char* op, const KernelArgs& args) {
  for (int i = 0; i < args.nin; ++i) ALUDEL_RETURN_IF_ERROR(check_tensor(op, "input", i, args.in[i]));
  for (int i = 0; i < args.nout; ++i) {
    ALUDEL_RETURN_IF_ERROR(check_tensor(op, "output", i, args.out[i]));
    if (!same_shape(args.out[i], args.out[0])) return wrong(op, "outputs of one shape");
  }
  for (int i = 0; i < args.nin; ++i)
    if (!broadcasts_to(args.in[i], args.out[0]))
      return fail(Code::invalid_program, "%s: input %d does not broadcast to the output's shape", op, i);
  return {};
}

int64_t scratch_for(const KernelArgs& args, const MicroProgram& program) {
  int64_t buffers = 2 * static_cast<int64_t>(args.nin) + (program.nregisters - args.nin);
  return buffers * kChunk * size_of(compute_type(args));
}

Status run_program(const KernelArgs& args, const MicroProgram& program, Exec& exec) {
  DType compute = compute_type(args);
  Plan plan;
  plan.args = &args;
  plan.program = &program;
  for (int i = 0; i < args.nin; ++i) plan.views[i] = view_of(args.in[i], args.out[0], compute);
  for (int o = 0; o < program.noutputs; ++o) plan.in_place[o] = writes_in_place(program, args, o, compute);
  parallel_ranges(exec, args.out[0].numel(), kTaskElements, [&](int64_t begin, int64_t end, void* scratch) {
    if (compute == DType::f32)
      run_range<float>(plan, begin, end, static_cast<float*>(scratch));
    else
      run_range<double>(plan, begin, end, static_cast<double*>(scratch));
  });
  return {};
}

// ---- entry points ---------------------------------------------------------------------------------------------------------------

Status check_elementwise(const KernelArgs& args) {
  MicroProgram program = {};
  ALUDEL_RETURN_IF_ERROR(plain_program(args, &program));
  return check_shapes("elementwise", args);
}
int64_t scratch_elementwise(const KernelArgs& args) {
  MicroProgram program = {};
  return plain_program(args, &program).ok() ? scratch_for(args, program) : 0;
}
Status run_elementwise(const KernelArgs& args, Exec& exec) {
  MicroProgram program = {};
  ALUDEL_RETURN_IF_ERROR(plain_program(args, &program));
  return run_program(args, program, exec);
}

Status check_map(const KernelArgs& args) {
  MicroProgram program = {};
  ALUDEL_RETURN_IF_ERROR(map_program(args, &program));
  ALUDEL_RETURN_IF_ERROR(check_shapes("map", args));
  DType dtype = args.out[0].dtype;
  bool same = is_float(dtype);
  for (int i = 0; i < args.nin; ++i) same = same && args.in[i].dtype == dtype;
  for (int i = 0; i < args.nout; ++i) same = same && args.out[i].dtype == dtype;
  return same ? Status{} : wrong("map", "inputs and outputs of one dtype, f32 or f64");
}
int64_t scratch_map(const KernelArgs& args) {
  MicroProgram program = {};
  return map_program(args, &program).ok() ? scratch_for(args, program) : 0;
}
Status run_map(const KernelArgs& args, Exec& exec) {
  MicroProgram program = {};
  ALUDEL_RETURN_IF_ERROR(map_program(args, &program));
  return run_program(args, program, exec);
}

}  // namespace

extern const Kernel kernel_elementwise;
extern const Kernel kernel_map;
const Kernel kernel_elementwise = {check_elementwise, scratch_elementwise, run_elementwise};
const Kernel kernel_map = {check_map, scratch_map, run_map};

}  // namespace aludel::cpu::ALUDEL_ISA
