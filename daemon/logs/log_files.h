#pragma once

// The open logs of a node: a bounded number, the least recently used closed first. Blocking; used
// by the log store's thread alone.

#include <list>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "apis/base/names.h"
#include "daemon/logs/app_log.h"

namespace cloister {

class LogFiles {
 public:
  LogFiles(std::string state_directory, const LogRetention& retention, std::size_t open_max)
      : state_directory_(std::move(state_directory)), retention_(retention), open_max_(open_max) {}

  // The app's log, made and opened if need be. Valid until the next call.
  Result<AppLog*> Open(AppId app);
  // The same, but null for an app that has none.
  Result<AppLog*> Find(AppId app);
  // What is kept of the app's log, when it is not what is kept of all.
  void SetRetention(AppId app, const LogRetention& retention);
  // Closes the app's log and removes its files.
  Result<void> Remove(AppId app);
  // The apps that have a directory, with a log or not.
  std::vector<AppId> Apps() const;
  // Drops what is too old in the app's log. One that holds nothing old is not opened for that.
  Result<void> Expire(AppId app, WallTime now);

  std::size_t open() const { return by_app_.size(); }

 private:
  using Order = std::list<std::pair<AppId, AppLog>>;

  std::string DirectoryOf(AppId app) const;
  const LogRetention& RetentionOf(AppId app) const;
  void Close(AppId app);

  std::string state_directory_;
  LogRetention retention_;
  std::unordered_map<AppId, LogRetention> own_retention_;
  std::size_t open_max_;
  Order order_;  // the most recently used first
  std::unordered_map<AppId, Order::iterator> by_app_;
};

}  // namespace cloister
