// Elementwise ops and fused elementwise programs by one interpreter. A thread holds 32 bytes of each value, so that one decoding of a step
// serves 8 floats; all threads decode the same step, so no branch diverges. Slots lie in shared memory, a column of them per thread:
// threads never meet, nothing waits for a barrier, and inputs are copied straight into their slots, all of them on their way at once.
// At the 3 to 10 steps of an optimiser update this costs less time than the memory takes.
// Plain ops on other dtypes than float32 compute in float64, which holds every 32-bit integer.
// An element's inputs are all read before its outputs are written, by one thread: outputs may be inputs, element for element.
#include "native/cuda/kernels/convert.cuh"
#include "native/cuda/kernels/elementwise_math.cuh"
#include "native/cuda/kernels/elementwise_views.cuh"
#include "native/cuda/ptx.cuh"

namespace aludel::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int64_t kMostShared = 96 * 1024;  // slots beyond this leave too few threads in a multiprocessor
constexpr int64_t kUploadBytes = 3072;

template <typename T>
struct GroupOf;
template <>
struct GroupOf<float> {
  using type = float4;
};
template <>
struct GroupOf<double> {
  using type = double2;
};
template <typename T>
using Group = typename GroupOf<T>::type;  // 16 bytes of one value

__device__ __forceinline__ void unpack(const float4& g, float* v) {
  v[0] = g.x;
  v[1] = g.y;
  v[2] = g.z;
  v[3] = g.w;
}
__device__ __forceinline__ void unpack(const double2& g, double* v) {
  v[0] = g.x;
  v[1] = g.y;
}
__device__ __forceinline__ float4 packed(const float* v) { return make_float4(v[0], v[1], v[2], v[3]); }
__device__ __forceinline__ double2 packed(const double* v) { return make_double2(v[0], v[1]); }
__device__ __forceinline__ float4 splat(float x) { return make_float4(x, x, x, x); }
__device__ __forceinline__ double2 splat(double x) { return make_double2(x, x); }

// A thread's column of slots. Neighbouring threads have neighbouring groups: no bank conflicts, and whole lines where it is memory.
template <typename Element, int Groups, bool Shared>
struct Slots {
  using T = Element;
  static constexpr int kGroups = Groups;             // of one value in a thread
  static constexpr int kGroup = 16 / sizeof(T);      // elements
  static constexpr int kElements = Groups * kGroup;  // of a thread
  static constexpr bool kShared = Shared;
  using Values = Pack<T, kElements>;

  Group<T>* column;

  __device__ __forceinline__ Group<T>* at(int slot, int group) const { return column + (slot * Groups + group) * kThreads; }
  __device__ __forceinline__ Values read(int slot) const {
    Values r;
#pragma unroll
    for (int g = 0; g < Groups; ++g) unpack(*at(slot, g), r.v + g * kGroup);
    return r;
  }
  __device__ __forceinline__ void write(int slot, const Values& x) const {
#pragma unroll
    for (int g = 0; g < Groups; ++g) *at(slot, g) = packed(x.v + g * kGroup);
  }
  // In shared memory a group arrives while the thread goes on; elsewhere it is copied.
  __device__ __forceinline__ void fetch(int slot, int group, const T* from, bool valid) const {
    if constexpr (Shared)
      cp_async<16>(at(slot, group), from, valid);
    else
      *at(slot, group) = valid ? *reinterpret_cast<const Group<T>*>(from) : splat(T{0});
  }
};
template <typename T>
using NearSlots = Slots<T, 2, true>;
template <typename T>
using FarSlots = Slots<T, sizeof(T) == 4 ? 2 : 1, false>;  // as many as registers hold beside addresses of 64 bits
template <typename S>
constexpr int64_t slot_bytes = int64_t{16} * S::kGroups* kThreads;  // of a block

// ---- inputs ---------------------------------------------------------------------------------------------------------------------

// Groups behind the end are zeros, computed like the others and not written. (Nothing may be read in their place: with an output in the
// place of an input, another thread writes there.)
template <typename S, typename P>
__device__ __forceinline__ void read_groups(const P& program, const ElementwiseInput& input, const S& slots, typename P::Index first) {
  using I = typename P::Index;
  using T = typename S::T;
#pragma unroll
  for (int g = 0; g < S::kGroups; ++g) {
    const I i = first + static_cast<I>(g * kThreads * S::kGroup);
    const bool inside = i < program.elements;
    const T* from = static_cast<const T*>(input.data) + (inside ? offset_of(program, input, i) : 0);
    if (input.splat)
      *slots.at(input.slot, g) = splat(inside ? *from : T{0});
    else
      slots.fetch(input.slot, g, from, inside);
  }
}

template <typename X, typename S, typename P>
__device__ __forceinline__ void read_elements_of(const P& program, const ElementwiseInput& input, const S& slots, typename P::Index first) {
  using I = typename P::Index;
  using T = typename S::T;
  const X* data = static_cast<const X*>(input.data);
  typename S::Values x;
#pragma unroll
  for (int e = 0; e < S::kElements; ++e) {
    const I i = first + static_cast<I>(e * kThreads);
    x.v[e] = i < program.elements ? static_cast<T>(data[offset_of(program, input, i)]) : T{0};
  }
  slots.write(input.slot, x);
}

template <typename S, typename P>
__device__ __forceinline__ void read_elements(const P& program, const ElementwiseInput& input, const S& slots, typename P::Index first) {
  if constexpr (std::is_same_v<typename S::T, float>) {
    read_elements_of<float>(program, input, slots, first);
  } else {
    switch (input.dtype) {
      case DType::f32:
        return read_elements_of<float>(program, input, slots, first);
      case DType::f64:
        return read_elements_of<double>(program, input, slots, first);
      case DType::i32:
        return read_elements_of<int32_t>(program, input, slots, first);
      case DType::u32:
        return read_elements_of<uint32_t>(program, input, slots, first);
      case DType::u8:
        return read_elements_of<uint8_t>(program, input, slots, first);
    }
  }
}

// ---- outputs --------------------------------------------------------------------------------------------------------------------

template <typename D, typename S, typename I>
__device__ __forceinline__ void write_elements_of(void* data, const typename S::Values& x, I first, I n) {
#pragma unroll
  for (int e = 0; e < S::kElements; ++e) {
    const I i = first + static_cast<I>(e * kThreads);
    if (i < n) static_cast<D*>(data)[i] = converted<D>(x.v[e]);
  }
}

template <typename S, typename I>
__device__ __forceinline__ void write_output(const ElementwiseOutput& output, const typename S::Values& x, I first, I n, bool by_groups) {
  using T = typename S::T;
  if (by_groups) {
#pragma unroll
    for (int g = 0; g < S::kGroups; ++g) {
      const I i = first + static_cast<I>(g * kThreads * S::kGroup);
      if (i < n) *reinterpret_cast<Group<T>*>(static_cast<T*>(output.data) + i) = packed(x.v + g * S::kGroup);
    }
    return;
  }
  if constexpr (std::is_same_v<T, float>) {
    write_elements_of<float, S>(output.data, x, first, n);
  } else {
    switch (output.dtype) {
      case DType::f32:
        return write_elements_of<float, S>(output.data, x, first, n);
      case DType::f64:
        return write_elements_of<double, S>(output.data, x, first, n);
      case DType::i32:
        return write_elements_of<int32_t, S>(output.data, x, first, n);
      case DType::u32:
        return write_elements_of<uint32_t, S>(output.data, x, first, n);
      case DType::u8:
        return write_elements_of<uint8_t, S>(output.data, x, first, n);
    }
  }
}

// ---- the interpreter ------------------------------------------------------------------------------------------------------------

template <typename S, typename P>
__device__ __forceinline__ void interpret(const P& program, const S& slots) {
  using I = typename P::Index;
  using Values = typename S::Values;
  constexpr I tile = static_cast<I>(kThreads) * S::kElements;
  const I n = program.elements;
  const bool by_groups = program.by_groups;
  for (I begin = blockIdx.x * tile; begin < n; begin += gridDim.x * tile) {
    const I first = begin + (by_groups ? threadIdx.x * S::kGroup : threadIdx.x);
    for (int k = 0; k < program.inputs; ++k) {
      if (by_groups)
        read_groups(program, program.input[k], slots, first);
      else
        read_elements(program, program.input[k], slots, first);
    }
    if constexpr (S::kShared) {
      cp_async_commit();
      cp_async_wait<0>();  // a thread reads its own column only
    }
    Values result = {};
    for (int s = 0; s < program.steps; ++s) {
      const Step step = program.step[s];
      const auto operand = [&](uint16_t from) { return from == kPrevious ? result : slots.read(from); };
      const Values a = operand(step.operand[0]);
      if (step.operand[1] == kNone) {
        result = unary_op(step.code, a);
      } else {
        const Values b = operand(step.operand[1]);
        if (step.operand[2] == kNone)
          result = binary_op(step.code, a, b);
        else
          result = select_op(a, b, operand(step.operand[2]));
      }
      if (step.slot != kNone) slots.write(step.slot, result);
      if (step.output != kNone) write_output<S, I>(program.output[step.output], result, first, n, by_groups);
    }
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads) run_near(Guard guard, const __grid_constant__ NearProgram program) {
  if (guard.stopped()) return;
  ALUDEL_DYNAMIC_SHARED(Group<T>, slots);
  interpret(program, NearSlots<T>{slots + threadIdx.x});
}

// Slots in device memory: any number of them.
template <typename T>
__global__ void __launch_bounds__(kThreads) run_far(Guard guard, const FarProgram* program, Group<T>* slots, int slots_of_block) {
  if (guard.stopped()) return;
  interpret(*program, FarSlots<T>{slots + int64_t{blockIdx.x} * slots_of_block * FarSlots<T>::kGroups * kThreads + threadIdx.x});
}

struct UploadPiece {
  uint4 words[kUploadBytes / 16];
};
__global__ void __launch_bounds__(kUploadBytes / 16) upload(Guard, const __grid_constant__ UploadPiece piece, uint4* to, int64_t words) {
  if (threadIdx.x < words) to[threadIdx.x] = piece.words[threadIdx.x];
}

// ---- entry points ---------------------------------------------------------------------------------------------------------------

DType compute_type(const KernelArgs& args) {
  for (int i = 0; i < args.nin; ++i)
    if (args.in[i].dtype != DType::f32) return DType::f64;
  for (int i = 0; i < args.nout; ++i)
    if (args.out[i].dtype != DType::f32) return DType::f64;
  return DType::f32;
}

bool fits_near(const KernelArgs& args, const SlotProgram& slots, const DeviceInfo& device) {
  return args.nin <= NearProgram::kMaxInputs && args.nout <= NearProgram::kMaxOutputs &&
         static_cast<int>(slots.steps.size()) <= NearProgram::kMaxSteps && axes_of(args, slots) <= NearProgram::kMaxAxes &&
         slots.slots * slot_bytes<NearSlots<float>> <= std::min(kMostShared, device.shared_bytes) && args.out[0].numel() < kNarrowElements;
}

struct FarLayout {
  int64_t blocks, program_bytes, bytes;
};
template <typename S>
FarLayout far_layout_of(int64_t n, int slots, const DeviceInfo& device) {
  const int64_t blocks = std::min(ceil_div(n, int64_t{kThreads} * S::kElements), int64_t{device.multiprocessors});
  const int64_t program_bytes = round_up(sizeof(FarProgram), 256);
  return {blocks, program_bytes, program_bytes + blocks * slots * slot_bytes<S>};
}
FarLayout far_layout(const KernelArgs& args, const SlotProgram& slots, const DeviceInfo& device) {
  const int64_t n = args.out[0].numel();
  return compute_type(args) == DType::f32 ? far_layout_of<FarSlots<float>>(n, slots.slots, device)
                                          : far_layout_of<FarSlots<double>>(n, slots.slots, device);
}

int64_t workspace_bytes(const KernelArgs& args, const DeviceInfo& device) {
  const SlotProgram slots = slot_program(args);
  return fits_near(args, slots, device) ? 0 : far_layout(args, slots, device).bytes;
}

template <typename T>
Status launch_near(const KernelArgs& args, const SlotProgram& slots, DType compute, const Context& context) {
  NearProgram program;
  fill_program(args, slots, compute, &program);
  return launched(context, run_near<T>, grid_for(args.out[0].numel(), kThreads, *context.device, NearSlots<T>::kElements), kThreads,
                  static_cast<size_t>(slots.slots * slot_bytes<NearSlots<float>>), program);
}

template <typename T>
Status launch_far(const KernelArgs& args, const SlotProgram& slots, DType compute, const Context& context) {
  const FarLayout layout = far_layout(args, slots, *context.device);
  const auto program = std::make_unique<FarProgram>();
  fill_program(args, slots, compute, program.get());
  char* workspace = static_cast<char*>(context.workspace);
  for (size_t at = 0; at < sizeof(FarProgram); at += kUploadBytes) {
    UploadPiece piece = {};
    const size_t bytes = std::min(sizeof(FarProgram) - at, static_cast<size_t>(kUploadBytes));
    std::memcpy(&piece, reinterpret_cast<const char*>(program.get()) + at, bytes);
    ALUDEL_RETURN_IF_ERROR(launched(context, upload, 1, kUploadBytes / 16, 0, piece, reinterpret_cast<uint4*>(workspace + at),
                                    ceil_div(static_cast<int64_t>(bytes), 16)));
  }
  return launched(context, run_far<T>, static_cast<unsigned>(layout.blocks), kThreads, 0, reinterpret_cast<const FarProgram*>(workspace),
                  reinterpret_cast<Group<T>*>(workspace + layout.program_bytes), slots.slots);
}

Status launch_elementwise(const KernelArgs& args, const Context& context) {
  if (args.out[0].numel() == 0) return {};
  const SlotProgram slots = slot_program(args);
  const DType compute = compute_type(args);
  if (fits_near(args, slots, *context.device))
    return compute == DType::f32 ? launch_near<float>(args, slots, compute, context) : launch_near<double>(args, slots, compute, context);
  return compute == DType::f32 ? launch_far<float>(args, slots, compute, context) : launch_far<double>(args, slots, compute, context);
}

}  // namespace

extern const Kernel kernel_elementwise;
extern const Kernel kernel_map;
const Kernel kernel_elementwise = {workspace_bytes, launch_elementwise};
const Kernel kernel_map = {workspace_bytes, launch_elementwise};

}  // namespace aludel::cuda
