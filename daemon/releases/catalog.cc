#include "daemon/releases/catalog.h"

#include <utility>

#include "apis/base/log.h"

namespace cloister {

std::shared_ptr<const StaticRoutes> StaticsOf(const ReleaseRow& release) {
  if (release.run.statics.empty())
    return nullptr;
  Result<StaticRoutes> routes = ParseStaticsText(release.run.statics);
  if (routes.ok())
    return std::make_shared<const StaticRoutes>(std::move(routes).value());
  Log(LogLevel::kError, "statics_damaged",
      {{"release", release.id.number}, {"why", routes.error().message}});
  return nullptr;
}

const TenantRow* Catalog::FindTenant(std::string_view name) const {
  const auto found = tenants_.find(name);
  return found == tenants_.end() ? nullptr : &found->second;
}

AppEntry* Catalog::FindApp(const AppName& name) {
  const auto found = apps_.find(name);
  if (found == apps_.end() || found->second.activity == AppActivity::kDeleting)
    return nullptr;
  return &found->second;
}

AppEntry* Catalog::FindApp(const AppName& name, AppId id) {
  AppEntry* app = FindApp(name);
  return app != nullptr && app->row.id == id ? app : nullptr;
}

void Catalog::SetActivity(const AppName& name, AppActivity activity) {
  if (const auto found = apps_.find(name); found != apps_.end())
    found->second.activity = activity;
}

void Catalog::AddTenant(TenantRow tenant) {
  std::string name = tenant.name;
  tenants_.insert_or_assign(std::move(name), std::move(tenant));
}

void Catalog::AddApp(AppRow app) {
  AppName name = app.name;
  apps_.insert_or_assign(std::move(name), AppEntry{.row = std::move(app), .live = std::nullopt});
}

std::vector<AppName> Catalog::AppsOf(std::string_view tenant) const {
  std::vector<AppName> names;
  for (const auto& [name, app] : apps_)
    if (name.tenant() == tenant)
      names.push_back(name);
  return names;
}

}  // namespace cloister
