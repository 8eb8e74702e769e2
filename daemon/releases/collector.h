#pragma once

// Lets go of former releases by the operator's policy ([releases] in the settings), and keeps those
// that are pinned.
//
// All apps at each sweep, and an app as soon as a release of it becomes kept. One app at a time, in
// transactions that end soon, with pauses between them: a deploy does not notice. An app that is
// being deployed is left for the next time, since it may be on its way back to a kept release. Runs
// on the loop thread.

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apis/base/clock.h"
#include "config/settings.h"
#include "daemon/loop/timer.h"
#include "daemon/releases/catalog.h"
#include "daemon/releases/problem.h"
#include "daemon/store/retention.h"
#include "daemon/store/state.h"

namespace cloister {

class Collector {
 public:
  struct Parts {
    Loop& loop;
    const Clock& clock;
    State& state;
    Catalog& catalog;
  };

  Collector(const Parts& parts, const ReleaseSettings& settings);
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;
  ~Collector();

  // All apps; nothing when there still are some to do.
  void Sweep();
  void Collect(const AppName& app);
  // What is being written still is; nothing follows it.
  void Stop();

  // kAppNotFound, kReleaseNotFound, kUnavailable. Every attempt at the version that is there.
  void SetPin(const AppName& app, const std::string& version, Pin pin, std::string who,
              std::function<void(Outcome<Done>)> done);
  // What went of the app, newest first. kAppNotFound.
  void ListGone(const AppName& app, std::uint32_t limit,
                std::function<void(Outcome<std::vector<CollectedRow>>)> done);

 private:
  void Next();
  void Run(const AppRow& app);
  void OnCollected(const AppName& app, const Result<std::uint64_t>& collected);
  KeepPolicy Policy() const;

  Parts parts_;
  ReleaseSettings settings_;
  std::deque<AppName> waiting_;
  bool busy_ = false;  // a transaction or the pause after it
  Timer pause_;
  std::shared_ptr<Collector*> self_;  // null inside once this is gone
};

}  // namespace cloister
