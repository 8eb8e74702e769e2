#include "daemon/releases/pipeline.h"

#include <algorithm>
#include <utility>

#include "apis/base/check.h"
#include "apis/base/log.h"
#include "daemon/store/config_rows.h"
#include "daemon/store/release_rows.h"

namespace cloister {
namespace {

// Whether a step above `after` has ended when step `begun` has begun: they come one by one.
bool HasEnded(std::uint32_t begun, std::uint32_t after) {
  return begun > after + 1;
}

}  // namespace

Pipeline::Pipeline(const Parts& parts)
    : parts_(parts),
      data_({.clock = parts.clock,
             .state = parts.state,
             .databases = parts.databases,
             .settings = parts.settings}),
      self_(std::make_shared<Pipeline*>(this)) {}

Pipeline::~Pipeline() {
  *self_ = nullptr;
}

cloister::Deploy* Pipeline::FindDeploy(AppId app) {
  const auto found = std::find_if(deploys_.begin(), deploys_.end(), [app](const auto& entry) {
    return entry.second->app().id == app;
  });
  return found == deploys_.end() ? nullptr : found->second.get();
}

std::optional<Problem> Pipeline::CheckDraining(const AppEntry& app) const {
  if (app.draining.size() < parts_.quotas.Of(app.row).limits.draining_max)
    return std::nullopt;
  return Refused(
      ProblemCode::kDrainingFull,
      std::to_string(app.draining.size()) + " former releases of " + app.row.name.ToString() +
          " still finish what they began; `cloister releases` shows with what. Try again "
          "when one has ended");
}

void Pipeline::AnswerWith(ReleaseId release, DeployAnswer answer,
                          std::function<void(Outcome<DeployAnswer>)> done) {
  FindView(release,
           [answer = std::move(answer), done = std::move(done)](Outcome<ReleaseView> view) mutable {
             if (!view.ok())
               return done(std::move(view).error());
             answer.view = std::move(view).value();
             done(std::move(answer));
           });
}

void Pipeline::Deploy(DeployRequest request, std::function<void(Outcome<DeployAnswer>)> done) {
  if (!parts_.catalog.open())
    return done(NotOpen());
  AppEntry* app = parts_.catalog.FindApp(request.app);
  if (app == nullptr)
    return done(NoApp(request.app));
  if (app->activity != AppActivity::kNone)
    return Join(app->row, request, std::move(done));
  // A check takes nobody's place.
  if (request.goal != ReleaseGoal::kCheck)
    if (std::optional<Problem> full = CheckDraining(*app))
      return done(std::move(*full));
  app->activity = AppActivity::kDeploying;
  ++receiving_;
  Receiving& receiving = receives_[app->row.id];
  receiving = {.digest = request.bundle.digest,
               .goal = request.goal,
               .canary_percent = request.canary_percent,
               .done = {}};
  receiving.done.push_back(std::move(done));
  ReceiveRequest receive{.app = app->row,
                         .bundle = std::move(request.bundle),
                         .allow_downgrade = request.allow_downgrade,
                         .goal = request.goal,
                         .canary_percent = request.canary_percent,
                         .rehearsal = request.rehearsal,
                         .quota = parts_.quotas.Of(app->row).limits};
  parts_.state.Write(
      app->row.id.number,
      [receive = std::move(receive),
       change = Change{.who = request.who, .when = parts_.clock.Wall()}](Database& db) {
        return ReceiveRelease(db, receive, change);
      },
      [self = self_, row = app->row, who = request.who](Outcome<ReceivedRelease> received) {
        if (*self != nullptr)
          (*self)->OnReceived(row, who, std::move(received));
      });
}

void Pipeline::Join(const AppRow& app, const DeployRequest& request, DeployDone done) {
  const auto is_same = [&request](const auto& other) {
    return other.digest == request.bundle.digest && other.goal == request.goal &&
           other.canary_percent == request.canary_percent;
  };
  const auto receiving = receives_.find(app.id);
  if (receiving != receives_.end() && is_same(receiving->second))
    return receiving->second.done.push_back(std::move(done));
  const cloister::Deploy* running = FindDeploy(app.id);
  if (running == nullptr || !is_same(running->release()))
    return done(AtWork(request.app));
  AnswerWith(running->release().id, {}, std::move(done));
}

void Pipeline::OnReceived(const AppRow& app, const std::string& who,
                          Outcome<ReceivedRelease> received) {
  --receiving_;
  const Receiving receiving = std::move(receives_.extract(app.id).mapped());
  if (!received.ok() || !received.value().created)
    Settle(app.name);
  if (!received.ok()) {
    for (const DeployDone& done : receiving.done)
      done(Problem(received.error()));
    return;
  }
  bool created = received.value().created;
  // Asked for before the walk begins, so that the answer shows the release as received.
  for (const DeployDone& done : receiving.done)
    AnswerWith(received.value().release.id,
               {.view = {}, .created = std::exchange(created, false), .former = {}}, done);
  if (received.value().created)
    Walk(app, std::move(received.value().release), ConfigOf(app), 1, who);
}

WalkConfig Pipeline::ConfigOf(const AppRow& app) const {
  const AppEntry* entry = parts_.catalog.FindApp(app.name, app.id);
  return {.number = entry == nullptr ? 0 : entry->config};
}

void Pipeline::Walk(const AppRow& app, ReleaseRow release, WalkConfig config,
                    std::uint32_t sequence, std::string who) {
  const ReleaseId id = release.id;
  // The node was told to go meanwhile: the next one begins.
  if (!parts_.catalog.open()) {
    left_.push_back({app.id,
                     {id, IsUnfinished(release.state) ? ResumeMark::Walk::kDeploy
                                                      : ResumeMark::Walk::kTurnToBegin}});
    return Settle(app.name);
  }
  unsaved_.erase(id);
  auto deploy = std::make_unique<cloister::Deploy>(
      cloister::Deploy::Parts{.loop = parts_.loop,
                              .clock = parts_.clock,
                              .state = parts_.state,
                              .images = parts_.images,
                              .configs = parts_.configs,
                              .workers = parts_.workers,
                              .quotas = parts_.quotas,
                              .router = parts_.router,
                              .catalog = parts_.catalog,
                              .data = data_,
                              .observer = *this,
                              .overlay = ++last_overlay_},
      app, std::move(release), config, sequence, std::move(who), parts_.router.HostOf(app.name));
  cloister::Deploy& started = *deploy;
  deploys_[id] = std::move(deploy);
  started.Start();
}

void Pipeline::Turn(const AppName& app, TurnRequest request, const std::string& who,
                    std::function<void(Outcome<DeployAnswer>)> done) {
  if (!parts_.catalog.open())
    return done(NotOpen());
  AppEntry* entry = parts_.catalog.FindApp(app);
  if (entry == nullptr)
    return done(NoApp(app));
  if (entry->activity != AppActivity::kNone)
    return done(AtWork(app));
  if (std::optional<Problem> refused = data_.Refuse(request.data))
    return done(std::move(*refused));
  // A way back is never closed.
  if (request.kind == TurnKind::kPromote)
    if (std::optional<Problem> full = CheckDraining(*entry))
      return done(std::move(*full));
  entry->activity = AppActivity::kDeploying;
  ++receiving_;
  parts_.state.Write(
      entry->row.id.number,
      [row = entry->row, request = std::move(request), quota = parts_.quotas.Of(entry->row).limits,
       change = Change{.who = who, .when = parts_.clock.Wall()}](Database& db) {
        return ChooseTurn(db, row, request, quota, change);
      },
      [self = self_, row = entry->row, who, done = std::move(done)](Outcome<ChosenTurn> chosen) {
        if (*self != nullptr)
          (*self)->OnTurnChosen(row, who, std::move(chosen), done);
      });
}

void Pipeline::OnTurnChosen(const AppRow& app, const std::string& who, Outcome<ChosenTurn> chosen,
                            const DeployDone& done) {
  if (!chosen.ok()) {
    --receiving_;
    Settle(app.name);
    return done(std::move(chosen).error());
  }
  const ReleaseId id = chosen.value().release.id;
  AppEntry* entry = parts_.catalog.FindApp(app.name, app.id);
  DeployAnswer answer;
  if (entry != nullptr && entry->live)
    answer.former = entry->live->version;
  answer.config = chosen.value().config;
  answer.snapshot = chosen.value().snapshot;
  if (chosen.value().need == TurnNeed::kServe)
    return ServeChosen(app, who, std::move(chosen).value().release, std::move(answer), done);
  --receiving_;
  if (chosen.value().need == TurnNeed::kWithdrawCanary && entry != nullptr) {
    entry->canary.reset();
    Publish(*entry);
    Drain(app, {id, entry->config});
  }
  Settle(app.name);
  AnswerWith(id, std::move(answer), done);
}

void Pipeline::ServeChosen(const AppRow& app, const std::string& who, ReleaseRow release,
                           DeployAnswer answer, const DeployDone& done) {
  const ReleaseId id = release.id;
  answer.created = true;
  FindView(id, [self = self_, app, who, answer = std::move(answer), done,
                release = std::move(release)](Outcome<ReleaseView> view) mutable {
    if (*self == nullptr)
      return;
    --(*self)->receiving_;
    if (!view.ok())
      return (*self)->GiveUp(app, answer.config.number, who, view.error(),
                             [done, why = view.error()] { done(Problem(why)); });
    const std::uint32_t sequence = view.value().last_sequence();
    const WalkConfig config{.number = answer.config.number, .snapshot = answer.snapshot};
    answer.view = std::move(view).value();
    answer.view.under_way = true;
    done(std::move(answer));
    (*self)->Walk(app, std::move(release), config, sequence, who);
  });
}

void Pipeline::GiveUp(const AppRow& app, std::uint64_t config, const std::string& who,
                      const Problem& why, std::function<void()> done) {
  if (config == ConfigOf(app).number) {
    Settle(app.name);
    return done();
  }
  ++receiving_;
  const ReportRow report{
      .code = "internal", .message = why.detail, .advice = std::string(AdviceFor("internal"))};
  parts_.state.Write(
      app.id.number,
      [app, config, report, change = Change{.who = who, .when = parts_.clock.Wall()}](
          Database& db) { return FailConfig(db, app, config, report, change); },
      [self = self_, app, config, done = std::move(done)](const Result<void>& failed) {
        if (!failed.ok())
          Log(LogLevel::kError, "config_failure_unsaved",
              {{"app", app.name.ToString()}, {"config", config}, {"why", failed.error().message}});
        if (*self == nullptr)
          return;
        --(*self)->receiving_;
        (*self)->Settle(app.name);
        done();
      });
}

void Pipeline::ChangeConfig(const AppName& app, std::shared_ptr<const ConfigRequest> request,
                            const std::string& who,
                            std::function<void(Outcome<ConfigAnswer>)> done) {
  if (!parts_.catalog.open())
    return done(NotOpen());
  AppEntry* entry = parts_.catalog.FindApp(app);
  if (entry == nullptr)
    return done(NoApp(app));
  if (entry->activity != AppActivity::kNone)
    return done(AtWork(app));
  // A way back is never closed.
  if (!request->back_to)
    if (std::optional<Problem> full = CheckDraining(*entry))
      return done(std::move(*full));
  entry->activity = AppActivity::kDeploying;
  ++receiving_;
  parts_.state.Write(
      entry->row.id.number,
      [row = entry->row, request = std::move(request), quota = parts_.quotas.Of(entry->row).config,
       key = parts_.configs.key(), change = Change{.who = who, .when = parts_.clock.Wall()}](
          Database& db) { return ChooseConfig(db, row, *request, {quota, *key, change}); },
      [self = self_, row = entry->row, who, done = std::move(done)](Outcome<ChosenConfig> chosen) {
        if (*self != nullptr)
          (*self)->OnConfigChosen(row, who, std::move(chosen), done);
      });
}

void Pipeline::OnConfigChosen(const AppRow& app, const std::string& who,
                              Outcome<ChosenConfig> chosen,
                              const std::function<void(Outcome<ConfigAnswer>)>& done) {
  if (!chosen.ok() || !chosen.value().changed || !chosen.value().live) {
    --receiving_;
    AppEntry* entry = parts_.catalog.FindApp(app.name, app.id);
    if (chosen.ok() && entry != nullptr)
      entry->config = chosen.value().number;
    Settle(app.name);
    if (!chosen.ok())
      return done(std::move(chosen).error());
    return done(ConfigAnswer{.number = chosen.value().number,
                             .changed = chosen.value().changed,
                             .walk = std::nullopt,
                             .back = std::move(chosen.value().back)});
  }
  const WalkConfig config{.number = chosen.value().number,
                          .is_change = true,
                          .reload_live = chosen.value().reload_live};
  ReleaseRow release = chosen.value().live.value_or(ReleaseRow());
  const ConfigBack back = std::move(chosen).value().back;
  FindView(release.id, [self = self_, app, who, config, release, back,
                        done](Outcome<ReleaseView> view) mutable {
    if (*self == nullptr)
      return;
    --(*self)->receiving_;
    if (!view.ok())
      return (*self)->GiveUp(app, config.number, who, view.error(),
                             [done, why = view.error()] { done(Problem(why)); });
    const std::uint32_t sequence = view.value().last_sequence();
    view.value().under_way = true;
    done(ConfigAnswer{
        .number = config.number, .changed = true, .walk = std::move(view).value(), .back = back});
    (*self)->Walk(app, std::move(release), config, sequence, who);
  });
}

void Pipeline::Resume(const AppRow& app, ReleaseRow release, WalkConfig config) {
  parts_.catalog.SetActivity(app.name, AppActivity::kDeploying);
  ++receiving_;
  resumed_.insert(release.id);
  FindView(release.id, [self = self_, app, release, config](Outcome<ReleaseView> view) mutable {
    if (*self == nullptr)
      return;
    --(*self)->receiving_;
    (*self)->resumed_.erase(release.id);
    if (!view.ok())
      return (*self)->Settle(app.name);
    // Who asked for a rollback is in nobody's row.
    std::string who = IsUnfinished(release.state) ? release.created_by : "node";
    (*self)->Walk(app, std::move(release), config, view.value().last_sequence(), std::move(who));
  });
}

void Pipeline::OnDeployStep(ReleaseId release, std::uint32_t sequence) {
  WakeWaits(release, sequence);
}

void Pipeline::Publish(const AppEntry& app) {
  const LimitSettings limits = parts_.quotas.Of(app.row).limits;
  RoutingSnapshot snapshot{.app_id = app.row.id,
                           .app = app.row.name,
                           .config = app.config,
                           .requests_rate = limits.requests_rate,
                           .body_max = limits.body_max};
  if (app.live) {
    snapshot.live = app.live->id;
    snapshot.version = app.live->version;
    snapshot.live_statics = app.live->statics;
  }
  if (app.canary) {
    snapshot.canary = app.canary->id;
    snapshot.canary_version = app.canary->version;
    snapshot.canary_percent = app.canary->percent;
    snapshot.canary_statics = app.canary->statics;
  }
  parts_.router.Publish(std::make_shared<const RoutingSnapshot>(std::move(snapshot)));
}

void Pipeline::TakePlace(const AppRow& app, const DeployEnd& end) {
  AppEntry* entry = parts_.catalog.FindApp(app.name, app.id);
  if (entry == nullptr)
    return;
  const ReleaseRow& release = end.release;
  const std::uint64_t former = std::exchange(entry->config, end.config.number);
  entry->row.data = end.data;
  if (release.state == ReleaseState::kLive) {
    entry->live =
        LiveRelease{.id = release.id, .version = release.version, .statics = StaticsOf(release)};
    entry->canary.reset();
  } else {
    entry->canary = CanaryRelease{.id = release.id,
                                  .version = release.version,
                                  .percent = release.canary_percent,
                                  .statics = StaticsOf(release)};
  }
  Publish(*entry);
  for (const ReleaseId displaced : end.displaced)
    Drain(app, {displaced, former});
}

void Pipeline::TakeConfig(const AppRow& app, const DeployEnd& end) {
  AppEntry* entry = parts_.catalog.FindApp(app.name, app.id);
  if (entry == nullptr || !entry->live)
    return;
  const std::uint64_t former = std::exchange(entry->config, end.config.number);
  const RunId live{.release = entry->live->id, .config = former};
  if (end.config.reload_live)
    parts_.workers.Reconfigure(live, end.values, WorkerSupervisor::Delivery::kLive);
  if (entry->canary)
    parts_.workers.Reconfigure({entry->canary->id, former}, end.values,
                               WorkerSupervisor::Delivery::kReplace);
  Publish(*entry);
  if (!end.config.reload_live)
    Drain(app, live);
}

void Pipeline::OnDeployEnd(const DeployEnd& end) {
  const auto deploy = std::move(deploys_.extract(end.release.id).mapped());
  const AppRow& app = deploy->app();
  if (end.values != nullptr)
    TakeConfig(app, end);
  else if (!end.config.is_change &&
           (end.release.state == ReleaseState::kLive || end.release.state == ReleaseState::kCanary))
    TakePlace(app, end);
  if (end.unsaved && !end.config.is_change)
    unsaved_[end.release.id] = *end.unsaved;
  Settle(app.name);
  if (end.release.state == ReleaseState::kKept && on_kept_)
    on_kept_(app.name);
  WakeWaits(end.release.id, std::nullopt);
}

void Pipeline::Drain(const AppRow& app, RunId run) {
  if (AppEntry* entry = parts_.catalog.FindApp(app.name, app.id); entry != nullptr)
    ++entry->draining[run];
  parts_.workers.Retire(run, [self = self_, app, run] {
    if (*self != nullptr)
      (*self)->OnDrained(app, run);
  });
}

void Pipeline::OnDrained(const AppRow& app, RunId run) {
  const ReleaseId release = run.release;
  if (AppEntry* entry = parts_.catalog.FindApp(app.name, app.id); entry != nullptr) {
    const auto draining = entry->draining.find(run);
    if (draining != entry->draining.end() && --draining->second > 0)
      return;
    entry->draining.erase(run);
    // With another config it may drain or serve still.
    const bool drains = std::ranges::any_of(
        entry->draining, [release](const auto& other) { return other.first.release == release; });
    if (drains || (entry->live && entry->live->id == release) ||
        (entry->canary && entry->canary->id == release))
      return;
  }
  parts_.images.Forget(release);
  parts_.state.Write(
      release.number,
      [release, now = parts_.clock.Wall()](Database& db) {
        return FinishDraining(db, release, now);
      },
      [self = self_, app, release](const Result<void>& finished) {
        if (!finished.ok())
          Log(LogLevel::kWarning, "draining_unsaved",
              {{"release", release.number}, {"why", finished.error().message}});
        else if (*self != nullptr && (*self)->on_kept_)
          (*self)->on_kept_(app.name);
      });
}

void Pipeline::Settle(const AppName& app) {
  parts_.catalog.SetActivity(app, AppActivity::kNone);
  if (on_settled_)
    on_settled_(app);
  if (when_received_ && receiving_ == 0)
    std::exchange(when_received_, nullptr)();
}

void Pipeline::Pause(std::function<void()> done) {
  when_received_ = [this, done = std::move(done)]() mutable { LeaveAll(std::move(done)); };
  if (receiving_ == 0)
    std::exchange(when_received_, nullptr)();
}

void Pipeline::LeaveAll(std::function<void()> done) {
  for (const auto& [id, deploy] : deploys_) {
    const ReleaseRow& release = deploy->release();
    // Nobody is to find data gone back that was never seen to go: it is asked for again.
    if (deploy->config().snapshot)
      continue;
    left_.push_back(
        {deploy->app().id,
         {id, IsUnfinished(release.state) ? ResumeMark::Walk::kDeploy : ResumeMark::Walk::kTurn}});
    Log(LogLevel::kInfo, "deploy_paused",
        {{"release", deploy->app().name.ToString() + "@" + release.version},
         {"state", ReleaseStateName(release.state)}});
  }
  deploys_.clear();
  for (auto& [id, waiting] : waits_)
    waiting.timer->Restart(Millis(0));
  const auto open = std::make_shared<std::size_t>(left_.size() + 1);
  const auto end_one = [open, done = std::move(done)] {
    if (--*open == 0)
      done();
  };
  for (const Left& left : std::exchange(left_, {})) {
    resumed_.insert(left.mark.release);
    // With the app's key: behind whatever the walk has still to write.
    parts_.state.Write(
        left.app.number,
        [mark = left.mark, now = parts_.clock.Wall()](Database& db) {
          return MarkForResume(db, mark, now);
        },
        [end_one](const Result<void>& marked) {
          if (!marked.ok())
            Log(LogLevel::kError, "deploy_not_marked", {{"why", marked.error().message}});
          end_one();
        });
  }
  parts_.loop.Post(end_one);
}

void Pipeline::Complete(ReleaseView& view) const {
  view.under_way = IsUnfinished(view.release.state) || deploys_.contains(view.release.id) ||
                   resumed_.contains(view.release.id);
  const auto found = unsaved_.find(view.release.id);
  if (found == unsaved_.end())
    return;
  if (IsUnfinished(view.release.state))
    view.release.state = ReleaseState::kRejected;
  view.under_way = false;
  view.report = found->second;
}

void Pipeline::FindView(ReleaseId release, std::function<void(Outcome<ReleaseView>)> done) {
  parts_.state.Read(
      release.number, [release](Database& db) { return ReadView(db, release); },
      [self = self_, done = std::move(done)](Outcome<ReleaseView> view) {
        if (*self != nullptr && view.ok())
          (*self)->Complete(view.value());
        done(std::move(view));
      });
}

void Pipeline::Find(const AppName& app, ReleaseId release,
                    std::function<void(Outcome<ReleaseView>)> done) {
  const AppEntry* entry = parts_.catalog.FindApp(app);
  if (entry == nullptr)
    return done(NoApp(app));
  FindView(release,
           [id = entry->row.id, release, done = std::move(done)](Outcome<ReleaseView> view) {
             // Another app's release is none of this app's.
             if (view.ok() && view.value().release.app != id)
               return done(Refused(ProblemCode::kReleaseNotFound,
                                   "no release with the id " + std::to_string(release.number)));
             done(std::move(view));
           });
}

void Pipeline::List(const AppName& app, std::uint32_t limit,
                    std::function<void(Outcome<std::vector<ReleaseView>>)> done) {
  const AppEntry* entry = parts_.catalog.FindApp(app);
  if (entry == nullptr)
    return done(NoApp(app));
  parts_.state.Read(
      entry->row.id.number,
      [id = entry->row.id, limit](Database& db) { return ReadViews(db, id, limit); },
      [self = self_, done = std::move(done)](Outcome<std::vector<ReleaseView>> views) {
        if (*self != nullptr && views.ok())
          for (ReleaseView& view : views.value())
            (*self)->Complete(view);
        done(std::move(views));
      });
}

Pipeline::WaitId Pipeline::WaitForStep(ReleaseId release, std::uint32_t after, Millis wait,
                                       std::function<void()> done) {
  const WaitId id = ++last_wait_;
  Wait& waiting = waits_[id];
  waiting.release = release;
  waiting.after = after;
  waiting.done = std::move(done);
  waiting.timer = std::make_unique<Timer>(parts_.loop);
  const auto deploy = deploys_.find(release);
  const bool now = deploy == deploys_.end() || HasEnded(deploy->second->sequence(), after);
  waiting.timer->Start(now ? Millis(0) : std::min(wait, kStepWaitMax), [this, id] {
    const auto ready = std::move(waits_.extract(id).mapped());
    ready.done();
  });
  return id;
}

void Pipeline::WakeWaits(ReleaseId release, std::optional<std::uint32_t> begun) {
  for (auto& [id, waiting] : waits_)
    if (waiting.release == release && (!begun || HasEnded(*begun, waiting.after)))
      waiting.timer->Restart(Millis(0));
}

}  // namespace cloister
