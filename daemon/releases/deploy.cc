#include "daemon/releases/deploy.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <system_error>
#include <utility>

#include "apis/base/check.h"
#include "apis/base/log.h"
#include "config/manifest.h"
#include "config/versions.h"
#include "daemon/logs/redactor.h"
#include "daemon/releases/catalog.h"
#include "daemon/releases/config_change.h"
#include "daemon/releases/deploy_text.h"
#include "daemon/releases/problem.h"
#include "daemon/releases/receive.h"
#include "daemon/store/bytecode.h"
#include "daemon/store/config_rows.h"
#include "daemon/store/contents.h"

namespace cloister {
namespace {

// The codes of `outcome` that were asked for, under the names of `modules`.
std::vector<Bytecode> Match(std::vector<BytecodeName> modules, std::vector<CompiledCode> codes) {
  std::map<std::string, std::string> by_path;
  for (CompiledCode& code : codes)
    by_path.insert_or_assign(std::move(code.path), std::move(code.code));
  std::vector<Bytecode> matched;
  for (BytecodeName& name : modules) {
    const auto found = by_path.find(name.path);
    if (found != by_path.end())
      matched.push_back({.name = std::move(name), .code = std::move(found->second)});
  }
  return matched;
}

}  // namespace

Deploy::Deploy(const Parts& parts, AppRow app, ReleaseRow release, WalkConfig config,
               std::uint32_t sequence, std::string who, std::string host)
    : parts_(parts),
      app_(std::move(app)),
      release_(std::move(release)),
      config_(config),
      sequence_(sequence),
      who_(std::move(who)),
      host_(std::move(host)),
      self_(std::make_shared<Deploy*>(this)) {}

Deploy::~Deploy() {
  *self_ = nullptr;
  modules_call_.reset();
  script_.reset();
  checks_.reset();
  LeaveOverlay();
  // A canary's own workers serve.
  if (booted_ == Booted::kServing && release_.state != ReleaseState::kCanary)
    parts_.workers.Retire(Run(), [] {});
}

ReleaseSpec Deploy::Spec(Writes writes) const {
  ReleaseSpec spec = SpecOf(app_, release_, parts_.quotas.Of(app_), config_.number);
  spec.writes = writes;
  spec.values = values_;
  // One worker is checked; the app's minimum is for those who serve.
  if (writes == Writes::kOverlay) {
    spec.overlay = parts_.overlay;
    spec.workers_min = 0;
  }
  return spec;
}

WallTime Deploy::StepTime() const {
  return step_wall_ +
         std::chrono::duration_cast<WallTime::duration>(parts_.clock.Now() - step_began_);
}

// --- Steps

void Deploy::Step() {
  switch (At()) {
    case ReleaseState::kReceived:
      return Begin(ReleaseState::kVerified, &Deploy::Verify);
    case ReleaseState::kVerified:
      return Begin(ReleaseState::kCompiled, &Deploy::Compile);
    case ReleaseState::kCompiled:
      return Begin(ReleaseState::kBooted, &Deploy::Boot);
    case ReleaseState::kBooted:
      return Begin(ReleaseState::kChecked, &Deploy::Check);
    case ReleaseState::kChecked:
      LeaveOverlay();
      return StepToServe();
    case ReleaseState::kCanary:
    case ReleaseState::kDraining:
    case ReleaseState::kKept:
      return Begin(ReleaseState::kLive, &Deploy::Serve);
    case ReleaseState::kLive:
    case ReleaseState::kRejected:
      CHECK(!"a walk ends when the release is live or rejected");
  }
}

void Deploy::StepToServe() {
  if (config_.is_change)
    return Begin(ReleaseState::kLive, config_.reload_live ? &Deploy::PutInForce : &Deploy::Serve);
  switch (release_.goal) {
    case ReleaseGoal::kLive:
      return Begin(ReleaseState::kLive, &Deploy::Serve);
    case ReleaseGoal::kCanary:
      return Begin(ReleaseState::kCanary, &Deploy::Serve);
    case ReleaseGoal::kCheck:
      return Keep();
  }
}

std::string Deploy::StepName(ReleaseState next) const {
  return std::string(config_.is_change ? kConfigStepBegin : "") +
         std::string(ReleaseStateName(next));
}

void Deploy::Begin(ReleaseState next, Action action) {
  action_ = action;
  next_ = next;
  step_wall_ = parts_.clock.Wall();
  step_began_ = parts_.clock.Now();
  parts_.state.Write(
      app_.id.number,
      [id = release_.id, name = StepName(next), now = step_wall_](Database& db) {
        return StartStep(db, id, name, now);
      },
      Then(&Deploy::OnBegun));
}

void Deploy::OnBegun(Result<void> begun) {
  if (!begun.ok())
    return FailFor(begun.error());
  ++sequence_;
  parts_.observer.OnDeployStep(release_.id, sequence_);
  (this->*action_)();
}

void Deploy::Finish(std::string detail) {
  if (config_.is_change)
    return parts_.state.Write(
        app_.id.number,
        [id = release_.id, detail = std::move(detail), now = StepTime()](Database& db) {
          return FinishConfigStep(db, id, detail, now);
        },
        Then(&Deploy::OnFinished));
  parts_.state.Write(
      app_.id.number,
      [id = release_.id, next = next_,
       end = StepEnd{.detail = std::move(detail), .modules = std::exchange(loaded_, {})},
       now = StepTime()](Database& db) { return FinishStep(db, id, next, end, now); },
      Then(&Deploy::OnFinished));
}

void Deploy::OnFinished(Result<void> finished) {
  if (!finished.ok())
    return FailFor(finished.error());
  (config_.is_change ? change_at_ : release_.state) = next_;
  Step();
}

void Deploy::Verify() {
  parts_.state.Bulk(
      app_.id.number,
      [id = release_.id, config = config_.number](Database& db) {
        return VerifyRelease(db, id, config);
      },
      Then(&Deploy::OnVerified));
}

void Deploy::OnVerified(Result<VerifiedRelease> verified) {
  if (!verified.ok())
    return FailForDamage(verified.error());
  if (std::optional<ReportRow>& fault = verified.value().manifest_fault)
    return Fail(std::move(*fault));
  if (const auto& missing = verified.value().missing_keys; !missing.empty())
    return Fail({.code = "config_missing",
                 .message = MissingKeysText(app_.name, missing),
                 .file = std::string(kManifestPath)});
  const ContentsSummary& contents = verified.value().contents;
  Finish(fmt::format("{} files, {} bytes", contents.files, contents.bytes));
}

// So that the next deploy sends anew what is damaged here.
void Deploy::FailForDamage(const Error& error) {
  damage_ = error;
  parts_.state.Write(
      app_.id.number,
      [app = app_, id = release_.id, change = ChangeNow()](Database& db) {
        return DropDamaged(db, app, id, change);
      },
      Then(&Deploy::OnDropped));
}

void Deploy::OnDropped(Result<std::uint64_t> dropped) {
  if (dropped.ok())
    Log(LogLevel::kError, "contents_dropped",
        {{"release", Subject()}, {"damaged", dropped.value()}, {"why", damage_.message}});
  FailFor(damage_, "integrity_error");
}

void Deploy::Compile() {
  parts_.images.LoadSources(release_.id, Then(&Deploy::OnSources));
}

void Deploy::OnSources(Result<Sources> sources) {
  if (!sources.ok())
    return FailFor(sources.error(), "integrity_error");
  modules_ = std::move(sources.value().modules);
  if (modules_.empty())
    return Finish("nothing new to compile");
  parts_.workers.Compile(Spec(Writes::kOverlay), std::move(sources.value().image),
                         Then(&Deploy::OnCompiled));
}

void Deploy::OnCompiled(CompileOutcome outcome) {
  if (outcome.failure != nullptr)
    return FailFor(*outcome.failure);
  parts_.state.Write(
      app_.id.number,
      [app = app_.id, magic = parts_.images.magic(),
       codes = Match(modules_, std::move(outcome.code))](Database& db) {
        return StoreBytecode(db, app, codes, magic);
      },
      Then(&Deploy::OnCodeStored));
}

void Deploy::OnCodeStored(Result<void> stored) {
  if (!stored.ok())
    return FailFor(stored.error());
  Finish(fmt::format("{} modules", modules_.size()));
}

void Deploy::Boot() {
  parts_.images.LoadImage(release_.id, Then(&Deploy::OnImage));
}

void Deploy::OnImage(Result<std::shared_ptr<const UniqueFd>> image) {
  if (!image.ok())
    return FailFor(image.error(), "integrity_error");
  image_ = std::move(image).value();
  LoadValues(&Deploy::BootOverlay);
}

void Deploy::LoadValues(Action next) {
  if (config_.number == 0 || values_ != nullptr)
    return (this->*next)();
  after_values_ = next;
  parts_.configs.LoadConfig(app_.id, config_.number, Then(&Deploy::OnValues));
}

void Deploy::OnValues(Result<std::shared_ptr<const RunConfig>> values) {
  if (!values.ok())
    return FailFor(values.error(), "config_unreadable");
  values_ = std::move(values).value();
  (this->*after_values_)();
}

void Deploy::BootOverlay() {
  booted_ = Booted::kOverlay;
  parts_.workers.Boot(Spec(Writes::kOverlay), std::move(image_), 1, Then(&Deploy::OnBooted));
}

void Deploy::OnBooted(BootOutcome outcome) {
  if (outcome.failure != nullptr)
    return FailFor(*outcome.failure);
  if (std::exchange(checks_wait_, false))
    return Check();
  boot_ = outcome.boot;
  if (config_.is_change)
    return Finish("ready after " + Milliseconds(boot_));
  AskModules();
}

void Deploy::AskModules() {
  modules_call_ = std::make_unique<NodeExchange>(
      NodeExchange::Parts{.loop = parts_.loop, .clock = parts_.clock},
      NodeTerms{.for_runtime = true, .ends_worker = true, .wall_max = kModulesWait},
      kModulesTextMax, [this] { OnModules(); });
  modules_call_->SetCall("modules", {}, "");
  parts_.workers.Dispatch(Run(), *modules_call_);
}

// What it says is a fact about this release for its own tenant: without it the deploy goes on.
void Deploy::OnModules() {
  const auto call = std::move(modules_call_);
  const NodeAnswer& answer = call->answer();
  const bool whole = answer.how == NodeAnswer::How::kWhole && answer.problem.empty();
  std::string text = whole ? answer.body : std::string();
  // A module may be called anything.
  if (values_ != nullptr && values_->redactor != nullptr)
    values_->redactor->Redact(text);
  const Result<std::vector<LoadedModule>> modules = ParseModules(text);
  std::string detail = "ready after " + Milliseconds(boot_);
  if (modules.ok() && !modules.value().empty()) {
    loaded_ = std::move(text);
    detail += fmt::format(", {} modules", modules.value().size());
  } else {
    Log(LogLevel::kWarning, "modules_unknown",
        {{"release", Subject()},
         {"why", modules.ok() ? "no answer: " + answer.problem : modules.error().message}});
  }
  Finish(std::move(detail));
}

void Deploy::Check() {
  if (booted_ != Booted::kOverlay) {
    checks_wait_ = true;
    return Boot();
  }
  RunScript(&Deploy::StartChecks);
}

void Deploy::StartChecks() {
  checks_ = std::make_unique<CheckRun>(CheckRun::Parts{.loop = parts_.loop,
                                                       .clock = parts_.clock,
                                                       .workers = parts_.workers,
                                                       .router = parts_.router,
                                                       .statics = StaticsOf(release_)},
                                       Spec(Writes::kOverlay), std::move(manifest_.checks), host_);
  checks_->Start(Then(&Deploy::OnChecked));
}

void Deploy::OnChecked(CheckOutcome outcome) {
  checks_.reset();
  if (outcome.failure)
    return Fail(std::move(*outcome.failure));
  Finish(std::exchange(script_said_, {}) + outcome.summary);
}

void Deploy::LeaveOverlay() {
  if (booted_ != Booted::kOverlay)
    return;
  booted_ = Booted::kNone;
  parts_.workers.Retire(Run(), [] {});
}

void Deploy::Keep() {
  step_wall_ = parts_.clock.Wall();
  step_began_ = parts_.clock.Now();
  parts_.state.Write(
      app_.id.number,
      [id = release_.id, subject = Subject(), change = ChangeNow()](Database& db) {
        return KeepChecked(db, id, subject, change);
      },
      Then(&Deploy::OnKept));
}

void Deploy::OnKept(Result<void> kept) {
  if (!kept.ok())
    return FailFor(kept.error());
  release_.state = ReleaseState::kKept;
  parts_.images.Forget(release_.id);
  End({}, std::nullopt);
}

void Deploy::Serve() {
  if (config_.snapshot)
    return parts_.data.CopySnapshot(app_, *config_.snapshot, Then(&Deploy::OnData));
  parts_.images.LoadImage(release_.id, Then(&Deploy::OnServingImage));
}

void Deploy::OnData(Result<std::uint64_t> data) {
  if (!data.ok())
    return FailFor(data.error(), "snapshot_failed");
  app_.data = data.value();
  parts_.images.LoadImage(release_.id, Then(&Deploy::OnServingImage));
}

void Deploy::OnServingImage(Result<std::shared_ptr<const UniqueFd>> image) {
  if (!image.ok())
    return FailFor(image.error(), "integrity_error");
  image_ = std::move(image).value();
  LoadValues(&Deploy::BootServing);
}

std::uint32_t Deploy::CountServing() const {
  const AppEntry* entry = parts_.catalog.FindApp(app_.name, app_.id);
  return entry == nullptr || !entry->live
             ? 0
             : parts_.workers.CountWorkers({entry->live->id, entry->config});
}

void Deploy::BootServing() {
  // It takes the place of so many workers at once; a canary begins with what it always has.
  const std::uint32_t serving = next_ == ReleaseState::kLive ? CountServing() : 0;
  const std::uint32_t wanted =
      std::clamp(serving, std::max(1U, release_.run.workers_min), release_.run.workers_max);
  const std::uint32_t there =
      release_.state == ReleaseState::kCanary ? parts_.workers.CountWorkers(Run()) : 0;
  if (wanted <= there)
    return OnServing({});
  booted_ = Booted::kServing;
  parts_.workers.Boot(Spec(Writes::kKept), std::move(image_), wanted - there,
                      Then(&Deploy::OnServing));
}

void Deploy::OnServing(BootOutcome outcome) {
  if (outcome.failure != nullptr)
    return FailFor(*outcome.failure);
  if (config_.is_change)
    return PutInForce();
  if (!WantsScript())
    return Promote();
  RunScript(&Deploy::Promote);
}

void Deploy::Promote() {
  const auto serve = next_ == ReleaseState::kLive ? GoLive : GoCanary;
  Along along(config_.number);
  along.detail = std::exchange(script_said_, {});
  along.detail = along.detail.substr(0, along.detail.rfind(", "));
  if (config_.snapshot)
    along.data = {.data = app_.data, .reason = "replaced by that of " + release_.version};
  parts_.state.Write(
      app_.id.number,
      [serve, id = release_.id, along = std::move(along), subject = Subject(),
       change = ChangeNow()](Database& db) { return serve(db, id, along, subject, change); },
      Then(&Deploy::OnPromoted));
}

void Deploy::PutInForce() {
  parts_.state.Write(
      app_.id.number,
      [app = app_, number = config_.number, change = ChangeNow()](Database& db) {
        return PutConfigInForce(db, app, number, change);
      },
      Then(&Deploy::OnInForce));
}

void Deploy::OnInForce(Result<void> in_force) {
  if (!in_force.ok())
    return FailFor(in_force.error());
  booted_ = Booted::kNone;  // they serve, and are no longer ours to end
  change_at_ = ReleaseState::kLive;
  End({}, std::nullopt);
}

void Deploy::OnPromoted(Result<Displaced> displaced) {
  if (!displaced.ok())
    return FailFor(displaced.error());
  booted_ = Booted::kNone;  // they are no longer ours to end
  release_.state = next_;
  release_.live = next_ == ReleaseState::kLive;
  End(std::move(displaced).value(), std::nullopt);
}

// --- The end

void Deploy::FailFor(const Error& error, std::string_view code) {
  if (error.code == ErrorCode::kStorageFull)
    code = "disk_full";
  else if (code.empty())
    code = "internal";
  Fail({.code = std::string(code), .message = error.message});
}

void Deploy::FailFor(const BootFailure& failure) {
  Fail({.code = Cut(failure.code, 64),
        .message = Cut(failure.message, kMessageMax),
        .file = Cut(failure.file, kMessageMax),
        .line = failure.line,
        .traceback = Cut(failure.traceback, kTracebackMax)});
}

void Deploy::Redact(ReportRow& report) const {
  if (values_ == nullptr || values_->redactor == nullptr)
    return;
  for (std::string* text : {&report.message, &report.file, &report.traceback})
    values_->redactor->RedactMarked(*text);
}

void Deploy::Fail(ReportRow report) {
  report.advice = AdviceFor(report.code);
  Redact(report);
  report_ = std::move(report);
  LeaveOverlay();
  if (booted_ == Booted::kServing && release_.state != ReleaseState::kCanary)
    parts_.workers.Retire(Run(), [] {});
  booted_ = Booted::kNone;
  if (config_.is_change)
    return parts_.state.Write(
        app_.id.number,
        [app = app_, number = config_.number, report = report_, change = ChangeNow()](
            Database& db) { return FailConfig(db, app, number, report, change); },
        Then(&Deploy::OnFailed));
  if (!HasServed())
    parts_.images.Forget(release_.id);
  const auto fail = HasServed() ? FailStep : RejectRelease;
  parts_.state.Write(
      app_.id.number,
      [fail, id = release_.id, report = report_, subject = Subject(),
       change = ChangeNow()](Database& db) { return fail(db, id, report, subject, change); },
      Then(&Deploy::OnFailed));
}

void Deploy::OnFailed(Result<void> failed) {
  if (!HasServed())
    release_.state = ReleaseState::kRejected;
  if (failed.ok())
    return End({}, std::nullopt);
  Log(LogLevel::kError, "release_failure_unsaved",
      {{"release", Subject()}, {"why", failed.error().message}});
  End({}, report_);
}

void Deploy::End(Displaced displaced, std::optional<ReportRow> unsaved) {
  Log(LogLevel::kInfo, "deploy_ended",
      {{"release", Subject()},
       {"attempt", release_.attempt},
       {"state", ReleaseStateName(release_.state)},
       {"config", config_.number},
       {"code", report_.code}});
  const bool in_force = config_.is_change && change_at_ == ReleaseState::kLive;
  parts_.observer.OnDeployEnd({.release = release_,
                               .displaced = std::move(displaced),
                               .unsaved = std::move(unsaved),
                               .config = config_,
                               .data = app_.data,
                               .values = in_force ? values_ : nullptr});
}

}  // namespace cloister
