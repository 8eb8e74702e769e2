#pragma once

// The media type of a file by the end of its name.

#include <string_view>

namespace cloister {

// Text comes with charset=utf-8; what is not known is application/octet-stream. Upper and lower
// case are the same.
std::string_view MediaTypeOf(std::string_view path);

}  // namespace cloister
