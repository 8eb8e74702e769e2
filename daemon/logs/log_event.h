#pragma once

// One event of an app's log, and where the parts that produce events send them.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "apis/base/clock.h"
#include "apis/base/names.h"
#include "apis/wire/channel.h"

namespace cloister {

// The most bytes of an event; what is beyond is cut off, and the event says so.
inline constexpr std::size_t kLogEventMax = std::size_t{256} * 1024;

// The most bytes that are kept of each of an event's names.
inline constexpr std::size_t kLogNameMax = 1024;
// The most bytes of a logger's name; a longer one is cut there, without a mark.
inline constexpr std::size_t kLoggerMax = 200;

class Redactor;
using Redactors = std::vector<std::shared_ptr<const Redactor>>;

struct LogEvent {
  std::uint64_t sequence = 0;  // per app, from 1 without gaps; given by the LogStore
  WallTime time;
  AppId app;
  std::string release;     // version
  WorkerId worker;         // none: the node itself speaks (source kRuntime)
  std::string request_id;  // empty outside of a request
  LogSource source = LogSource::kStdout;
  std::uint8_t level = 0;  // of stdlib logging; 0: none
  bool by_node = false;    // the node's own word, which has a rate of its own; not kept on disk
  bool cut = false;        // the event was longer than kLogEventMax
  std::uint64_t lost = 0;  // events that were lost right before this one; given by the LogStore
  bool check = false;      // of a worker on the overlay: a deploy compiles, boots or checks
  std::string app_name;    // TENANT/NAME, for those who follow live; not kept on disk
  std::string logger;
  std::string fields;     // as of apis/wire/event_fields.h, which has checked them
  std::string bytes;      // any bytes, not necessarily a line, not necessarily UTF-8
  bool redacted = false;  // secrets were replaced by their names
  // The secrets that it must not show. Whoever keeps or passes on an event redacts it first
  // (daemon/logs/redactor.h): only then, so that what is dropped for its rate costs nothing.
  std::shared_ptr<const Redactors> secrets = {};
  // For whoever redacts: what the worker said before on the same stream where this goes on with it,
  // and whether the next event goes on with this.
  std::string before = {};
  bool goes_on = false;
};

// What is known of an event before it is made.
struct LogOutline {
  AppId app;
  bool by_node = false;
  std::size_t bytes = 0;  // at least so many
  std::size_t names = 0;  // of its logger and fields
};

class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void Append(LogEvent event) = 0;
  // True: such an event would be lost now; it is counted as that, and need not be made.
  virtual bool Decline(const LogOutline& /*outline*/) { return false; }
};

}  // namespace cloister
