#pragma once

// Which events of a log a reader wants.

#include <cstdint>
#include <optional>
#include <string>

#include "apis/base/clock.h"
#include "daemon/logs/log_event.h"

namespace cloister {

struct LogFilter {
  // Initialisers, so that GCC lets a caller leave members out.
  // NOLINTBEGIN(readability-redundant-member-init)
  std::optional<WallTime> since = {};
  std::uint8_t level =
      0;  // those at or above it; 0: any. What is printed has no level: it is below
  std::string release = {};     // empty: any
  std::string request_id = {};  // empty: any
  // NOLINTEND(readability-redundant-member-init)

  // Whether it lets everything pass.
  bool open() const { return !since && level == 0 && release.empty() && request_id.empty(); }
  bool Matches(const LogEvent& event) const {
    return (!since || event.time >= *since) && event.level >= level &&
           (release.empty() || event.release == release) &&
           (request_id.empty() || event.request_id == request_id);
  }
};

}  // namespace cloister
