// The single place that includes napi.h. C++ exceptions, all of them, become JavaScript errors at the border.
#pragma once
#define NAPI_VERSION 8
#define NODE_ADDON_API_CPP_EXCEPTIONS_ALL
// In a worker that is being terminated nothing can be thrown into JavaScript any more. Without this the wrapper library throws C++
// exceptions out of its C callbacks instead, which ends the process.
#define NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS
#include <napi.h>
