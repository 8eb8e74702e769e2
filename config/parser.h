#pragma once

// The operator's file (TOML) to Settings.
//
// Strict: an unknown or repeated key, a wrong type, a missing unit and a value out of range are
// errors "FILE:LINE: ..." with the nearest key where a name is wrong, one line for each problem.
// Runs in cloisterd before anything is opened, and in cloister-node on what cloisterd rendered.

#include <cstddef>
#include <string>
#include <string_view>

#include "apis/base/result.h"
#include "config/settings.h"

namespace cloister {

// The largest settings file that is read.
inline constexpr std::size_t kSettingsFileMax = std::size_t{256} * 1024;

// `file_name` is for messages. Includes ValidateSettings. kInvalidArgument for all that is wrong.
Result<Settings> ParseSettings(std::string_view text, std::string_view file_name);

// kNotFound, kPermissionDenied or kSystem when `path` cannot be read.
Result<Settings> LoadSettings(const std::string& path);

}  // namespace cloister
