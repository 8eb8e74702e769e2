#pragma once

// What one app may log, and how much of it is kept.

#include "apis/base/units.h"

namespace cloister {

struct LoggingQuota {
  Bytes kept_bytes = MiB(64);
  Millis kept_age{std::chrono::hours(7 * 24)};
  Bytes rate = KiB(64);  // per second
  Bytes burst = MiB(1);
  Bytes event_max = KiB(256);
};

}  // namespace cloister
