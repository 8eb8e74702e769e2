#pragma once

// Points in time as text: RFC 3339, as everything that we show has it.

#include <string>
#include <string_view>

#include "apis/base/clock.h"
#include "apis/base/result.h"

namespace cloister {

// "2026-11-21T10:05:03.123456Z".
std::string TimeText(WallTime time);

// RFC 3339, from 1970 to 9999: "2026-11-21T10:05:03Z", with a fraction (cut at microseconds) or an
// offset as "+01:00". kInvalidArgument says what is wrong, to follow "X ".
Result<WallTime> ParseTime(std::string_view text);

}  // namespace cloister
