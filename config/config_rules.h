#pragma once

// What a key of an app's config may be called, and what its value may be.
//
// Every key is an environment variable of the app's workers as well: names that would change how a
// worker itself runs are refused.

#include <cstddef>
#include <string_view>

#include "apis/base/result.h"

namespace cloister {

inline constexpr std::size_t kConfigNameMax = 128;

// kInvalidArgument says why `name` cannot be a key.
Result<void> CheckConfigName(std::string_view name);
// The same of a value, without showing it: UTF-8 text without a NUL.
Result<void> CheckConfigValue(std::string_view value);

// What a key takes of the quota config.bytes.
constexpr std::size_t ConfigSizeOf(std::string_view name, std::size_t value_size) {
  return name.size() + value_size;
}

}  // namespace cloister
