#include "daemon/store/accounts.h"

#include "apis/base/check.h"
#include "daemon/store/audit.h"

namespace cloister {
namespace {

// What hangs on an app, from the leaves up (foreign keys are checked at each statement).
constexpr const char* kAppRows[] = {
    "DELETE FROM reports WHERE release_id IN (SELECT id FROM releases WHERE app_id = ?)",
    "DELETE FROM release_modules WHERE release_id IN (SELECT id FROM releases WHERE app_id = ?)",
    "DELETE FROM steps WHERE release_id IN (SELECT id FROM releases WHERE app_id = ?)",
    "DELETE FROM release_files WHERE release_id IN (SELECT id FROM releases WHERE app_id = ?)",
    "DELETE FROM releases WHERE app_id = ?",
    "DELETE FROM collected_releases WHERE app_id = ?",
    "DELETE FROM bytecode WHERE app_id = ?",
    "DELETE FROM quotas WHERE app_id = ?",
    "DELETE FROM cache_generations WHERE app_id = ?",
    "DELETE FROM config_values WHERE app_id = ?",
    "DELETE FROM config_versions WHERE app_id = ?",
    "DELETE FROM snapshots WHERE app_id = ?",
    "DELETE FROM apps WHERE id = ?",
};

// Inside a transaction.
Result<void> DeleteAppRows(Database& db, AppId app) {
  for (const char* sql : kAppRows)
    TRY(db.Run(sql, app.number));
  if (db.changes() == 0)
    return Error{ErrorCode::kNotFound, "no app with the id " + std::to_string(app.number)};
  return {};
}

}  // namespace

Result<TenantRow> CreateTenant(Database& db, const std::string& name, const Change& change) {
  Transaction transaction = TRY(Transaction::Begin(db));
  TRY(db.Run("INSERT INTO tenants (name, created_at) VALUES (?, ?)", name, ToColumn(change.when)));
  TenantRow tenant{.id = {db.last_row_id()}, .name = name, .created_at = change.when};
  TRY(AddAudit(db, change, "tenant_created", name));
  TRY(transaction.Commit());
  return tenant;
}

Result<AppRow> CreateApp(Database& db, const TenantRow& tenant, const AppName& name,
                         const Change& change) {
  Transaction transaction = TRY(Transaction::Begin(db));
  TRY(db.Run("INSERT INTO apps (tenant_id, name, created_at) VALUES (?, ?, ?)", tenant.id.number,
             name.app(), ToColumn(change.when)));
  AppRow app{
      .id = {db.last_row_id()}, .tenant = tenant.id, .name = name, .created_at = change.when};
  TRY(AddAudit(db, change, "app_created", name.ToString()));
  TRY(transaction.Commit());
  return app;
}

Result<std::vector<TenantRow>> ListTenants(Database& db) {
  Statement rows = TRY(db.Query("SELECT id, name, created_at FROM tenants ORDER BY id"));
  std::vector<TenantRow> tenants;
  while (TRY(rows.Step()))
    tenants.push_back({.id = {rows.UInt(0)},
                       .name = std::string(rows.Text(1)),
                       .created_at = FromColumn(rows.Int(2))});
  return tenants;
}

Result<std::vector<AppRow>> ListApps(Database& db) {
  Statement rows =
      TRY(db.Query("SELECT a.id, a.tenant_id, t.name, a.name, a.created_at, a.data "
                   "FROM apps a JOIN tenants t ON t.id = a.tenant_id ORDER BY a.id"));
  std::vector<AppRow> apps;
  while (TRY(rows.Step()))
    apps.push_back({.id = {rows.UInt(0)},
                    .tenant = {rows.UInt(1)},
                    .name = TRY(AppName::Create(rows.Text(2), rows.Text(3))),
                    .created_at = FromColumn(rows.Int(4)),
                    .data = rows.UInt(5)});
  return apps;
}

Result<std::uint64_t> CountApps(Database& db, TenantId tenant) {
  Statement count = TRY(db.Query("SELECT count(*) FROM apps WHERE tenant_id = ?", tenant.number));
  TRY(count.Step());
  return count.UInt(0);
}

Result<void> DeleteApp(Database& db, const AppRow& app, const Change& change) {
  Transaction transaction = TRY(Transaction::Begin(db));
  TRY(DeleteAppRows(db, app.id));
  TRY(AddAudit(db, change, "app_deleted", app.name.ToString()));
  return transaction.Commit();
}

Result<void> DeleteTenant(Database& db, const TenantRow& tenant, const Change& change) {
  Transaction transaction = TRY(Transaction::Begin(db));
  std::vector<AppId> apps;
  {
    Statement rows = TRY(db.Query("SELECT id FROM apps WHERE tenant_id = ?", tenant.id.number));
    while (TRY(rows.Step()))
      apps.push_back({rows.UInt(0)});
  }
  for (const AppId app : apps)
    TRY(DeleteAppRows(db, app));
  TRY(db.Run("DELETE FROM contents WHERE tenant_id = ?", tenant.id.number));
  TRY(db.Run("DELETE FROM quotas WHERE tenant_id = ?", tenant.id.number));
  TRY(db.Run("DELETE FROM tenants WHERE id = ?", tenant.id.number));
  if (db.changes() == 0)
    return Error{ErrorCode::kNotFound, "no tenant named " + tenant.name};
  TRY(AddAudit(db, change, "tenant_deleted", tenant.name, std::to_string(apps.size()) + " apps"));
  return transaction.Commit();
}

}  // namespace cloister
