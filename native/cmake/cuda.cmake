# Defines target `cuda`: the backend for GPUs, the same sources on the host's emulation of one (tests), or the stub that says what is missing.
file(GLOB ALUDEL_CUDA_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/native/cuda/*.cc ${CMAKE_SOURCE_DIR}/native/cuda/*.cu
     ${CMAKE_SOURCE_DIR}/native/cuda/kernels/*.cu ${CMAKE_SOURCE_DIR}/native/cuda/linalg/*.cu)

set(ALUDEL_HAVE_CUDA OFF)
if(ALUDEL_CUDA STREQUAL "ON" OR ALUDEL_CUDA STREQUAL "AUTO")
  # nvcc is offered through the environment, never by CMAKE_CUDA_COMPILER: presetting that switches check_language off, and a broken
  # toolkit would then end the whole configuration.
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90)
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    set(ALUDEL_HAVE_CUDA ON)
  endif()
endif()
if(ALUDEL_CUDA STREQUAL "ON" AND NOT ALUDEL_HAVE_CUDA)
  message(FATAL_ERROR "ALUDEL_CUDA=ON: no working nvcc found; set CUDACXX to its path, or use ALUDEL_CUDA=AUTO")
endif()

if(ALUDEL_HAVE_CUDA)
  include(${CMAKE_SOURCE_DIR}/native/cmake/cuda_target.cmake)
elseif(ALUDEL_CUDA STREQUAL "EMULATED")
  include(${CMAKE_SOURCE_DIR}/test/native/cuda_host/cuda_host.cmake)
  aludel_cuda_host_library(cuda ${ALUDEL_CUDA_SOURCES} VARIANT ${ALUDEL_CUDA_VARIANT})
  target_link_libraries(cuda PUBLIC core)
else()
  add_library(cuda STATIC native/no_cuda/no_cuda_backend.cc)
  target_include_directories(cuda PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(cuda PUBLIC core)
  aludel_warnings(cuda)
endif()
