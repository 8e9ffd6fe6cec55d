#include "native/cuda/libraries/cublas_lt.h"

namespace aludel::cuda {
namespace {

constexpr uint64_t kMostWorkspaceBytes = uint64_t{32} << 20;

// Of the contiguous axis, which is also what matrices of a batch and slices of an array are apart by multiples of, where the operands
// themselves are `aligned`.
uint32_t alignment(int64_t contiguous, bool aligned) { return aligned && contiguous % 4 == 0 ? 16 : 4; }

lt::ComputeType compute_type(Precision precision) {
  switch (precision) {
    case Precision::tf32:
      return lt::kComputeFastTF32;
    case Precision::bf16:
      return lt::kComputeFast16BF;
    default:
      return lt::kCompute32F;
  }
}

}  // namespace

CublasLt::CublasLt() {
  static_cast<FoundLibrary&>(*this) = find_library({.name = "cuBLASLt",
                                                    .files = {"libcublasLt.so.13", "libcublasLt.so.12"},
                                                    .parts = {},
                                                    .symbols = {ALUDEL_CUBLAS_LT_FUNCTIONS(ALUDEL_LIBRARY_SYMBOL)},
                                                    .version = &call.version,
                                                    .oldest = 120000});
}

const CublasLt& CublasLt::loaded() {
  static const auto* found = new CublasLt;  // never destroyed: programs may outlive static destruction
  return *found;
}

LtHandle::LtHandle() : library_(CublasLt::loaded()) {
  if (!library_.version.empty() && library_.call.create(&handle_) != lt::kSuccess) handle_ = nullptr;
}

LtHandle::~LtHandle() {
  if (handle_ != nullptr) library_.call.destroy(handle_);
}

std::unique_ptr<LibraryCall> LtProduct::find(std::shared_ptr<const LtHandle> handle, const Product& product, bool aligned,
                                             Precision precision) {
  // 3xTF32 is no arithmetic of the library's; its sizes are 32-bit numbers, and nothing to do is not worth a question.
  constexpr int64_t most = INT32_MAX;
  if (precision == Precision::tf32x3 || product.empty()) return nullptr;
  if (product.batch > most || product.m > most || product.n > most || product.k > most) return nullptr;
  std::unique_ptr<LtProduct> made(new LtProduct(std::move(handle)));
  if (made->describe(product, precision) != lt::kSuccess || made->choose(product, aligned) != lt::kSuccess) return nullptr;
  return made;
}

// The library's matrices are column-major, so that it sees every operand transposed: out^T = op(b)^T op(a)^T. Its first operand is b.
lt::Status LtProduct::describe(const Product& p, Precision precision) {
  const lt::Functions& call = handle_->library().call;
  const auto op = [](bool transposed) { return transposed ? lt::kTransposed : lt::kAsIs; };
  const lt::Operation first = op(p.transpose_b), second = op(p.transpose_a);
  lt::Status status = call.create_desc(&desc_, compute_type(precision), lt::kFloat32);
  if (status == lt::kSuccess) status = call.set_desc(desc_, lt::kTransposeA, &first, sizeof first);
  if (status == lt::kSuccess) status = call.set_desc(desc_, lt::kTransposeB, &second, sizeof second);
  const auto layout = [&](lt::Layout** made, int64_t rows, int64_t columns, int64_t batch_stride) {
    if (status == lt::kSuccess) status = call.create_layout(made, lt::kFloat32, uint64_t(rows), uint64_t(columns), rows);
    const auto count = static_cast<int32_t>(p.batch);
    if (status == lt::kSuccess) status = call.set_layout(*made, lt::kBatchCount, &count, sizeof count);
    if (status == lt::kSuccess) status = call.set_layout(*made, lt::kBatchStride, &batch_stride, sizeof batch_stride);
  };
  layout(&a_, p.contiguous_a(), p.transpose_a ? p.k : p.m, p.m * p.k);
  layout(&b_, p.contiguous_b(), p.transpose_b ? p.n : p.k, p.k * p.n);
  layout(&out_, p.n, p.m, p.m * p.n);
  return status;
}

lt::Status LtProduct::choose(const Product& p, bool aligned) {
  const lt::Functions& call = handle_->library().call;
  lt::Preference* wanted = nullptr;
  lt::Status status = call.create_preference(&wanted);
  const auto set = [&](lt::PreferenceAttribute attribute, auto value) {
    if (status == lt::kSuccess) status = call.set_preference(wanted, attribute, &value, sizeof value);
  };
  set(lt::kMostWorkspaceBytes, kMostWorkspaceBytes);
  set(lt::kReductionSchemes, lt::kReductionInWorkspace);
  set(lt::kAlignmentA, alignment(p.contiguous_b(), aligned));
  set(lt::kAlignmentB, alignment(p.contiguous_a(), aligned));
  set(lt::kAlignmentC, alignment(p.n, aligned));
  set(lt::kAlignmentD, alignment(p.n, aligned));
  int found = 0;
  if (status == lt::kSuccess) status = call.heuristic(handle_->get(), desc_, b_, a_, out_, out_, wanted, 1, &chosen_, &found);
  if (wanted != nullptr) call.destroy_preference(wanted);
  if (status != lt::kSuccess) return status;
  if (found < 1 || chosen_.workspace_bytes > kMostWorkspaceBytes) return -1;
  return chosen_.state;
}

LtProduct::~LtProduct() {
  const lt::Functions& call = handle_->library().call;
  for (lt::Layout* layout : {a_, b_, out_})
    if (layout != nullptr) call.destroy_layout(layout);
  if (desc_ != nullptr) call.destroy_desc(desc_);
}

std::string LtProduct::library() const { return "cuBLASLt " + handle_->library().version; }

Status LtProduct::launch(const KernelArgs& args, const Context& context) const {
  const void *a = args.in[0].data, *b = args.in[1].data;
  void* out = args.out[0].data;
  const float one = 1, zero = 0;
  const lt::Functions& call = handle_->library().call;
  const lt::Status status = call.matmul(handle_->get(), desc_, &one, b, b_, a, a_, &zero, out, out_, out, out_, &chosen_.algorithm,
                                        context.workspace, chosen_.workspace_bytes, context.stream);
  if (status == lt::kSuccess) return {};
  return refused(*this, "product", status);
}

}  // namespace aludel::cuda
