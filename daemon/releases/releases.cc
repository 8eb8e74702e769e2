#include "daemon/releases/releases.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string>
#include <system_error>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "apis/base/log.h"
#include "daemon/releases/receive.h"
#include "daemon/store/accounts.h"
#include "daemon/store/config_rows.h"
#include "daemon/store/contents.h"
#include "daemon/store/release_rows.h"
#include "sandbox/image/platform.h"

namespace cloister {
namespace {

constexpr Millis kFirstSweep{60 * 1000};
constexpr Millis kSweepPeriod{3600 * 1000};
constexpr Millis kNextBatch{100};
// One transaction of the sweep: short enough that a deploy does not notice.
constexpr std::uint32_t kSweepBatch = 200;

// Empty when it is not known; then opening it says so.
std::string PlatformImage() {
  Result<std::string> path = PlatformImagePath();
  return path.ok() ? std::move(path).value() : std::string();
}

// Whose directories are there and whose rows are gone: the crash came in between.
std::vector<AppId> FindOrphans(const std::string& apps_directory, const std::vector<AppRow>& apps) {
  std::unordered_set<std::uint64_t> known;
  for (const AppRow& app : apps)
    known.insert(app.id.number);
  std::error_code error;
  std::vector<AppId> orphans;
  for (std::filesystem::directory_iterator entry(apps_directory, error), end;
       !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::uint64_t id = 0;
    const auto [stop, bad] = std::from_chars(name.data(), name.data() + name.size(), id);
    if (bad == std::errc() && stop == name.data() + name.size() && !known.contains(id))
      orphans.push_back(AppId{id});
  }
  return orphans;
}

}  // namespace

// What a start reads.
struct Releases::Loaded {
  std::vector<TenantRow> tenants;
  std::vector<AppRow> apps;
  std::vector<ReleaseRow> serving;
  std::vector<QuotaRow> quotas;
  std::vector<std::pair<AppId, std::uint64_t>> configs;  // in force
  std::vector<WantedConfig> wanted_configs;
  std::vector<AppId> orphans;
  Unfinished unfinished;
};

namespace {

// What a release was to take along on a way to live that nobody goes on with is not wanted any
// more.
Result<std::vector<WantedConfig>> CloseConfigs(Database& db, const Unfinished& unfinished,
                                               const ReportRow& report) {
  std::vector<WantedConfig> wanted;
  for (const WantedConfig& config : TRY(ListWantedConfigs(db))) {
    const bool goes_on = !config.with_release.valid() ||
                         std::ranges::find(unfinished.resumed, config.with_release,
                                           &ReleaseRow::id) != unfinished.resumed.end();
    if (goes_on)
      wanted.push_back(config);
    else
      TRY(FailConfigAlong(db, config.with_release, report));
  }
  return wanted;
}

}  // namespace

Releases::Releases(const Parts& parts, const Quota& quota, const ReleaseSettings& policy)
    : parts_(parts),
      quotas_({.clock = parts.clock,
               .state = parts.state,
               .logs = parts.logs,
               .images = parts.images,
               .configs = parts.configs,
               .workers = parts.workers,
               .catalog = catalog_},
              quota),
      owners_({.clock = parts.clock,
               .state = parts.state,
               .images = parts.images,
               .logs = parts.logs,
               .workers = parts.workers,
               .router = parts.router,
               .calls = parts.calls,
               .catalog = catalog_,
               .quotas = quotas_}),
      uploads_(parts.clock, parts.state, catalog_),
      pipeline_({.loop = parts.loop,
                 .clock = parts.clock,
                 .state = parts.state,
                 .images = parts.images,
                 .workers = parts.workers,
                 .router = parts.router,
                 .catalog = catalog_,
                 .quotas = quotas_,
                 .configs = parts.configs,
                 .databases = parts.databases,
                 .settings = policy}),
      verifier_(parts.state, parts.configs.key()),
      collector_(
          {.loop = parts.loop, .clock = parts.clock, .state = parts.state, .catalog = catalog_},
          policy),
      modules_(parts.state, catalog_, PlatformImage()),
      sweep_timer_(parts.loop),
      self_(std::make_shared<Releases*>(this)) {
  quotas_.OnChanged([this](const AppEntry& app) { pipeline_.Publish(app); });
  pipeline_.OnSettled([this](const AppName& app) { quotas_.OnSettled(app); });
  pipeline_.OnKept([this](const AppName& app) { collector_.Collect(app); });
}

Releases::~Releases() {
  *self_ = nullptr;
}

void Releases::Start(std::function<void(Result<void>)> done) {
  loading_ = true;
  parts_.state.Open([self = self_, done = std::move(done)](Result<void> opened) mutable {
    if (*self == nullptr)
      return;
    if (!opened.ok())
      return (*self)->EndLoading(std::move(opened), done);
    (*self)->Load(std::move(done));
  });
}

void Releases::EndLoading(Result<void> loaded, const std::function<void(Result<void>)>& done) {
  loading_ = false;
  done(std::move(loaded));
  if (close_)
    Close(std::exchange(close_, nullptr));
}

void Releases::Load(std::function<void(Result<void>)> done) {
  ReportRow report{.code = "interrupted",
                   .message = "the node stopped before this deploy ended",
                   .advice = std::string(AdviceFor("interrupted"))};
  parts_.state.Write(
      0,
      [report = std::move(report), change = Change{.who = "node", .when = parts_.clock.Wall()},
       apps_directory = parts_.state.directory() + "/apps"](Database& db) -> Result<Loaded> {
        Loaded loaded;
        loaded.unfinished = TRY(CloseInterrupted(db, report, change));
        loaded.tenants = TRY(ListTenants(db));
        loaded.apps = TRY(ListApps(db));
        loaded.serving = TRY(ListServing(db));
        loaded.quotas = TRY(ListQuotas(db));
        loaded.wanted_configs = TRY(CloseConfigs(db, loaded.unfinished, report));
        loaded.configs = TRY(ListConfigsInForce(db));
        loaded.orphans = FindOrphans(apps_directory, loaded.apps);
        return loaded;
      },
      [self = self_, done = std::move(done)](Result<Loaded> loaded) {
        if (*self == nullptr)
          return;
        if (!loaded.ok())
          return (*self)->EndLoading(std::move(loaded).error(), done);
        (*self)->Adopt(std::move(loaded).value());
        (*self)->EndLoading({}, done);
      });
}

void Releases::Adopt(Loaded loaded) {
  for (TenantRow& tenant : loaded.tenants)
    catalog_.AddTenant(std::move(tenant));
  std::unordered_map<AppId, AppEntry*> entries;
  for (const AppRow& app : loaded.apps) {
    catalog_.AddApp(app);
    entries[app.id] = catalog_.FindApp(app.name);
  }
  for (const auto& [app, number] : loaded.configs)
    if (const auto entry = entries.find(app); entry != entries.end())
      entry->second->config = number;
  quotas_.Load(loaded.quotas);
  for (ReleaseRow& release : loaded.serving) {
    const auto found = entries.find(release.app);
    if (found == entries.end()) {
      Log(LogLevel::kError, "release_without_app",
          {{"release", release.id.number}, {"version", release.version}});
      continue;
    }
    AppEntry& app = *found->second;
    // Quotas may be lower than when it went live.
    const Quota quota = quotas_.Of(app.row);
    release.run = Within(std::move(release.run), quota.limits);
    parts_.workers.Adopt(SpecOf(app.row, release, quota, app.config));
    if (release.live)
      app.live = {.id = release.id, .version = release.version, .statics = StaticsOf(release)};
    else
      app.canary = {.id = release.id,
                    .version = release.version,
                    .percent = release.canary_percent,
                    .statics = StaticsOf(release)};
  }
  for (const auto& [name, app] : catalog_.apps())
    pipeline_.Publish(app);
  catalog_.set_open(true);
  ResumeWalks(loaded);
  for (const AppId orphan : loaded.orphans)
    owners_.RemoveOrphan(orphan);
  sweep_timer_.Start(kFirstSweep, [this] { Sweep(); });
  Log(LogLevel::kInfo, "state_opened",
      {{"tenants", loaded.tenants.size()},
       {"apps", loaded.apps.size()},
       {"serving", loaded.serving.size()},
       {"resumed", loaded.unfinished.resumed.size()},
       {"interrupted", loaded.unfinished.rejected}});
}

void Releases::ResumeWalks(const Loaded& loaded) {
  std::unordered_map<AppId, const AppEntry*> entries;
  for (const auto& [name, app] : catalog_.apps())
    entries[app.row.id] = &app;
  const auto wanted_of = [&loaded](AppId app, ReleaseId with_release) -> std::uint64_t {
    for (const WantedConfig& config : loaded.wanted_configs)
      if (config.app == app && config.with_release == with_release)
        return config.number;
    return 0;
  };
  for (const ReleaseRow& release : loaded.unfinished.resumed) {
    const auto app = entries.find(release.app);
    if (app == entries.end())
      continue;
    const std::uint64_t along = wanted_of(release.app, release.id);
    pipeline_.Resume(app->second->row, release,
                     {.number = along != 0 ? along : app->second->config});
  }
  // A change of the config was acknowledged: it is walked to, whatever ended the node.
  for (const ReleaseRow& release : loaded.serving) {
    const std::uint64_t number = wanted_of(release.app, {});
    const auto app = entries.find(release.app);
    if (release.live && number != 0 && app != entries.end())
      pipeline_.Resume(app->second->row, release,
                       {.number = number, .is_change = true, .reload_live = false});
  }
}

void Releases::Sweep() {
  parts_.state.Write(
      0,
      [before = parts_.clock.Wall() - kUnreferencedKept](Database& db) {
        return SweepContents(db, before, kSweepBatch);
      },
      [self = self_](const Result<std::uint64_t>& swept) {
        if (*self == nullptr)
          return;
        if (!swept.ok())
          Log(LogLevel::kWarning, "sweep_failed", {{"why", swept.error().message}});
        else if (swept.value() > 0)
          Log(LogLevel::kInfo, "contents_swept", {{"count", swept.value()}});
        const bool more = swept.ok() && swept.value() == kSweepBatch;
        // Contents that its releases alone refer to go with the next sweep.
        if (!more)
          (*self)->collector_.Sweep();
        (*self)->sweep_timer_.Start(more ? kNextBatch : kSweepPeriod, [self] { (*self)->Sweep(); });
      });
}

void Releases::Close(std::function<void()> done) {
  if (loading_) {
    close_ = std::move(done);
    return;
  }
  catalog_.set_open(false);
  sweep_timer_.Stop();
  collector_.Stop();
  pipeline_.Pause([self = self_, done = std::move(done)] {
    if (*self != nullptr)
      done();
  });
}

}  // namespace cloister
