#pragma once

// cloister logs: an app's events, the last ones first read, then as they come.

#include <cstdint>
#include <optional>
#include <string>

#include "apis/base/clock.h"
#include "daemon/cli/api.h"
#include "daemon/cli/console.h"

namespace cloister {

struct LogOptions {
  enum class Follow { kNo, kYes };

  // Initialisers, so that GCC lets a caller leave members out.
  // NOLINTBEGIN(readability-redundant-member-init)
  std::string app = {};
  std::optional<std::uint64_t> tail = {};  // of the events that are there already; empty: all
  Follow follow = Follow::kNo;
  std::optional<WallTime> since = {};  // only from this time on
  std::string level = {};              // as of ReadEventLevel: only at or above; empty: any
  std::string release = {};            // only of this version; empty: any
  std::string request_id = {};         // only of this request; empty: any
  // NOLINTEND(readability-redundant-member-init)
};

// With --json: one object {"events", "next", "lost"} as the node sends them; when it follows, an
// event a line instead. Following ends by a signal.
Attempt<void> ShowLogs(AdminApi& api, Console& console, const LogOptions& options);

// The bytes of standard base64; what is not base64 ends them.
std::string DecodeBase64(std::string_view text);

}  // namespace cloister
