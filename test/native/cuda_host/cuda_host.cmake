# Libraries of .cu sources compiled by g++ for the emulated CUDA runtime. Include this file, then
#   aludel_cuda_host_library(target a.cu b.cc ... VARIANT plain|asan|race)
# makes a static library of them and the runtime; what links it needs nothing else. `asan`: AddressSanitizer and
# UndefinedBehaviorSanitizer. `race`: kernels report every access to the race detector, which takes the place of libtsan.
# The .cu files become C++ for the whole directory: not in one where nvcc compiles them as well.
set(ALUDEL_CUDA_HOST_DIR ${CMAKE_CURRENT_LIST_DIR})
get_filename_component(ALUDEL_CUDA_HOST_ROOT ${ALUDEL_CUDA_HOST_DIR}/../../.. ABSOLUTE)
find_package(Threads REQUIRED)

# fmaf inline: many kernels are made of it, and a call of the mathematics library costs several times as much.
set(ALUDEL_CUDA_HOST_PROCESSOR "")
if(EXISTS /proc/cpuinfo)
  file(STRINGS /proc/cpuinfo avx2 REGEX "flags.* fma .* avx2 " LIMIT_COUNT 1)
  if(avx2)
    set(ALUDEL_CUDA_HOST_PROCESSOR -mavx2 -mfma)
  endif()
endif()

set(ALUDEL_CUDA_HOST_asan -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
set(ALUDEL_CUDA_HOST_race -fsanitize=thread)

# The runtime, once per kind: the race detector's must not be instrumented itself, so `race` shares that of `plain`.
function(aludel_cuda_host_runtime variant)
  set(target cuda_host_runtime_${variant})
  if(TARGET ${target})
    return()
  endif()
  list(TRANSFORM ALUDEL_CUDA_HOST_SOURCES PREPEND ${ALUDEL_CUDA_HOST_DIR}/ OUTPUT_VARIABLE sources)
  add_library(${target} STATIC ${sources})
  target_include_directories(${target} PUBLIC ${ALUDEL_CUDA_HOST_DIR}/include ${ALUDEL_CUDA_HOST_ROOT})
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_compile_options(${target} PRIVATE -O3 -g1 -Wall -Wextra -Wshadow -Wno-missing-field-initializers)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden CXX_EXTENSIONS OFF)
  target_link_libraries(${target} PUBLIC Threads::Threads ${CMAKE_DL_LIBS})
  if(variant STREQUAL "asan")
    target_compile_options(${target} PRIVATE -fsanitize=address -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=address,undefined)
  endif()
endfunction()

set(ALUDEL_CUDA_HOST_SOURCES
  capture.cc collectives.cc control.cc copies.cc devices.cc events.cc faults.cc fibers.cc graphs.cc launch.cc memory.cc mma.cc
  race_detector.cc report.cc scheduler.cc shared_loads.cc streams.cc)

function(aludel_cuda_host_library target)
  cmake_parse_arguments(ARG "" "VARIANT" "" ${ARGN})
  if(NOT ARG_VARIANT MATCHES "^(plain|asan|race)$")
    message(FATAL_ERROR "aludel_cuda_host_library: expected VARIANT plain, asan or race but received '${ARG_VARIANT}'")
  endif()
  if(ARG_VARIANT STREQUAL "asan")
    set(runtime asan)
  else()
    set(runtime plain)
  endif()
  aludel_cuda_host_runtime(${runtime})
  add_library(${target} STATIC ${ARG_UNPARSED_ARGUMENTS})
  foreach(source ${ARG_UNPARSED_ARGUMENTS})
    if(source MATCHES "\\.cu$")
      set_source_files_properties(${source} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-xc++")
    endif()
  endforeach()
  # Contraction off: kernels say fmaf where they mean it, and their bits must not depend on the processor.
  target_compile_options(${target} PRIVATE
    -O2 -g1 -ffp-contract=off -Wall -Wextra -Wshadow -Wno-missing-field-initializers -Wno-unknown-pragmas
    ${ALUDEL_CUDA_HOST_PROCESSOR} ${ALUDEL_CUDA_HOST_${ARG_VARIANT}})
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden CXX_EXTENSIONS OFF)
  target_compile_definitions(${target} PUBLIC ALUDEL_CUDA_HOST_VARIANT="${ARG_VARIANT}")
  target_link_libraries(${target} PUBLIC cuda_host_runtime_${runtime})
endfunction()
