#include "daemon/releases/owners.h"

#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "apis/base/log.h"
#include "daemon/store/accounts.h"

namespace cloister {
namespace {

Problem NotEmpty(const std::string& tenant, std::uint64_t apps) {
  return Refused(ProblemCode::kTenantNotEmpty,
                 "'" + tenant + "' has " + std::to_string(apps) + (apps == 1 ? " app" : " apps") +
                     "; delete them first, or all at once with --force");
}

Problem BadName(const std::string& name) {
  return Refused(ProblemCode::kNameInvalid,
                 "'" + name.substr(0, 80) +
                     "' is not a name: it starts with a letter a-z, continues with a-z, 0-9 or "
                     "'-', and has at most 30 characters");
}

Outcome<TenantRow> InsertTenant(Database& db, const std::string& name, const Change& change) {
  Result<TenantRow> tenant = CreateTenant(db, name, change);
  if (!tenant.ok() && tenant.error().code == ErrorCode::kAlreadyExists)
    return Refused(ProblemCode::kTenantExists, "the tenant '" + name + "' exists already");
  return TRY(std::move(tenant));
}

Outcome<AppRow> InsertApp(Database& db, const TenantRow& tenant, const AppName& name,
                          const Change& change) {
  Result<AppRow> app = CreateApp(db, tenant, name, change);
  if (!app.ok() && app.error().code == ErrorCode::kAlreadyExists)
    return Refused(ProblemCode::kAppExists, "the app '" + name.ToString() + "' exists already");
  if (!app.ok() && app.error().code == ErrorCode::kInvalidArgument)
    return NoTenant(tenant.name);  // it was deleted in the meantime
  return TRY(std::move(app));
}

}  // namespace

Change Owners::ChangeBy(std::string who) const {
  return Change{.who = std::move(who), .when = parts_.clock.Wall()};
}

void Owners::CreateTenant(const std::string& name, std::string who,
                          std::function<void(Outcome<TenantRow>)> done) {
  if (!parts_.catalog.open())
    return done(NotOpen());
  if (!IsValidName(name))
    return done(BadName(name));
  parts_.state.Write(
      0,
      [name, change = ChangeBy(std::move(who))](Database& db) {
        return InsertTenant(db, name, change);
      },
      [&catalog = parts_.catalog, done = std::move(done)](Outcome<TenantRow> tenant) {
        if (tenant.ok())
          catalog.AddTenant(tenant.value());
        done(std::move(tenant));
      });
}

void Owners::CreateApp(const std::string& tenant, const std::string& name, std::string who,
                       std::function<void(Outcome<AppRow>)> done) {
  if (!parts_.catalog.open())
    return done(NotOpen());
  const TenantRow* owner = parts_.catalog.FindTenant(tenant);
  if (owner == nullptr)
    return done(NoTenant(tenant));
  const Result<AppName> app_name = AppName::Create(tenant, name);
  if (!app_name.ok())
    return done(BadName(name));
  parts_.state.Write(
      0,
      [owner = *owner, app_name = app_name.value(), change = ChangeBy(std::move(who))](
          Database& db) { return InsertApp(db, owner, app_name, change); },
      [this, done = std::move(done)](Outcome<AppRow> app) {
        if (app.ok()) {
          parts_.catalog.AddApp(app.value());
          parts_.quotas.OnCreated(*parts_.catalog.FindApp(app.value().name));
        }
        done(std::move(app));
      });
}

void Owners::DeleteApp(const AppName& name, std::string who,
                       std::function<void(Outcome<Done>)> done) {
  if (!parts_.catalog.open())
    return done(NotOpen());
  AppEntry* app = parts_.catalog.FindApp(name);
  if (app == nullptr)
    return done(NoApp(name));
  if (app->activity != AppActivity::kNone)
    return done(AtWork(name));
  app->activity = AppActivity::kDeleting;
  parts_.state.Write(
      app->row.id.number,
      [row = app->row, change = ChangeBy(std::move(who))](Database& db) -> Outcome<Done> {
        TRY(cloister::DeleteApp(db, row, change));
        return Done();
      },
      [this, name, done = std::move(done)](Outcome<Done> deleted) {
        OnDeleted({name}, deleted.ok());
        done(std::move(deleted));
      });
}

void Owners::DeleteTenant(const std::string& name, DeleteMode mode, std::string who,
                          std::function<void(Outcome<Done>)> done) {
  if (!parts_.catalog.open())
    return done(NotOpen());
  const TenantRow* tenant = parts_.catalog.FindTenant(name);
  if (tenant == nullptr)
    return done(NoTenant(name));
  const std::vector<AppName> apps = parts_.catalog.AppsOf(name);
  if (mode == DeleteMode::kEmptyOnly && !apps.empty())
    return done(NotEmpty(name, apps.size()));
  for (const AppName& app_name : apps) {
    const AppEntry* app = parts_.catalog.FindApp(app_name);
    if (app == nullptr || app->activity != AppActivity::kNone)
      return done(AtWork(app_name));
  }
  for (const AppName& app_name : apps)
    parts_.catalog.FindApp(app_name)->activity = AppActivity::kDeleting;
  parts_.state.Write(
      tenant->id.number,
      [row = *tenant, mode, change = ChangeBy(std::move(who))](Database& db) -> Outcome<Done> {
        // One may have been made since this was asked for.
        if (const std::uint64_t count = TRY(CountApps(db, row.id));
            mode == DeleteMode::kEmptyOnly && count > 0)
          return NotEmpty(row.name, count);
        TRY(cloister::DeleteTenant(db, row, change));
        return Done();
      },
      [this, name, tenant = tenant->id, apps, done = std::move(done)](Outcome<Done> deleted) {
        OnDeleted(deleted.ok() ? parts_.catalog.AppsOf(name) : apps, deleted.ok());
        if (deleted.ok()) {
          parts_.quotas.OnDeleted(tenant);
          parts_.catalog.RemoveTenant(name);
        }
        done(std::move(deleted));
      });
}

void Owners::OnDeleted(const std::vector<AppName>& apps, bool deleted) {
  for (const AppName& name : apps) {
    const auto found = parts_.catalog.apps().find(name);
    if (found == parts_.catalog.apps().end())
      continue;
    if (deleted)
      TakeOff(AppEntry(found->second));
    else
      parts_.catalog.SetActivity(name, AppActivity::kNone);
  }
}

void Owners::TakeOff(const AppEntry& app) {
  parts_.catalog.RemoveApp(app.row.name);
  parts_.quotas.OnDeleted(app.row.id);
  parts_.router.Remove(app.row.id);
  if (app.canary)
    parts_.workers.Retire({app.canary->id, app.config}, [] {});
  if (app.live) {
    parts_.images.Forget(app.live->id);
    parts_.workers.Retire({app.live->id, app.config}, [] {});
  }
  // Former releases may drain still: what they store must go, too.
  parts_.workers.WhenGone(app.row.id, [this, id = app.row.id] { RemoveFiles(id); });
}

void Owners::RemoveOrphan(AppId app) {
  Log(LogLevel::kInfo, "orphan_removed", {{"app", app.number}});
  parts_.workers.WhenGone(app, [this, app] { RemoveFiles(app); });
}

void Owners::RemoveFiles(AppId app) {
  parts_.calls.OnAppDeleted(app);
  parts_.calls.WhenClosed(app, [this, app] { RemoveClosed(app); });
}

void Owners::RemoveClosed(AppId app) {
  parts_.logs.Remove(app, [&state = parts_.state, app] {
    state.Bulk(
        app.number,
        [directory = state.AppDirectory(app.number)](Database&) -> Result<void> {
          std::error_code error;
          std::filesystem::remove_all(directory, error);
          if (error)
            return SystemError("removing " + directory, error.value());
          return {};
        },
        [app](const Result<void>& removed) {
          if (!removed.ok())
            Log(LogLevel::kWarning, "app_files_not_removed",
                {{"app", app.number}, {"why", removed.error().message}});
        });
  });
}

}  // namespace cloister
