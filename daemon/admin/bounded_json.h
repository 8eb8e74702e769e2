#pragma once

// JSON from outside, with bounds on its depth and on the number of its values.
//
// Reading stops at the first thing over a bound, so neither memory nor time grows with what a body
// holds beyond it. Numbers that no 64-bit integer or double holds, text that is not UTF-8 and
// anything behind the value are refused.

#include <cstddef>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "apis/base/result.h"

namespace cloister {

struct JsonBounds {
  std::size_t depth = 8;
  std::size_t values = 1000;  // objects, lists and all that is in them; names do not count
};

// kInvalidArgument: not JSON, with the place. kQuotaExceeded: over a bound.
Result<nlohmann::json> ParseBoundedJson(std::string_view text, const JsonBounds& bounds);

}  // namespace cloister
