#pragma once

// Whether the live release of an app boots within a lower quota: one worker of it does, on an
// overlay, and is ended again.
//
// So that no quota is taken that shows as too low only when the app's next worker is wanted. What
// the release does not do within its present quota either says nothing against a lower one. It
// touches nothing that serves: its worker is in a cgroup of its own. Runs on the loop thread;
// destroying it ends the trial.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "config/quota.h"
#include "daemon/releases/images.h"
#include "daemon/releases/problem.h"
#include "daemon/store/rows.h"
#include "daemon/store/state.h"
#include "daemon/workers/supervisor.h"

namespace cloister {

// Of one app.
struct TrialOrder {
  AppRow app;
  std::uint64_t config = 0;  // that its live release runs with; 0: it has none
  Quota present;
  Quota wanted;
};

class TrialBoot {
 public:
  struct Parts {
    State& state;
    Images& images;
    ConfigSource& configs;
    WorkerSupervisor& workers;
  };
  // None: nothing speaks against it. Else kQuotaTooLow.
  using Done = std::function<void(std::optional<Problem>)>;

  // Whether a worker gets less of anything that its boot could lack.
  static bool IsLower(const Quota& wanted, const Quota& present);

  // `serial`: no other trial of this process has it.
  TrialBoot(const Parts& parts, TrialOrder order, std::uint64_t serial, Done done);
  TrialBoot(const TrialBoot&) = delete;
  TrialBoot& operator=(const TrialBoot&) = delete;
  ~TrialBoot();

  // `done` is never called from within this call; it may destroy this.
  void Start();

 private:
  // The live release within both quotas.
  struct Candidates {
    std::optional<ReleaseRow> present;  // none: nothing is live
    ReleaseRow wanted;
  };
  enum class Within { kWanted, kPresent };

  template <typename Value>
  std::function<void(Value)> Then(void (TrialBoot::*next)(Value)) {
    return [self = self_, next](Value value) {
      if (*self != nullptr)
        ((*self)->*next)(std::move(value));
    };
  }

  static Outcome<Candidates> Find(Database& db, const TrialOrder& order);
  void OnFound(Outcome<Candidates> found);
  void OnImage(Result<std::shared_ptr<const UniqueFd>> image);
  void OnValues(Result<std::shared_ptr<const RunConfig>> values);
  void Boot(Within within);
  void OnBooted(BootOutcome outcome);
  void End(std::optional<Problem> problem);
  // Ends the worker under trial, if there is one.
  void Leave();
  // Of that worker: what counts for limits.memory.
  Bytes MemoryOfTrial() const;
  Problem TooLow(Bytes needed) const;

  Parts parts_;
  TrialOrder order_;
  std::uint64_t serial_;
  Done done_;
  Candidates candidates_;
  std::shared_ptr<const UniqueFd> image_;
  std::shared_ptr<const RunConfig> values_;
  Within within_ = Within::kWanted;
  std::optional<RunId> run_;          // has workers
  BootFailure failure_;               // within the wanted quota
  std::shared_ptr<TrialBoot*> self_;  // null inside once this is gone
};

}  // namespace cloister
