#pragma once

// Dates as HTTP writes them (RFC 9110, 5.6.7): "Sun, 06 Nov 1994 08:49:37 GMT".

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cloister {

// Seconds since 1970; those before it and after the year 9999 are written as the nearest that is
// not.
std::string HttpDate(std::int64_t seconds);

// The same back, also from the two older forms. The name of the day is not looked at. Empty when
// `text` is no date.
std::optional<std::int64_t> ParseHttpDate(std::string_view text);

}  // namespace cloister
