#pragma once

// The script of a release, [entry] release of its manifest: what brings the app's data to the form
// that the release needs, called once in one of its workers.
//
// It is the runtime's function "release" there (sandbox/platform/_cloister_runtime/functions.py):
// 200 when the script returned, 422 when it failed, with FILE LF LINE LF MESSAGE LF TRACEBACK. What
// it prints is in the app's log. Owned by who deploys; runs on the loop thread.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "apis/base/clock.h"
#include "daemon/loop/loop.h"
#include "daemon/store/rows.h"
#include "daemon/workers/node_exchange.h"
#include "daemon/workers/supervisor.h"

namespace cloister {

inline constexpr Millis kReleaseScriptMax{600000};

class ReleaseScript {
 public:
  struct Parts {
    Loop& loop;
    const Clock& clock;
    WorkerSupervisor& workers;
  };

  // `run` has booted. `done` comes once, at the end of a turn, with why the script failed (without
  // advice); it may destroy this.
  ReleaseScript(const Parts& parts, RunId run, const std::string& entry,
                std::function<void(std::optional<ReportRow>)> done);
  ReleaseScript(const ReleaseScript&) = delete;
  ReleaseScript& operator=(const ReleaseScript&) = delete;
  // Cancels: no call comes after, and a worker that is at the script is ended.
  ~ReleaseScript() = default;

  Micros time() const { return clock_.Now() - began_; }

 private:
  void OnAnswer();

  const Clock& clock_;
  std::function<void(std::optional<ReportRow>)> done_;
  MonotonicTime began_;
  NodeExchange exchange_;
};

// What a worker said of a script that failed: hostile bytes. Lines that are not there are empty.
ReportRow ParseScriptFailure(std::string_view text);

}  // namespace cloister
