#include "config/log_query.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "apis/base/time_text.h"
#include "config/values.h"

namespace cloister {
namespace {

constexpr Millis kSinceMax{std::chrono::hours(3650 * 24)};
constexpr std::size_t kEchoMax = 60;

struct NamedLevel {
  std::string_view name;
  std::uint8_t number = 0;
};

// https://docs.python.org/3.11/library/logging.html#logging-levels
constexpr std::array kNamedLevels = {NamedLevel{"notset", 0},    NamedLevel{"debug", 10},
                                     NamedLevel{"info", 20},     NamedLevel{"warning", 30},
                                     NamedLevel{"warn", 30},     NamedLevel{"error", 40},
                                     NamedLevel{"critical", 50}, NamedLevel{"fatal", 50}};

std::string LowerCase(std::string_view text) {
  std::string lower(text.substr(0, kEchoMax));
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  });
  return lower;
}

}  // namespace

Result<WallTime> ReadSince(std::string_view text, WallTime now) {
  // No duration has a ':', no time lacks one.
  if (text.find(':') != std::string_view::npos)
    return ParseTime(text);
  const Result<Millis> ago = ReadDuration(TomlValue(std::string(text)), Millis(0), kSinceMax);
  if (!ago.ok())
    return Error{ErrorCode::kInvalidArgument,
                 ago.error().message + "; or a time, such as 2026-11-21T10:05:03Z"};
  return now - ago.value();
}

Result<std::uint8_t> ReadEventLevel(std::string_view text) {
  const std::string lower = LowerCase(text);
  const auto* const named = std::ranges::find(kNamedLevels, lower, &NamedLevel::name);
  if (named != kNamedLevels.end())
    return named->number;
  std::uint8_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, bad] = std::from_chars(text.data(), end, number);
  if (text.empty() || bad != std::errc() || stop != end)
    return Error{ErrorCode::kInvalidArgument,
                 "must be debug, info, warning, error, critical or a number from 0 to 255, not '" +
                     lower + "'"};
  return number;
}

}  // namespace cloister
