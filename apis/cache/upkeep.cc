// The rest of CacheService: generations, what they leave behind, what is near, overlays, the
// server.

#include <algorithm>
#include <array>
#include <string>

#include "apis/base/log.h"
#include "apis/cache/script.h"
#include "apis/cache/service.h"

namespace cloister {
namespace {

// No app has this generation: of an app that is gone all are older.
constexpr std::uint64_t kBeyondAll = std::uint64_t{1} << 52;
// PTTL of a value without an end.
constexpr std::int64_t kNoEnd = -1;

constexpr const char* kFullAdvice =
    "give it more memory ([cache] memory, or maxmemory of the server that is named), or apps fewer "
    "cache.bytes";

}  // namespace

void CacheService::Load(AppId id) {
  App& app = apps_[id];
  if (std::exchange(app.loading, true))
    return;
  parts_.generations.Load(
      id, [this, id, alive = std::weak_ptr<bool>(alive_)](const Result<CacheGeneration>& loaded) {
        if (!alive.expired())
          OnLoaded(id, loaded);
      });
}

void CacheService::OnLoaded(AppId id, const Result<CacheGeneration>& loaded) {
  App& app = apps_[id];
  app.loading = false;
  if (loaded.ok() && IsCacheSpace(loaded.value().space)) {
    app.loaded = true;
    app.space = loaded.value().space;
    app.persisted = std::max(app.persisted, loaded.value().number);
    SetGeneration(id, app, std::max(app.generation, loaded.value().number));
    if (std::exchange(app.owed, false))
      Raise(id, app);
  } else if (!loaded.ok()) {
    Log(LogLevel::kWarning, "cache_generation_not_read",
        {{"app", id.number}, {"error", loaded.error().message}});
  }
  for (const std::uint64_t early : std::exchange(app.early, {}))
    Start(early);
}

void CacheService::Raise(AppId id, App& app) {
  ++counters_.invalidated;
  ++app.counters.invalidated;
  SetGeneration(id, app, app.generation + 1);
  // Where another process serves the app, too, it may store something at once.
  app.pristine = on_raised_ == nullptr;
  app.all_noted = app.pristine;
  StoreGeneration(id, app);
}

void CacheService::SetGeneration(AppId id, App& app, std::uint64_t number) {
  app.generation = number;
  app.names = CacheNames(app.space, id, number);
  app.pristine = false;
  app.all_noted = false;
  app.sizes.Forget();
  app.sweep_due = true;
  app.used = {};
  near_.DropApp(id);
}

void CacheService::StoreGeneration(AppId id, App& app) {
  if (std::exchange(app.storing, true))
    return;
  parts_.generations.Store(id, app.generation,
                           [this, id, number = app.generation,
                            alive = std::weak_ptr<bool>(alive_)](const Result<void>& stored) {
                             if (!alive.expired())
                               OnStored(id, number, stored);
                           });
}

void CacheService::OnStored(AppId id, std::uint64_t number, const Result<void>& stored) {
  App& app = apps_[id];
  if (stored.ok()) {
    store_failing_ = false;
    store_retry_ = kStoreRetryFirst;
    app.persisted = std::max(app.persisted, number);
    if (on_raised_)
      on_raised_(id, number);
  } else if (!std::exchange(store_failing_, true)) {
    Log(LogLevel::kError, "cache_generation_not_stored",
        {{"app", id.number},
         {"error", stored.error().message},
         {"effect", "should the node end now, the app may read values that it had replaced"}});
  }
  if (!stored.ok() && !std::exchange(retrying_, true)) {
    parts_.later(store_retry_, [this] { RetryStores(); });
    store_retry_ = std::min(store_retry_ * 2, kStoreRetryMax);
  }
  // Also after an error, which is mended later: nobody waits for a disk for ever.
  Release(app, number);
  app.storing = false;
  if (app.generation > number && app.generation > app.persisted)
    StoreGeneration(id, app);
  if (app.deleted)
    ForgetIfOver(id, app);
}

void CacheService::RetryStores() {
  retrying_ = false;
  for (auto& [id, app] : apps_)
    if (app.generation > app.persisted && app.loaded)
      StoreGeneration(id, app);
}

void CacheService::WhenPersisted(AppId id, App& app, std::uint64_t needed,
                                 std::function<void()> then) {
  if (app.persisted >= needed)
    return then();
  app.held.emplace(needed, std::move(then));
  // The last attempt may have failed; nothing is under way then that would end the wait.
  if (!app.storing)
    StoreGeneration(id, app);
}

void CacheService::Release(App& app, std::uint64_t number) {
  while (!app.held.empty() && app.held.begin()->first <= number) {
    const auto first = app.held.extract(app.held.begin());
    first.mapped()();
  }
}

void CacheService::SetRaisedCallback(std::function<void(AppId, std::uint64_t)> told) {
  on_raised_ = std::move(told);
  if (on_raised_ == nullptr)
    return;
  for (auto& [id, app] : apps_)
    app.pristine = app.all_noted = false;
}

void CacheService::RaiseGeneration(AppId id, std::uint64_t number) {
  App& app = apps_[id];
  app.persisted = std::max(app.persisted, number);
  if (number > app.generation)
    SetGeneration(id, app, number);
  Release(app, app.persisted);
}

void CacheService::Invalidate(AppId id, std::uint64_t lost, std::function<void()> done) {
  App& app = apps_[id];
  if (app.generation <= lost)
    SetGeneration(id, app, lost + 1);
  if (app.persisted < app.generation)
    StoreGeneration(id, app);
  WhenPersisted(id, app, lost + 1, std::move(done));
}

void CacheService::OnConnected() {
  away_since_.reset();
  Log(LogLevel::kInfo, "cache_connected");
  (void)redis_.Send(TagOf(kInternal, kScriptLoaded),
                    std::array<std::string_view, 3>{"SCRIPT", "LOAD", CacheScript()});
  (void)redis_.Send(TagOf(kInternal, kServerInfo),
                    std::array<std::string_view, 2>{"INFO", "memory"});
  for (auto& [id, app] : apps_)
    app.sweep_due = true;
  for (const auto& [id, names] : deleted_)
    SweepDeleted(id, names);
}

void CacheService::OnDisconnected(const Error& why) {
  away_since_ = parts_.clock.Now();
  near_.DropAll();
  keeping_.clear();
  Log(LogLevel::kWarning, "cache_disconnected",
      {{"reason", why.message}, {"effect", "apps read nothing from the cache until it is back"}});
}

void CacheService::OnNotConnected(const Error& why) {
  const MonotonicTime now = parts_.clock.Now();
  if (!away_since_)
    away_since_ = now;
  // The node's own server is not there yet when the node begins.
  if (now - *away_since_ < kAwayTold || (away_told_ && now - *away_told_ < kToldPeriod))
    return;
  away_told_ = now;
  Log(LogLevel::kWarning, "cache_unreachable",
      {{"reason", why.message},
       {"away_ms", std::chrono::duration_cast<Millis>(now - *away_since_).count()},
       {"effect", "apps read nothing from the cache and store nothing"}});
}

void CacheService::NoteFull() {
  const MonotonicTime now = parts_.clock.Now();
  full_at_ = now;
  if (full_told_ && now - *full_told_ < kToldPeriod)
    return;
  full_told_ = now;
  Log(LogLevel::kWarning, "cache_server_full",
      {{"effect", "apps make room of their own entries; who has none stores nothing"},
       {"advice", kFullAdvice}});
}

std::string CacheService::Advice() const {
  if (!full_at_ || parts_.clock.Now() - *full_at_ >= kFullShown)
    return advice_;
  return (advice_.empty() ? "" : advice_ + "; ") + "the server is full: " + kFullAdvice;
}

void CacheService::OnInternalReply(std::size_t element, const RedisReply& reply) {
  if (element == kTimeLeft)
    return OnTimeLeft(reply);
  if (element != kServerInfo)
    return;
  advice_.clear();
  // A server that evicts as it likes may take an index and leave what is in it uncounted.
  constexpr std::string_view kPolicy = "maxmemory_policy:";
  const std::size_t found = reply.text().find(kPolicy);
  if (found == std::string_view::npos)
    return;
  const std::string_view rest = reply.text().substr(found + kPolicy.size());
  const std::string_view policy = rest.substr(0, rest.find_first_of("\r\n"));
  if (!policy.starts_with("allkeys"))
    return;
  advice_ = "the server's maxmemory-policy is " + std::string(policy.substr(0, 32)) +
            "; with noeviction each app stays within its own bytes";
  Log(LogLevel::kWarning, "cache_policy", {{"advice", advice_}});
}

bool CacheService::SendSweep(std::uint64_t serial, const CacheNames& names,
                             std::uint64_t generation) {
  const std::string older_than = std::to_string(generation);
  return redis_.Send(TagOf(serial, 0), std::array<std::string_view, 14>{
                                           "EVALSHA", CacheScriptSha(), "3", names.index(),
                                           names.generations(), names.index(), "sweep", older_than,
                                           names.any_index(), "0", "0", "0", "", ""});
}

void CacheService::Sweep(AppId id, App& app) {
  const std::uint64_t serial = ++last_serial_;
  app.sweep_due = true;
  if (!SendSweep(serial, app.names, app.generation))
    return;
  app.sweeping = true;
  app.sweep_due = false;
  sweeping_.emplace(serial, Sweeping{.app = id, .generation = app.generation});
}

void CacheService::SweepDeleted(AppId id, const CacheNames& names) {
  const std::uint64_t serial = ++last_serial_;
  if (SendSweep(serial, names, kBeyondAll))
    sweeping_.emplace(serial, Sweeping{.app = id, .deleted = true});
}

void CacheService::OnSwept(std::uint64_t serial, const RedisReply* reply) {
  const auto [id, generation, deleted_app] = sweeping_.extract(serial).mapped();
  const bool answered = reply != nullptr && reply->size() >= 3;
  const bool more = answered && reply->at(0).integer() == 1;
  if (deleted_app) {
    const auto deleted = deleted_.find(id);
    if (deleted != deleted_.end() && more)
      SweepDeleted(id, deleted->second);
    else if (answered)
      deleted_.erase(id);
    return;
  }
  if (!apps_.contains(id))
    return;
  App& app = apps_[id];
  app.sweeping = false;
  if (!answered) {
    app.sweep_due = true;
    return;
  }
  app.used = Bytes{static_cast<std::uint64_t>(std::max<std::int64_t>(reply->at(2).integer(), 0))};
  // Nothing large was there before: what comes from now on is written here.
  const bool all_small = app.used.count <= CachePowerBytes(kCacheSmall);
  if (all_small && generation == app.generation && on_raised_ == nullptr)
    app.all_noted = true;
  if (more || app.sweep_due)
    Sweep(id, app);
}

bool CacheService::ServeNear(CallId id, const CallOrigin& origin, std::string_view args) {
  if (!near_.on() || origin.overlay != 0)
    return false;
  const Result<CacheGet> get = DecodeFields<CacheGet>(args);
  const auto found = apps_.find(origin.app);
  if (!get.ok() || found == apps_.end() || get.value().key.size() > origin.quota.cache.key_max)
    return false;
  App& app = found->second;
  // A generation that the state did not take is tried again with the next call.
  if (app.generation > app.persisted)
    return false;
  const auto value = near_.Find(origin.app, get.value().key, parts_.clock.Now());
  if (!value)
    return false;
  ++counters_.near;
  ++app.counters.near;
  ++counters_.calls;
  ++app.counters.calls;
  ++counters_.hits;
  ++app.counters.hits;
  parts_.answers.Answer(id, EncodeReply(CacheGetResult{.value = value}));
  return true;
}

std::optional<std::string_view> CacheService::FindNear(const Call& call, App& app,
                                                       std::string_view key) {
  // A get was looked for already. Of several keys what is asked for first is answered first.
  const bool looked = call.number == CallNumber::kCacheGet && call.origin.overlay == 0;
  if (!near_.on() || looked || call.waiting > 0)
    return std::nullopt;
  const auto value = near_.Find(call.origin.app, key, parts_.clock.Now());
  if (value) {
    ++counters_.near;
    ++app.counters.near;
  }
  return value;
}

void CacheService::OnTimeLeft(const RedisReply& reply) {
  // Answers come in order: it is of the first, whose value comes next.
  if (keeping_.empty())
    return;
  Keeping& keeping = keeping_.front();
  if (keeping.tag == 0)
    return keeping_.pop_front();
  const std::int64_t left = reply.integer();
  keeping.known = reply.is(RedisReply::Kind::kInteger) && (left >= 0 || left == kNoEnd);
  if (left >= 0)
    keeping.ttl = Millis(left);
}

std::optional<CacheService::Keeping> CacheService::TakeKeeping(std::uint64_t tag) {
  if (keeping_.empty() || keeping_.front().tag != tag)
    return std::nullopt;
  const Keeping first = keeping_.front();
  keeping_.pop_front();
  return first.known ? std::optional(first) : std::nullopt;
}

void CacheService::OnOverlayEnded(OverlayId overlay) {
  overlays_.erase(overlay);
}

void CacheService::OnAppDeleted(AppId id) {
  near_.DropApp(id);
  // Its workers are gone; what they began may still store something, and waits for the disk.
  App& app = apps_[id];
  app.deleted = true;
  ForgetIfOver(id, app);
}

void CacheService::ForgetIfOver(AppId id, const App& app) {
  if (app.calls > 0 || app.storing || app.loading || !app.held.empty())
    return;
  apps_.erase(id);
  parts_.generations.Load(
      id, [this, id, alive = std::weak_ptr<bool>(alive_)](const Result<CacheGeneration>& loaded) {
        if (alive.expired() || !loaded.ok() || !IsCacheSpace(loaded.value().space))
          return;
        const auto added =
            deleted_.insert_or_assign(id, CacheNames(loaded.value().space, id, kBeyondAll));
        SweepDeleted(id, added.first->second);
      });
}

CacheUse CacheService::UseOf(AppId app) const {
  const auto found = apps_.find(app);
  if (found == apps_.end())
    return {};
  return {.used = found->second.used, .counters = found->second.counters};
}

CacheOverlay* CacheService::FindOverlay(const CallOrigin& origin) {
  const auto found = overlays_.find(origin.overlay);
  return found == overlays_.end() ? nullptr : &found->second;
}

Bytes CacheService::OverlayRoom(const CallOrigin& origin) const {
  std::uint64_t others = 0;
  for (const auto& [id, overlay] : overlays_)
    if (id != origin.overlay)
      others += overlay.used().count;
  const std::uint64_t left = kOverlaysMax.count - std::min(others, kOverlaysMax.count);
  return std::min(origin.quota.cache.bytes_max, Bytes{left});
}

}  // namespace cloister
