// readRows({ path, rowBytes, rowsInFile, rows }): positional reads on a thread of Node's pool.
#pragma once
#include "native/addon/napi_config.h"

namespace aludel::addon {

Napi::Value read_rows(const Napi::CallbackInfo& info);

}  // namespace aludel::addon
