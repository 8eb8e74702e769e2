#pragma once

// Which log events somebody wants, as people write it: `--since 1h`, `--level warning`.
//
// Shared by the command line and the admin API. kInvalidArgument has a message that is meant to
// follow the name of what was read.

#include <cstdint>
#include <string_view>

#include "apis/base/clock.h"
#include "apis/base/result.h"

namespace cloister {

// A time as in RFC 3339, or how long before `now` ("90s", "1h", "7d"; at most ten years).
Result<WallTime> ReadSince(std::string_view text, WallTime now);

// A level of the standard library's logging: its name ("debug" ... "critical", in any case) or its
// number from 0 to 255.
Result<std::uint8_t> ReadEventLevel(std::string_view text);

}  // namespace cloister
