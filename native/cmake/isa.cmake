# Every file of native/cpu/kernels is compiled once per instruction set, into its own namespace. Nothing of these objects may be weak:
# the linker would keep one copy, perhaps the AVX-512 one, for everybody.
file(GLOB ALUDEL_KERNEL_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/native/cpu/kernels/*.cc)

# Contraction into fma is wanted and the same on every machine of an instruction set; -ffast-math is not: it changes NaN and infinity.
set(ALUDEL_KERNEL_FLAGS -fno-exceptions -fno-rtti -ffp-contract=fast -fno-math-errno -fno-trapping-math)

# Kernels are written in vectors, so -O2 is enough and builds in two thirds of the time; the norm loops gain from -O3 (about 10 % of a
# training step), and softmax's short loops over registers need it to be unrolled.
file(GLOB ALUDEL_O3_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/native/cpu/kernels/norm_*.cc
     ${CMAKE_SOURCE_DIR}/native/cpu/kernels/softmax_*.cc ${CMAKE_SOURCE_DIR}/native/cpu/kernels/power_sums.cc)
set_source_files_properties(${ALUDEL_O3_SOURCES} PROPERTIES COMPILE_OPTIONS -O3)

function(aludel_add_isa name width)
  add_library(kernels_${name} OBJECT ${ALUDEL_KERNEL_SOURCES})
  target_include_directories(kernels_${name} PRIVATE ${CMAKE_SOURCE_DIR})
  aludel_warnings(kernels_${name})
  target_compile_definitions(kernels_${name} PRIVATE ALUDEL_ISA=${name} ALUDEL_VW=${width})
  # -Wpsabi: vectors wider than the baseline never cross a file.
  target_compile_options(kernels_${name} PRIVATE -O2 ${ARGN} ${ALUDEL_KERNEL_FLAGS} -Wno-psabi)
  string(TOUPPER ${name} upper)
  set(ALUDEL_ISA_TARGETS ${ALUDEL_ISA_TARGETS} kernels_${name} PARENT_SCOPE)
  set(ALUDEL_ISA_DEFINITIONS ${ALUDEL_ISA_DEFINITIONS} ALUDEL_HAVE_${upper} PARENT_SCOPE)
endfunction()

# Sets `result` to whether the machine that compiles lacks AVX-512: its kernels are a third of the build. Unknown counts as not lacking.
function(aludel_host_lacks_avx512 result)
  set(${result} OFF PARENT_SCOPE)
  if(EXISTS /proc/cpuinfo)
    file(STRINGS /proc/cpuinfo flags REGEX "^flags" LIMIT_COUNT 1)
    if(flags AND NOT flags MATCHES "avx512bw")
      set(${result} ON PARENT_SCOPE)
    endif()
  endif()
endfunction()

macro(aludel_add_isa_kernels)
  aludel_add_isa(portable 4)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$" AND NOT ALUDEL_ISAS STREQUAL "portable")
    aludel_add_isa(avx2 8 -mavx2 -mfma)
    # GCC before 13 reports the undefined operands inside its own AVX-512 headers (its bug 105593).
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
      set(ALUDEL_AVX512_QUIET -Wno-uninitialized -Wno-maybe-uninitialized)
    endif()
    aludel_host_lacks_avx512(ALUDEL_HOST_LACKS_AVX512)
    if(NOT (ALUDEL_ISAS STREQUAL "host" AND ALUDEL_HOST_LACKS_AVX512))
      aludel_add_isa(avx512 16 -mavx512f -mavx512vl -mavx512dq -mavx512bw -mfma -mprefer-vector-width=512 ${ALUDEL_AVX512_QUIET})
    endif()
    if(ALUDEL_WIDE)
      aludel_add_isa(wide16 16 -mavx2 -mfma)
    endif()
  endif()
endmacro()
