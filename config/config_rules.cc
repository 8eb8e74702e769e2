#include "config/config_rules.h"

#include <algorithm>
#include <array>
#include <string>

#include "apis/base/unicode.h"

namespace cloister {
namespace {

bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool IsInner(char c) {
  return IsLetter(c) || (c >= '0' && c <= '9');
}

// What Python, the C library and Cloister itself read from the environment.
constexpr auto kReserved =
    std::to_array<std::string_view>({"HOME", "LANG", "LANGUAGE", "PATH", "TZ"});
constexpr auto kReservedBegins =
    std::to_array<std::string_view>({"CLOISTER_", "LC_", "LD_", "PYTHON"});

bool IsReserved(std::string_view name) {
  return std::ranges::find(kReserved, name) != kReserved.end() ||
         std::ranges::any_of(kReservedBegins,
                             [name](std::string_view begin) { return name.starts_with(begin); });
}

Error Wrong(std::string why) {
  return Error{ErrorCode::kInvalidArgument, std::move(why)};
}

}  // namespace

Result<void> CheckConfigName(std::string_view name) {
  if (name.empty() || name.size() > kConfigNameMax || !IsLetter(name.front()) ||
      !std::ranges::all_of(name, IsInner))
    return Wrong("'" + std::string(name.substr(0, kConfigNameMax)) +
                 "' cannot be a key: it starts with a letter or '_', continues with letters, "
                 "digits and '_', and has at most 128 characters");
  if (IsReserved(name))
    return Wrong("'" + std::string(name) +
                 "' cannot be a key: a worker reads it from its own environment (PATH, HOME, TZ, "
                 "LANG, LANGUAGE, and what begins with PYTHON, LD_, LC_ or CLOISTER_)");
  return {};
}

Result<void> CheckConfigValue(std::string_view value) {
  if (value.find('\0') != std::string_view::npos)
    return Wrong("the value has a NUL in it, which no environment variable can");
  if (!IsUtf8(value))
    return Wrong("the value is not UTF-8 text; encode bytes, as base64 does");
  return {};
}

}  // namespace cloister
