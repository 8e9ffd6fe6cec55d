// Instruction set selection. Compiled for the baseline, like everything outside kernels/.
#include "native/cpu/isa.h"

namespace aludel::cpu {

#define ALUDEL_DECLARE_TABLE(isa)       \
  namespace isa {                       \
  const Kernel* const* kernel_table();  \
  const EigenKernel* symmetric_eigen(); \
  }
ALUDEL_DECLARE_TABLE(portable)
#ifdef ALUDEL_HAVE_AVX512
ALUDEL_DECLARE_TABLE(avx512)
#endif
#ifdef ALUDEL_HAVE_AVX2
ALUDEL_DECLARE_TABLE(avx2)
#endif
#ifdef ALUDEL_HAVE_WIDE16
ALUDEL_DECLARE_TABLE(wide16)
#endif

const std::vector<Isa>& isas() {
  static const std::vector<Isa> list = [] {
    std::vector<Isa> found;
#ifdef ALUDEL_HAVE_AVX512
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma");
    found.push_back({"avx512", avx512, avx512::kernel_table, avx512::symmetric_eigen});
#endif
#if defined(ALUDEL_HAVE_AVX2) || defined(ALUDEL_HAVE_WIDE16)
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
#ifdef ALUDEL_HAVE_AVX2
    found.push_back({"avx2", avx2, avx2::kernel_table, avx2::symmetric_eigen});
#endif
    found.push_back({"portable", true, portable::kernel_table, portable::symmetric_eigen});
#ifdef ALUDEL_HAVE_WIDE16
    found.push_back({"wide16", avx2, wide16::kernel_table,
                     wide16::symmetric_eigen});  // test only: AVX-512's tiling on AVX2 machines, never chosen by itself
#endif
    return found;
  }();
  return list;
}

Status choose_isa(const std::string& name, const Isa** isa) {
  std::string names;
  for (const Isa& candidate : isas()) {
    if (name.empty() ? candidate.supported : name == candidate.name) {
      if (!candidate.supported) return fail(Code::unavailable, "isa: this processor does not support '%s'", candidate.name);
      *isa = &candidate;
      return {};
    }
    names += names.empty() ? candidate.name : std::string(", ") + candidate.name;
  }
  return fail(Code::unavailable, "isa: expected one of %s but received '%s'", names.c_str(), name.c_str());
}

}  // namespace aludel::cpu
