#include "native/cuda/cuda_backend.h"

#include <cstdio>

#include "native/core/arena.h"
#include "native/cuda/cuda_program.h"
#include "native/cuda/device.h"
#include "native/cuda/libraries/cublas_lt.h"
#include "native/cuda/libraries/cudnn.h"

namespace aludel::cuda {
namespace {

class CudaBackend final : public Backend {
 public:
  CudaBackend(std::shared_ptr<Device> device, KernelTable checks, int host_threads,
              std::function<Status(std::unique_ptr<Backend>*)> open_host)
      : device_(std::move(device)), checks_(checks), host_threads_(host_threads), open_host_(std::move(open_host)) {}

  Status allocate(int64_t bytes, std::shared_ptr<DeviceMemory>* memory) override { return Memory::allocate(device_, bytes, memory); }

  Status load(const uint8_t* bytes, size_t size, std::shared_ptr<LoadedProgram>* program) override {
    Program decoded;
    ALUDEL_RETURN_IF_ERROR(decode_program(bytes, size, &decoded));
    return CudaProgram::create(std::move(decoded), checks_, device_, program);
  }

  // Once per data set, of a few thousand rows: the host does it.
  Status symmetric_eigen(const EigenRequest& request) override {
    if (host_ == nullptr) ALUDEL_RETURN_IF_ERROR(open_host_(&host_));
    EigenRequest on_host = request;
    ALUDEL_RETURN_IF_ERROR(host_->allocate(request.matrix->bytes, &on_host.matrix));
    ALUDEL_RETURN_IF_ERROR(host_->allocate(request.values->bytes, &on_host.values));
    ALUDEL_RETURN_IF_ERROR(request.matrix->download(0, on_host.matrix->data(), request.matrix->bytes));
    ALUDEL_RETURN_IF_ERROR(host_->symmetric_eigen(on_host));
    ALUDEL_RETURN_IF_ERROR(request.matrix->upload(0, on_host.matrix->data(), request.matrix->bytes));
    return request.values->upload(0, on_host.values->data(), request.values->bytes);
  }

  void close() override { device_->close(); }
  const char* isa() const override { return device_->architecture(); }
  int threads() const override { return host_threads_; }
  int64_t workspace_bytes() const override { return device_->workspace().bytes(); }
  int64_t free_bytes() const override { return device_->pool().free_bytes(); }

 private:
  const std::shared_ptr<Device> device_;
  const KernelTable checks_;
  const int host_threads_;
  const std::function<Status(std::unique_ptr<Backend>*)> open_host_;
  std::unique_ptr<Backend> host_;  // run thread only
};

std::string version(int number) { return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10); }

// The sentence a user needs: what there is, what is needed, what to do.
std::string explain(cudaError_t error, int driver, int toolkit) {
  const std::string needs = "this build was made with CUDA " + version(toolkit) + ", which needs a driver for CUDA " +
                            std::to_string(toolkit / 1000) + ".0 or newer" + (toolkit >= 13000 ? " (580 or above)" : " (525 or above)");
  if (driver == 0) return "no NVIDIA driver on this machine; " + needs + "; install one, or compute on device 'cpu'";
  if (error == cudaErrorInsufficientDriver || driver < toolkit / 1000 * 1000)
    return "the NVIDIA driver is too old: it knows CUDA " + version(driver) + ", " + needs;
  if (error == cudaErrorNoDevice)
    return "the NVIDIA driver (CUDA " + version(driver) + ") finds no GPU; see nvidia-smi and CUDA_VISIBLE_DEVICES";
  return std::string(cudaGetErrorString(error)) + " (CUDA error " + std::to_string(static_cast<int>(error)) + "; driver for CUDA " +
         version(driver) + ", toolkit " + version(toolkit) + ")";
}

}  // namespace

Survey survey() {
  Survey found;
  cudaDriverGetVersion(&found.driver);
  cudaRuntimeGetVersion(&found.toolkit);
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (error != cudaSuccess || count == 0) {
    found.reason = explain(error == cudaSuccess ? cudaErrorNoDevice : error, found.driver, found.toolkit);
    return found;
  }
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) continue;
    found.devices.push_back({properties.name, "sm_" + std::to_string(properties.major) + std::to_string(properties.minor),
                             static_cast<int64_t>(properties.totalGlobalMem)});
  }
  return found;
}

std::vector<FoundLibrary> survey_libraries() { return {CublasLt::loaded(), Cudnn::loaded()}; }

Status create_backend(const Options& options, LibraryUse libraries, KernelTable checks, int host_threads,
                      std::function<Status(std::unique_ptr<Backend>*)> open_host, std::unique_ptr<Backend>* backend) {
  const Survey found = survey();
  if (!found.reason.empty()) return fail(Code::unavailable, "%s", found.reason.c_str());
  std::shared_ptr<Device> device;
  ALUDEL_RETURN_IF_ERROR(Device::open(options, libraries, &device));
  *backend = std::make_unique<CudaBackend>(std::move(device), checks, host_threads, std::move(open_host));
  return {};
}

}  // namespace aludel::cuda
