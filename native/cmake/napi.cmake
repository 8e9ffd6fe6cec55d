# The Node addon: build/Release/aludel.node. Headers come from npm packages, so nothing is downloaded and any Node that speaks
# Node-API 8 loads the file.
function(aludel_npm_include variable package expression)
  execute_process(COMMAND node -p "require('${package}').${expression}" WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
    OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "npm package ${package} is missing: run `npm ci` first")
  endif()
  string(REPLACE "\"" "" found "${found}")
  set(${variable} ${found} PARENT_SCOPE)
endfunction()

aludel_npm_include(ALUDEL_NODE_API_HEADERS node-api-headers include_dir)
aludel_npm_include(ALUDEL_NODE_ADDON_API node-addon-api include)

file(GLOB ALUDEL_ADDON_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/native/addon/*.cc)
add_library(addon MODULE ${ALUDEL_ADDON_SOURCES})
set_target_properties(addon PROPERTIES PREFIX "" OUTPUT_NAME aludel SUFFIX ".node" LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/Release
  UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)  # napi.h takes longer to read than everything here takes to compile
target_include_directories(addon SYSTEM PRIVATE ${ALUDEL_NODE_API_HEADERS} ${ALUDEL_NODE_ADDON_API})
target_link_libraries(addon PRIVATE cpu cuda)
aludel_warnings(addon)
if(APPLE)
  target_link_options(addon PRIVATE -undefined dynamic_lookup)
else()
  # The C++ runtime travels inside, so that the file loads on machines without this compiler's library; sections nobody names are dropped.
  target_link_options(addon PRIVATE -static-libstdc++ -static-libgcc -Wl,--gc-sections -Wl,--exclude-libs,ALL)
endif()
