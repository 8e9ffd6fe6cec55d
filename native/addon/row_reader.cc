#include "native/addon/row_reader.h"

#include <string>
#include <vector>

#include "native/addon/args.h"
#include "native/core/row_file.h"

namespace aludel::addon {
namespace {

class RowWorker final : public Napi::AsyncWorker {
 public:
  RowWorker(Napi::Env env, std::string path, std::vector<int32_t> rows, int64_t row_bytes, int64_t rows_in_file)
      : Napi::AsyncWorker(env, "aludel.readRows"),
        deferred(Napi::Promise::Deferred::New(env)),
        path_(std::move(path)),
        rows_(std::move(rows)),
        row_bytes_(row_bytes),
        rows_in_file_(rows_in_file) {
    Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, rows_.size() * static_cast<size_t>(row_bytes));
    into_ = static_cast<char*>(buffer.Data());
    buffer_ = Napi::Persistent(buffer);
  }

  void Execute() override {
    status_ = aludel::read_rows({path_.c_str(), row_bytes_, rows_in_file_, rows_.data(), static_cast<int64_t>(rows_.size())}, into_);
  }
  void OnOK() override {
    if (status_.ok())
      deferred.Resolve(buffer_.Value());
    else
      deferred.Reject(to_error(Env(), status_).Value());
  }

  const Napi::Promise::Deferred deferred;

 private:
  const std::string path_;
  const std::vector<int32_t> rows_;
  const int64_t row_bytes_;
  const int64_t rows_in_file_;
  char* into_;  // memory of buffer_, which nobody else has seen yet
  Napi::Reference<Napi::ArrayBuffer> buffer_;
  Status status_;
};

constexpr int64_t kMostBytes = int64_t{1} << 40;

}  // namespace

Napi::Value read_rows(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Napi::Object options = object_argument(info, 0, "readRows");
  const Napi::Value path = options.Get("path"), rows = options.Get("rows");
  if (!path.IsString()) throw_status(env, fail(Code::invalid_argument, "path: expected a string"));
  if (!rows.IsTypedArray() || rows.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array)
    throw_status(env, fail(Code::invalid_argument, "rows: expected an Int32Array"));
  const int64_t row_bytes = whole_property(options, "rowBytes", 1, kMostBytes, 0);
  const int64_t rows_in_file = whole_property(options, "rowsInFile", 1, int64_t{1} << 31, 0);
  const auto list = rows.As<Napi::Int32Array>();
  if (static_cast<int64_t>(list.ElementLength()) > kMostBytes / row_bytes)
    throw_status(env, fail(Code::out_of_memory, "%zu rows of %lld bytes", list.ElementLength(), static_cast<long long>(row_bytes)));
  auto* worker =
      new RowWorker(env, path.As<Napi::String>().Utf8Value(), {list.Data(), list.Data() + list.ElementLength()}, row_bytes, rows_in_file);
  const Napi::Promise promise = worker->deferred.Promise();
  worker->Queue();  // deletes itself when done
  return promise;
}

}  // namespace aludel::addon
