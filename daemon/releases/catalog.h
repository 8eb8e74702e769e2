#pragma once

// Every tenant and app of the node, in memory: what is looked up for each admin request.
//
// A copy of the tables, changed after their transactions. 10,000 apps are a few megabytes. Runs on
// the loop thread.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/router/router.h"
#include "daemon/store/rows.h"

namespace cloister {

// What is being done to an app; one thing at a time.
enum class AppActivity { kNone, kDeploying, kDeleting };

struct LiveRelease {
  ReleaseId id;
  std::string version;
  std::shared_ptr<const StaticRoutes> statics = {};  // null: none
};

struct CanaryRelease {
  ReleaseId id;
  std::string version;
  std::uint32_t percent = 0;
  std::shared_ptr<const StaticRoutes> statics = {};  // null: none
};

struct AppEntry {
  AppRow row;
  std::optional<LiveRelease> live = {};
  std::optional<CanaryRelease> canary = {};
  std::uint64_t config = 0;  // the version in force, with which both run; 0: none
  // What finishes what it began, and how often each was retired: a release that was rolled back to
  // may drain twice at one time.
  std::map<RunId, std::uint32_t> draining = {};
  AppActivity activity = AppActivity::kNone;
};

// The static paths of a release as they are routed. Damaged ones are none, with a word in the log:
// the rest of the app is not.
std::shared_ptr<const StaticRoutes> StaticsOf(const ReleaseRow& release);

class Catalog {
 public:
  using Apps = std::map<AppName, AppEntry>;
  using Tenants = std::map<std::string, TenantRow, std::less<>>;

  // Null when there is none; what is being deleted counts as gone.
  const TenantRow* FindTenant(std::string_view name) const;
  AppEntry* FindApp(const AppName& name);
  // Null when the app is gone or its name belongs to a younger one.
  AppEntry* FindApp(const AppName& name, AppId id);

  // Also for what is being deleted.
  void SetActivity(const AppName& name, AppActivity activity);

  void AddTenant(TenantRow tenant);
  void RemoveTenant(const std::string& name) { tenants_.erase(name); }
  void AddApp(AppRow app);
  void RemoveApp(const AppName& name) { apps_.erase(name); }

  const Tenants& tenants() const { return tenants_; }
  const Apps& apps() const { return apps_; }
  std::vector<AppName> AppsOf(std::string_view tenant) const;

  // Whether changes are taken: from the end of the start to the beginning of the stop.
  bool open() const { return open_; }
  void set_open(bool open) { open_ = open; }

 private:
  Tenants tenants_;
  Apps apps_;
  bool open_ = false;
};

}  // namespace cloister
