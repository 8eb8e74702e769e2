#include "apis/cache/near.h"

#include <algorithm>
#include <functional>

namespace cloister {
namespace {

// Around what is kept: nodes of a list and of a map, heads of allocations.
constexpr std::size_t kEntryHead = 160;
constexpr std::size_t kAppHead = 256;
constexpr int kMarkShift = 32;

}  // namespace

std::size_t CacheNear::Entry::Charge() const {
  return sizeof(Entry) + kEntryHead + key.size() + value.size();
}

std::size_t CacheNear::AppCharge() {
  return sizeof(App) + sizeof(SeenTable) + kAppHead;
}

void CacheNear::Turn(bool on) {
  on_ = on;
  if (!on)
    DropAll();
}

CacheNear::App* CacheNear::FindApp(AppId id) {
  const auto found = apps_.find(id);
  return found == apps_.end() ? nullptr : &found->second;
}

CacheNear::App* CacheNear::MakeApp(AppId id) {
  const Bytes charge{AppCharge()};
  if (charge > limits_.app_max || used_.count + charge.count > limits_.node_max.count)
    return nullptr;
  App& app = apps_[id];
  app.stamp = ++last_stamp_;
  app.seen = std::make_unique<SeenTable>();
  app.used = charge;
  used_.count += charge.count;
  return &app;
}

std::optional<std::string_view> CacheNear::Find(AppId id, std::string_view key, MonotonicTime now) {
  App* const app = FindApp(id);
  if (app == nullptr)
    return std::nullopt;
  const auto found = app->keys.find(key);
  if (found == app->keys.end())
    return std::nullopt;
  if (found->second->ends <= now) {
    Remove(*app, found->second);
    return std::nullopt;
  }
  return found->second->value;
}

bool CacheNear::WasSeen(App& app, std::string_view key, MonotonicTime now) {
  const std::uint64_t hash = std::hash<std::string_view>{}(key);
  const auto mark = static_cast<std::uint32_t>(hash >> kMarkShift);
  const auto now_ms = static_cast<std::uint32_t>(
      std::chrono::duration_cast<Millis>(now.time_since_epoch()).count());
  Seen& seen = (*app.seen)[hash % kSeenMax];
  const bool again =
      seen.mark == mark && now_ms - seen.at_ms < static_cast<std::uint32_t>(kAgeMax.count());
  seen = {.mark = mark, .at_ms = now_ms};
  return again;
}

std::optional<CacheNear::Ticket> CacheNear::OnGet(AppId id, std::string_view key,
                                                  MonotonicTime now) {
  if (!on_)
    return std::nullopt;
  App* app = FindApp(id);
  if (app == nullptr)
    app = MakeApp(id);
  if (app == nullptr)
    return std::nullopt;
  app->asked = now;
  if (!WasSeen(*app, key, now))
    return std::nullopt;
  return Ticket{.stamp = app->stamp, .asked = now};
}

void CacheNear::Keep(AppId id, std::string_view key, const Found& found, const Ticket& ticket,
                     MonotonicTime now) {
  App* const app = FindApp(id);
  if (app == nullptr || app->stamp != ticket.stamp || found.value.size() > limits_.value_max.count)
    return;
  if (const auto former = app->keys.find(key); former != app->keys.end())
    Remove(*app, former->second);
  ExpireEntries(now);
  const MonotonicTime ends = ticket.asked + std::min(found.ttl.value_or(kAgeMax), kAgeMax);
  if (ends <= now)
    return;
  Entry entry = {.app = id,
                 .key = std::string(key),
                 .value = std::string(found.value),
                 .asked = ticket.asked,
                 .ends = ends};
  const std::size_t charge = entry.Charge();
  if (app->used.count + charge > limits_.app_max.count ||
      used_.count + charge > limits_.node_max.count)
    return;
  entries_.push_back(std::move(entry));
  const auto kept = std::prev(entries_.end());
  app->keys.emplace(kept->key, kept);
  app->used.count += charge;
  used_.count += charge;
}

void CacheNear::Remove(App& app, Entries::iterator entry) {
  const std::size_t charge = entry->Charge();
  app.used.count -= charge;
  used_.count -= charge;
  app.keys.erase(entry->key);
  entries_.erase(entry);
}

void CacheNear::Drop(AppId id, std::string_view key) {
  App* const app = FindApp(id);
  if (app == nullptr)
    return;
  app->stamp = ++last_stamp_;
  if (const auto found = app->keys.find(key); found != app->keys.end())
    Remove(*app, found->second);
}

void CacheNear::DropApp(AppId id) {
  const auto found = apps_.find(id);
  if (found == apps_.end())
    return;
  used_.count -= found->second.used.count;
  for (const auto& [key, entry] : found->second.keys)
    entries_.erase(entry);
  apps_.erase(found);
}

void CacheNear::DropAll() {
  apps_.clear();
  entries_.clear();
  used_ = {};
}

void CacheNear::ExpireEntries(MonotonicTime now) {
  while (!entries_.empty() && entries_.front().asked + kAgeMax <= now)
    Remove(apps_.at(entries_.front().app), entries_.begin());
}

void CacheNear::Expire(MonotonicTime now) {
  ExpireEntries(now);
  std::erase_if(apps_, [&](const auto& each) {
    const App& app = each.second;
    if (!app.keys.empty() || app.asked + kAgeMax > now)
      return false;
    used_.count -= app.used.count;
    return true;
  });
}

}  // namespace cloister
