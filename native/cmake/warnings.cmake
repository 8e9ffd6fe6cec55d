# Warnings for everything written here; never for foreign headers.
function(aludel_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wno-missing-field-initializers)
endfunction()
