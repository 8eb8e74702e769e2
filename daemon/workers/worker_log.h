#pragma once

// The voice of one worker in its app's log: what it says itself, and what the node says of it in
// words that help the tenant.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "apis/base/clock.h"
#include "apis/base/names.h"
#include "apis/base/result.h"
#include "apis/wire/frame.h"
#include "daemon/logs/log_event.h"
#include "daemon/workers/supervisor.h"

namespace cloister {

// Levels of the standard library's logging.
inline constexpr std::uint8_t kLogInfo = 20;
inline constexpr std::uint8_t kLogWarning = 30;
inline constexpr std::uint8_t kLogError = 40;

class WorkerLog {
 public:
  WorkerLog(LogSink& sink, const Clock& clock, const ReleaseSpec& spec)
      : sink_(sink),
        clock_(clock),
        app_(spec.app_id),
        app_name_(spec.app.ToString()),
        version_(spec.version),
        check_(spec.writes == Writes::kOverlay) {}

  void SetWorker(WorkerId worker) { worker_ = worker; }

  // What it says must not show these secrets (null: none), nor those that were added before. False:
  // that are too many for a worker to go on with.
  bool AddSecrets(std::shared_ptr<const Redactor> redactor);
  // The same for a text that is kept elsewhere.
  void Redact(std::string& text) const;

  // A kLog frame; kProtocol when it is malformed, its fields included.
  Result<void> TakeLog(const Frame& frame, std::string_view request_id);
  // A kRefused frame: which call the walls refused, and how often. kProtocol also for a name that
  // no call has.
  Result<void> TakeRefused(const Frame& frame);
  // Whether the event of the last kLog frame goes on: then only another one may follow.
  bool in_event() const { return unfinished_.has_value() || declining_; }

  // The node itself speaks (source kRuntime).
  void Say(std::uint8_t level, std::string text, std::string_view request_id = {});

 private:
  LogEvent NewEvent(std::string_view request_id) const;
  // A worker's streams, of which a line may stand in several events.
  static bool IsStream(LogSource source) {
    return source == LogSource::kStdout || source == LogSource::kStderr;
  }
  // What the stream has said last.
  std::string& SaidOn(LogSource source) { return said_.at(static_cast<std::size_t>(source)); }
  void Remember(LogSource source, std::string_view piece);

  LogSink& sink_;
  const Clock& clock_;
  AppId app_;
  std::string app_name_;
  std::string version_;
  bool check_ = false;
  WorkerId worker_;
  std::shared_ptr<const Redactors> secrets_;  // null: none
  std::optional<LogEvent> unfinished_;
  bool declining_ = false;           // what goes on is lost already
  std::array<std::string, 2> said_;  // ends of unfinished lines; kept only while there are secrets
};

// A report that a worker sent, as our own: the code only if it looks like one.
BootFailure OwnedFailure(const BootReport& report);

// What became of a process.
struct ProcessEnd {
  enum class How {
    kExited,     // by itself; `number` is the status
    kSignalled,  // `number` is the signal
    kUnknown,    // the keeper did not say in time
    kNotMade,    // there never was one, or it refused the hand-over: `error`
  };
  How how = How::kUnknown;
  int number = 0;
  std::string error;
};

// Of a status as waitpid gives it.
ProcessEnd EndOf(std::uint32_t wait_status);

// Why the process ended and what to do about it, as the end of a sentence about "the worker".
std::string DescribeEnd(const ProcessEnd& end, const WorkerLimits& limits);
// Workers of a release that ended one after another.
struct CrashRow {
  std::string_view app;  // TENANT/APP
  std::uint32_t times = 0;
  Millis next{0};           // so long until another one is tried
  bool of_node = false;     // none could be started at all
  bool some_serve = false;  // those that were there before
};

// In the app's log: what its next requests get, and the way out.
std::string DescribeCrashes(const CrashRow& row);
// Of a worker that ended while it booted and sent no report.
BootFailure BootFailureOf(const ProcessEnd& end, const WorkerLimits& limits);

}  // namespace cloister
