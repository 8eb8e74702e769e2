#pragma once

// The checks of a release that has booted: the manifest's [[check]] requests, one after the other,
// to its own workers. Without any the one check is GET /, which must not be a server error.
//
// A check reaches the app, or one of its static files, as a client's request would, but is no
// client's: no access log has it, and redirects are not followed. The first that fails ends the
// run, with a report that shows what was asked and answered. Owned by who deploys; runs on the loop
// thread.

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/clock.h"
#include "config/manifest_check.h"
#include "daemon/loop/loop.h"
#include "daemon/router/router.h"
#include "daemon/store/rows.h"
#include "daemon/workers/node_exchange.h"
#include "daemon/workers/supervisor.h"

namespace cloister {

// How the checks of a release ended.
struct CheckOutcome {
  std::string summary;               // "3 checks, slowest GET /x 12.3 ms"
  std::optional<ReportRow> failure;  // without advice; empty: all passed
};

// The code of a report about an exchange that the node had to answer, for `problem`.
std::string_view ReportCodeOf(std::string_view problem, std::string_view otherwise);

class CheckRun : private TurnTask {
 public:
  struct Parts {
    Loop& loop;
    const Clock& clock;
    WorkerSupervisor& workers;
    Router& router;
    // Of the release, as they will be routed; null: none.
    std::shared_ptr<const StaticRoutes> statics = {};
  };

  // Of the response to one check so much is read; more fails it.
  static constexpr std::size_t kBodyMax = std::size_t{1024} * 1024;

  // `spec` has booted; `host` is what the app is called by when it is live: APP.TENANT.BASE.
  CheckRun(const Parts& parts, ReleaseSpec spec, std::vector<ManifestCheck> checks,
           std::string host);
  CheckRun(const CheckRun&) = delete;
  CheckRun& operator=(const CheckRun&) = delete;
  // Cancels: no call comes after, and a worker that is at a check is ended.
  ~CheckRun() override;

  // `done` comes once, at the end of a turn; it may destroy this.
  void Start(std::function<void(CheckOutcome)> done);

 private:
  void Ask();
  void OnAnswer();
  // What is wrong with the answer as far as the node may look; true: nothing.
  bool IsAsExpected();
  void AskPattern();
  void OnPatternAnswer();
  void Pass();
  // "GET /health: why"
  void Fail(std::string_view code, std::string_view why);
  void FailFor(const NodeAnswer& answer);
  void End(CheckOutcome outcome);
  void OnTurnEnd() override;

  const ManifestCheck& check() const { return checks_[next_]; }
  std::string Subject() const { return check().method + " " + check().path; }
  Millis TimeMax() const;
  std::string Transcript() const;
  // What came from the app, for the report. Its secrets are looked for before it is cut.
  std::string Answered(std::string_view bytes) const;

  Parts parts_;
  ReleaseSpec spec_;
  std::vector<ManifestCheck> checks_;
  std::string host_;
  std::function<void(CheckOutcome)> done_;
  std::size_t next_ = 0;
  std::string head_;  // of the request
  MonotonicTime asked_at_;
  std::unique_ptr<NodeExchange> exchange_;
  std::unique_ptr<NodeExchange> pattern_exchange_;
  std::string slowest_;
  Micros slowest_time_{-1};
  CheckOutcome outcome_;
};

}  // namespace cloister
