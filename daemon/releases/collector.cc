#include "daemon/releases/collector.h"

#include <algorithm>
#include <utility>

#include "apis/base/log.h"

namespace cloister {
namespace {

// Between two transactions for one app.
constexpr Millis kPause{20};

}  // namespace

Collector::Collector(const Parts& parts, const ReleaseSettings& settings)
    : parts_(parts),
      settings_(settings),
      pause_(parts.loop),
      self_(std::make_shared<Collector*>(this)) {}

Collector::~Collector() {
  *self_ = nullptr;
}

void Collector::Sweep() {
  if (!waiting_.empty())
    return;
  for (const auto& [name, app] : parts_.catalog.apps())
    waiting_.push_back(name);
  Next();
}

void Collector::Collect(const AppName& app) {
  if (std::find(waiting_.begin(), waiting_.end(), app) == waiting_.end())
    waiting_.push_back(app);
  Next();
}

void Collector::Stop() {
  waiting_.clear();
  pause_.Stop();
}

void Collector::Next() {
  while (!busy_ && !waiting_.empty()) {
    const AppEntry* app = parts_.catalog.FindApp(waiting_.front());
    waiting_.pop_front();
    if (app != nullptr && app->activity == AppActivity::kNone && parts_.catalog.open())
      Run(app->row);
  }
}

KeepPolicy Collector::Policy() const {
  KeepPolicy policy{.kept_max = settings_.kept_max, .before = {}};
  if (settings_.kept_age > Millis(0))
    policy.before = parts_.clock.Wall() - settings_.kept_age;
  return policy;
}

void Collector::Run(const AppRow& app) {
  busy_ = true;
  parts_.state.Write(
      app.id.number,
      [app, policy = Policy(), change = Change{.who = "node", .when = parts_.clock.Wall()}](
          Database& db) { return CollectReleases(db, app, policy, change); },
      [self = self_, name = app.name](const Result<std::uint64_t>& collected) {
        if (*self != nullptr)
          (*self)->OnCollected(name, collected);
      });
}

void Collector::OnCollected(const AppName& app, const Result<std::uint64_t>& collected) {
  busy_ = false;
  if (!collected.ok()) {
    // A full disk, most likely: the others would fail as well. The next sweep tries again.
    waiting_.clear();
    Log(LogLevel::kWarning, "releases_not_collected",
        {{"app", app.ToString()}, {"why", collected.error().message}});
    return;
  }
  if (collected.value() == 0)
    return Next();
  Log(LogLevel::kInfo, "releases_collected",
      {{"app", app.ToString()}, {"count", collected.value()}});
  // There may be more of this app.
  waiting_.push_front(app);
  busy_ = true;
  pause_.Start(kPause, [this] {
    busy_ = false;
    Next();
  });
}

void Collector::SetPin(const AppName& app, const std::string& version, Pin pin, std::string who,
                       std::function<void(Outcome<Done>)> done) {
  const AppEntry* entry = parts_.catalog.FindApp(app);
  if (entry == nullptr)
    return done(NoApp(app));
  if (!parts_.catalog.open())
    return done(NotOpen());
  parts_.state.Write(
      entry->row.id.number,
      [row = entry->row, version, pin,
       change = Change{.who = std::move(who), .when = parts_.clock.Wall()}](
          Database& db) -> Outcome<Done> {
        Result<void> pinned = PinVersion(db, row, version, pin, change);
        if (!pinned.ok() && pinned.error().code == ErrorCode::kNotFound)
          return Refused(ProblemCode::kReleaseNotFound, pinned.error().message);
        TRY(std::move(pinned));
        return Done();
      },
      std::move(done));
}

void Collector::ListGone(const AppName& app, std::uint32_t limit,
                         std::function<void(Outcome<std::vector<CollectedRow>>)> done) {
  const AppEntry* entry = parts_.catalog.FindApp(app);
  if (entry == nullptr)
    return done(NoApp(app));
  parts_.state.Read(
      entry->row.id.number,
      [id = entry->row.id, limit](Database& db) -> Outcome<std::vector<CollectedRow>> {
        return TRY(ListCollected(db, id, limit));
      },
      std::move(done));
}

}  // namespace cloister
