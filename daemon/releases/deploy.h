#pragma once

// The state machine of one walk of a release, from where it stands to where it is wanted.
//
//   received -> verified: every content is hashed again, the manifest is read
//   verified -> compiled: modules without bytecode, in a confined worker
//   compiled -> booted:   a worker imports the entry point, on the overlay
//   booted   -> checked:  the script of the release, then the manifest's checks, on the overlay
//   checked  -> live:     workers are booted anew, the database has its snapshot taken, one of
//                         them runs the script, then one transaction
//                         decides; or -> canary; or, when only a check was wanted, -> kept
//   kept, draining, canary -> live: the same last step, for a rollback or a promotion. The script
//                         runs for what is newer than the live release only, and once for a canary
//
// A change of the app's config walks with the live release from booted on, with the new values,
// beside those workers that serve with the former ones; the release stays live all the time.
//
// Each step is a row, named by the state that it leads to, written when it begins and when it ends.
// Any of them may begin anew: a walk that was abandoned (a node that is replaced) is taken up from
// the last state that was reached. Nothing before the last step touches the live release; whatever
// fails before it rejects this one, unless it had served before: then it stays what it was. Owned
// by the Pipeline, which destroys it after OnDeployEnd. Runs on the loop thread.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/clock.h"
#include "config/manifest.h"
#include "daemon/releases/catalog.h"
#include "daemon/releases/checks.h"
#include "daemon/releases/configs.h"
#include "daemon/releases/data_steps.h"
#include "daemon/releases/images.h"
#include "daemon/releases/modules.h"
#include "daemon/releases/quotas.h"
#include "daemon/releases/release_script.h"
#include "daemon/releases/verify_release.h"
#include "daemon/router/router.h"
#include "daemon/store/release_rows.h"
#include "daemon/store/state.h"
#include "daemon/workers/node_exchange.h"
#include "daemon/workers/supervisor.h"

namespace cloister {

// With which config a walk goes, and with which data.
struct WalkConfig {
  std::uint64_t number = 0;  // 0: the app has none
  // The walk is for the config alone: the release is live, before and after.
  bool is_change = false;
  bool reload_live = false;  // of a change: workers that run get it, none are booted anew
  // Of a release that served: its data comes back from this snapshot. None: the data stays.
  std::optional<std::uint64_t> snapshot = {};
};

// How a walk ended.
struct DeployEnd {
  ReleaseRow release;   // live, canary, kept or rejected; or as it was, when it had served before
  Displaced displaced;  // that gave way to it
  // Failed, but the database could not say so (its disk is full); the next start does.
  std::optional<ReportRow> unsaved;
  WalkConfig config;
  std::uint64_t data = 0;  // the app's database, when the release serves
  // Of a change of the config that is in force now: its values; else null.
  std::shared_ptr<const RunConfig> values;
};

class DeployObserver {
 public:
  virtual ~DeployObserver() = default;
  // A step began; its sequence number.
  virtual void OnDeployStep(ReleaseId release, std::uint32_t sequence) = 0;
  // Nothing of this deploy runs any more, and it touches nothing of itself after: it may be
  // destroyed.
  virtual void OnDeployEnd(const DeployEnd& end) = 0;
};

class Deploy {
 public:
  struct Parts {
    Loop& loop;
    const Clock& clock;
    State& state;
    Images& images;
    ConfigSource& configs;
    WorkerSupervisor& workers;
    const Quotas& quotas;
    Router& router;
    Catalog& catalog;
    DataSteps& data;
    DeployObserver& observer;
    OverlayId overlay = 0;  // of this walk
  };

  // `sequence`: of the newest step that there is. `who` stands in the audit. `host`: where the app
  // answers.
  Deploy(const Parts& parts, AppRow app, ReleaseRow release, WalkConfig config,
         std::uint32_t sequence, std::string who, std::string host);
  Deploy(const Deploy&) = delete;
  Deploy& operator=(const Deploy&) = delete;
  // A walk under way is abandoned: its workers end, its rows stay as they are.
  ~Deploy();

  void Start() { Step(); }

  const AppRow& app() const { return app_; }
  const ReleaseRow& release() const { return release_; }
  const WalkConfig& config() const { return config_; }
  // Of the newest step.
  std::uint32_t sequence() const { return sequence_; }

 private:
  using Action = void (Deploy::*)();
  // The workers of this release that the supervisor has for us.
  enum class Booted { kNone, kOverlay, kServing };

  // A callback that does nothing once this is gone.
  template <typename Value>
  std::function<void(Value)> Then(void (Deploy::*next)(Value)) {
    return [self = self_, next](Value value) {
      if (*self != nullptr)
        ((*self)->*next)(std::move(value));
    };
  }

  // The state that the walk has reached: the release's, or as if it were a new one.
  ReleaseState At() const { return config_.is_change ? change_at_ : release_.state; }
  // The step of the present state.
  void Step();
  void StepToServe();
  void Begin(ReleaseState next, Action action);
  void OnBegun(Result<void> begun);
  void Finish(std::string detail);
  void OnFinished(Result<void> finished);

  void Verify();
  void OnVerified(Result<VerifiedRelease> verified);
  void FailForDamage(const Error& error);
  void OnDropped(Result<std::uint64_t> dropped);
  void Compile();
  void OnSources(Result<Sources> sources);
  void OnCompiled(CompileOutcome outcome);
  void OnCodeStored(Result<void> stored);
  void Boot();
  void OnImage(Result<std::shared_ptr<const UniqueFd>> image);
  // Goes on with `next` when the values of the config are there.
  void LoadValues(Action next);
  void OnValues(Result<std::shared_ptr<const RunConfig>> values);
  void BootOverlay();
  void OnBooted(BootOutcome outcome);
  void AskModules();
  void OnModules();
  void Check();
  // Runs the script of the release, where there is one and it is wanted; then `next`.
  void RunScript(Action next);
  bool WantsScript() const;
  // Whether it is newer than the live release, or there is none.
  bool IsAhead() const;
  void OnManifest(Result<Manifest> manifest);
  // Of the app's database, when the script is to run for good.
  void TakeSnapshot();
  void OnSnapshot(Result<std::string> snapshot);
  void StartScript();
  void OnScript(std::optional<ReportRow> failure);
  void OnMeasured(Result<Bytes> size);
  void StartChecks();
  void OnChecked(CheckOutcome outcome);
  void Keep();
  void OnKept(Result<void> kept);
  void Serve();
  void OnData(Result<std::uint64_t> data);
  void OnServingImage(Result<std::shared_ptr<const UniqueFd>> image);
  void BootServing();
  // How many workers serve the app now: as many are booted before a release takes its place.
  std::uint32_t CountServing() const;
  void OnServing(BootOutcome outcome);
  void Promote();
  void PutInForce();
  void OnInForce(Result<void> in_force);
  void OnPromoted(Result<Displaced> displaced);

  void Fail(ReportRow report);
  void FailFor(const Error& error, std::string_view code = "");
  void FailFor(const BootFailure& failure);
  void OnFailed(Result<void> failed);
  void End(Displaced displaced, std::optional<ReportRow> unsaved);

  // Ends the workers that were booted on the overlay.
  void LeaveOverlay();
  // Whether it served before this walk began, so that it is not rejected when the walk fails.
  bool HasServed() const { return !IsUnfinished(release_.state); }
  ReleaseSpec Spec(Writes writes) const;
  RunId Run() const { return {.release = release_.id, .config = config_.number}; }
  // Of the app's secrets, which its report must not show.
  void Redact(ReportRow& report) const;
  std::string StepName(ReleaseState next) const;
  // The present time; between the begin and the end of a step the clock does not jump.
  WallTime StepTime() const;
  Change ChangeNow() const { return {.who = who_, .when = StepTime()}; }
  std::string Subject() const { return app_.name.ToString() + "@" + release_.version; }

  Parts parts_;
  AppRow app_;
  ReleaseRow release_;
  WalkConfig config_;
  ReleaseState change_at_ = ReleaseState::kCompiled;
  std::uint32_t sequence_;
  std::string who_;
  std::string host_;
  Action action_ = nullptr;
  ReleaseState next_ = ReleaseState::kVerified;  // that the present step leads to
  WallTime step_wall_;
  MonotonicTime step_began_;
  std::vector<BytecodeName> modules_;
  std::shared_ptr<const UniqueFd> image_;    // until it is booted
  std::shared_ptr<const RunConfig> values_;  // null: not loaded, or there are none
  Action after_values_ = nullptr;
  Booted booted_ = Booted::kNone;
  bool checks_wait_ = false;  // for a boot: this walk was taken up after it
  Error damage_;
  Micros boot_{0};
  std::unique_ptr<NodeExchange> modules_call_;
  std::string loaded_;  // for the end of the step
  Manifest manifest_;
  std::unique_ptr<ReleaseScript> script_;
  Action after_script_ = nullptr;
  std::string script_said_;  // for the detail of the step
  std::unique_ptr<CheckRun> checks_;
  ReportRow report_;
  std::shared_ptr<Deploy*> self_;  // null inside once this is gone
};

}  // namespace cloister
