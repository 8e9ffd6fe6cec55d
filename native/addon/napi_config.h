// The single place that includes napi.h. C++ exceptions, all of them, become JavaScript errors at the border.
#pragma once
#define NAPI_VERSION 8
#define NODE_ADDON_API_CPP_EXCEPTIONS_ALL
#include <napi.h>
