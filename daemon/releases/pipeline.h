#pragma once

// Deploys, rollbacks and promotions: one at a time for each app, any number of apps at once.
//
// A second deploy of an app under way is refused (kDeployInProgress) unless it is the same bundle:
// then it is answered with the release that is under way, so that a client may repeat what it did
// not hear the answer of. When a release serves the app's routing snapshot is replaced and what
// gave way is retired; nothing else here touches traffic. Runs on the loop thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "apis/base/clock.h"
#include "config/settings.h"
#include "daemon/loop/timer.h"
#include "daemon/releases/bundle.h"
#include "daemon/releases/catalog.h"
#include "daemon/releases/config_change.h"
#include "daemon/releases/configs.h"
#include "daemon/releases/deploy.h"
#include "daemon/releases/images.h"
#include "daemon/releases/problem.h"
#include "daemon/releases/quotas.h"
#include "daemon/releases/receive.h"
#include "daemon/releases/release_view.h"
#include "daemon/releases/turn.h"
#include "daemon/router/router.h"
#include "daemon/store/state.h"
#include "daemon/workers/supervisor.h"

namespace cloister {

struct DeployAnswer {
  ReleaseView view;
  bool created = false;  // false: this release is live or under way already
  // Of a rollback or a promotion: the version that was live then; empty: none.
  std::string former;
  // Of these: the config with which it goes live.
  ReleaseConfig config = {};
  // The snapshot that its data comes from; none: the data stays.
  std::optional<std::uint64_t> snapshot = {};
};

// What becomes of a change of an app's config.
struct ConfigAnswer {
  std::uint64_t number = 0;
  bool changed = false;             // false: it is in force already
  std::optional<ReleaseView> walk;  // of the live release, to be followed; none: it is in force
  ConfigBack back = {};
};

struct DeployRequest {
  AppName app;
  Bundle bundle;
  bool allow_downgrade = false;
  ReleaseGoal goal = ReleaseGoal::kLive;
  std::uint32_t canary_percent = 0;
  Rehearsal rehearsal = Rehearsal::kYes;
  std::string who;
};

inline constexpr Millis kStepWaitMax{60000};

class Pipeline : private DeployObserver {
 public:
  struct Parts {
    Loop& loop;
    const Clock& clock;
    State& state;
    Images& images;
    WorkerSupervisor& workers;
    Router& router;
    Catalog& catalog;
    const Quotas& quotas;
    Configs& configs;
    DatabaseSource* databases = nullptr;  // null: no app has one
    ReleaseSettings settings = {};
  };
  using WaitId = std::uint64_t;

  explicit Pipeline(const Parts& parts);
  ~Pipeline() override;
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  // Answers when the release is received, or refused; the other steps follow.
  void Deploy(DeployRequest request, std::function<void(Outcome<DeployAnswer>)> done);

  // Why no app's data can go back with a release, if that is so.
  std::optional<Problem> RefuseData() const { return data_.Refuse(TurnedData::kGoesBack); }
  // Another release of the app is to serve (daemon/releases/turn.h says which, and what is
  // refused). Answers when that is decided; the walk follows.
  void Turn(const AppName& app, TurnRequest request, const std::string& who,
            std::function<void(Outcome<DeployAnswer>)> done);
  // Another config (daemon/releases/config_change.h says what is refused). Answers when that is
  // decided; the walk of the live release follows.
  void ChangeConfig(const AppName& app, std::shared_ptr<const ConfigRequest> request,
                    const std::string& who, std::function<void(Outcome<ConfigAnswer>)> done);
  // Goes on with a walk that a former node of this state abandoned.
  void Resume(const AppRow& app, ReleaseRow release, WalkConfig config);

  // kAppNotFound, kReleaseNotFound.
  void Find(const AppName& app, ReleaseId release, std::function<void(Outcome<ReleaseView>)> done);
  // Newest first.
  void List(const AppName& app, std::uint32_t limit,
            std::function<void(Outcome<std::vector<ReleaseView>>)> done);

  // `done` when a step above `after` has ended, when the release is settled, or after `wait`, which
  // is cut to kStepWaitMax. Never called from within this call.
  WaitId WaitForStep(ReleaseId release, std::uint32_t after, Millis wait,
                     std::function<void()> done);
  void CancelWait(WaitId id) { waits_.erase(id); }

  // Abandons every walk, marked so that the next node resumes it, and calls `done`. New ones must
  // be refused by then (Catalog::open).
  void Pause(std::function<void()> done);

  // `kept` is called when a release of the app has become kept.
  void OnKept(std::function<void(const AppName&)> kept) { on_kept_ = std::move(kept); }

  // `settled` is called when nothing is being done to the app any more.
  void OnSettled(std::function<void(const AppName&)> settled) { on_settled_ = std::move(settled); }

  // Routes the app as its entry of the catalog says; the pools exist.
  void Publish(const AppEntry& app);

 private:
  struct Wait {
    ReleaseId release;
    std::uint32_t after = 0;
    std::unique_ptr<Timer> timer;
    std::function<void()> done;
  };

  using DeployDone = std::function<void(Outcome<DeployAnswer>)>;
  // A deploy that is being written, and who has asked for this very one.
  struct Receiving {
    Sha256 digest;
    ReleaseGoal goal = ReleaseGoal::kLive;
    std::uint32_t canary_percent = 0;
    std::vector<DeployDone> done;
  };
  // A walk that is left to the next node.
  struct Left {
    AppId app;
    ResumeMark mark;
  };

  // The app is at work: the same deploy again is answered with its release, others are refused.
  void Join(const AppRow& app, const DeployRequest& request, DeployDone done);
  void OnReceived(const AppRow& app, const std::string& who, Outcome<ReceivedRelease> received);
  void OnTurnChosen(const AppRow& app, const std::string& who, Outcome<ChosenTurn> chosen,
                    const DeployDone& done);
  void ServeChosen(const AppRow& app, const std::string& who, ReleaseRow release,
                   DeployAnswer answer, const DeployDone& done);
  void OnConfigChosen(const AppRow& app, const std::string& who, Outcome<ChosenConfig> chosen,
                      const std::function<void(Outcome<ConfigAnswer>)>& done);
  // The walk that was chosen cannot begin. Version `config`, unless it is in force, has failed with
  // it, so that nothing takes it along later.
  void GiveUp(const AppRow& app, std::uint64_t config, const std::string& who, const Problem& why,
              std::function<void()> done);
  // With the config in force.
  WalkConfig ConfigOf(const AppRow& app) const;
  void Walk(const AppRow& app, ReleaseRow release, WalkConfig config, std::uint32_t sequence,
            std::string who);
  // Gives up every walk, and what begins none any more.
  void LeaveAll(std::function<void()> done);
  void OnDeployStep(ReleaseId release, std::uint32_t sequence) override;
  void OnDeployEnd(const DeployEnd& end) override;
  // The catalog and the routes after `release` began to serve.
  void TakePlace(const AppRow& app, const DeployEnd& end);
  // The same after a change of the config.
  void TakeConfig(const AppRow& app, const DeployEnd& end);
  void Drain(const AppRow& app, RunId run);
  void OnDrained(const AppRow& app, RunId run);
  // kDrainingFull when too many former releases of the app still run.
  std::optional<Problem> CheckDraining(const AppEntry& app) const;
  void AnswerWith(ReleaseId release, DeployAnswer answer,
                  std::function<void(Outcome<DeployAnswer>)> done);
  void Settle(const AppName& app);
  cloister::Deploy* FindDeploy(AppId app);
  void FindView(ReleaseId release, std::function<void(Outcome<ReleaseView>)> done);
  // What memory knows beyond the rows.
  void Complete(ReleaseView& view) const;
  void WakeWaits(ReleaseId release, std::optional<std::uint32_t> begun);

  Parts parts_;
  DataSteps data_;
  std::unordered_map<ReleaseId, std::unique_ptr<cloister::Deploy>> deploys_;
  std::size_t receiving_ = 0;
  std::unordered_map<AppId, Receiving> receives_;
  std::vector<Left> left_;                 // were refused a beginning
  std::unordered_set<ReleaseId> resumed_;  // walks that the next node goes on with, or this one yet
  // Rejected, but the database could not take it (a full disk).
  std::unordered_map<ReleaseId, ReportRow> unsaved_;
  std::unordered_map<WaitId, Wait> waits_;
  WaitId last_wait_ = 0;
  OverlayId last_overlay_ = 0;
  std::function<void()> when_received_;  // Pause() waits for the releases being received
  std::function<void(const AppName&)> on_kept_;
  std::function<void(const AppName&)> on_settled_;
  std::shared_ptr<Pipeline*> self_;  // null inside once this is gone
};

}  // namespace cloister
