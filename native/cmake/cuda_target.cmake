# The CUDA backend as static library `cuda`, with its own copy of the CUDA runtime: the addon then loads where there is no toolkit, and the
# driver's library is looked for at the first call.
find_package(CUDAToolkit REQUIRED)
if(NOT DEFINED CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake before 3.26 does not know that nvcc has C++20
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
endif()
add_library(cuda STATIC ${ALUDEL_CUDA_SOURCES})
set_target_properties(cuda PROPERTIES CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON CUDA_RUNTIME_LIBRARY Static)
target_include_directories(cuda PUBLIC ${CMAKE_SOURCE_DIR})
target_link_libraries(cuda PUBLIC core CUDA::cudart_static ${CMAKE_DL_LIBS})
# The registers and spills of every kernel go to the build log; scripts/check-spills.mjs reads them.
target_compile_options(cuda PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-Xptxas=-v -Wno-deprecated-gpu-targets --expt-relaxed-constexpr
  -Xcompiler=-fvisibility=hidden>)

# Built by name: cmake --build build --target linalg_bench. Not part of the npm package.
if(EXISTS ${CMAKE_SOURCE_DIR}/bench/kernels/linalg_bench.cc)
  add_executable(linalg_bench EXCLUDE_FROM_ALL bench/kernels/linalg_bench.cc)
  target_link_libraries(linalg_bench PRIVATE cuda)
endif()
