#include "daemon/logs/log_files.h"

#include <charconv>
#include <filesystem>
#include <system_error>

namespace cloister {

std::string LogFiles::DirectoryOf(AppId app) const {
  return state_directory_ + "/apps/" + std::to_string(app.number) + "/log";
}

const LogRetention& LogFiles::RetentionOf(AppId app) const {
  const auto found = own_retention_.find(app);
  return found == own_retention_.end() ? retention_ : found->second;
}

void LogFiles::Close(AppId app) {
  if (const auto found = by_app_.find(app); found != by_app_.end()) {
    order_.erase(found->second);
    by_app_.erase(found);
  }
}

void LogFiles::SetRetention(AppId app, const LogRetention& retention) {
  own_retention_.insert_or_assign(app, retention);
  // It learns of it when it is opened again.
  Close(app);
}

Result<AppLog*> LogFiles::Open(AppId app) {
  if (const auto found = by_app_.find(app); found != by_app_.end()) {
    order_.splice(order_.begin(), order_, found->second);
    return &found->second->second;
  }
  AppLog log = TRY(AppLog::Open(DirectoryOf(app), RetentionOf(app)));
  if (by_app_.size() >= open_max_) {
    by_app_.erase(order_.back().first);
    order_.pop_back();
  }
  order_.emplace_front(app, std::move(log));
  by_app_[app] = order_.begin();
  return &order_.front().second;
}

Result<AppLog*> LogFiles::Find(AppId app) {
  if (!by_app_.contains(app) && !AppLog::IsThere(DirectoryOf(app)))
    return nullptr;
  return Open(app);
}

Result<void> LogFiles::Remove(AppId app) {
  Close(app);
  own_retention_.erase(app);
  std::error_code error;
  std::filesystem::remove_all(DirectoryOf(app), error);
  if (error)
    return SystemError("removing the log of app " + std::to_string(app.number), error.value());
  return {};
}

std::vector<AppId> LogFiles::Apps() const {
  std::vector<AppId> apps;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(state_directory_ + "/apps", error), end;
       !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    AppId app;
    const auto [stop, bad] = std::from_chars(name.data(), name.data() + name.size(), app.number);
    if (bad == std::errc() && stop == name.data() + name.size())
      apps.push_back(app);
  }
  return apps;
}

Result<void> LogFiles::Expire(AppId app, WallTime now) {
  if (!by_app_.contains(app) && !AppLog::HoldsOld(DirectoryOf(app), RetentionOf(app), now))
    return {};
  AppLog* log = TRY(Open(app));
  return log->Expire(now);
}

}  // namespace cloister
