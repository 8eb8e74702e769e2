#include "daemon/store/quota_rows.h"

#include "daemon/store/audit.h"

namespace cloister {
namespace {

Result<void> CheckOwner(Database& db, const QuotaOwner& owner) {
  Statement found =
      TRY(owner.app.valid() ? db.Query("SELECT 1 FROM apps WHERE id = ? AND tenant_id = ?",
                                       owner.app.number, owner.tenant.number)
                            : db.Query("SELECT 1 FROM tenants WHERE id = ?", owner.tenant.number));
  if (TRY(found.Step()))
    return {};
  return Error{ErrorCode::kNotFound, "whose quota it was is gone"};
}

Result<void> ChangeOne(Database& db, const QuotaOwner& owner, const QuotaChange& quota,
                       const Change& change) {
  if (!quota.value)
    return db.Run("DELETE FROM quotas WHERE tenant_id = ? AND app_id = ? AND name = ?",
                  owner.tenant.number, owner.app.number, quota.name);
  return db.Run(
      "INSERT OR REPLACE INTO quotas (tenant_id, app_id, name, value, set_at, set_by) "
      "VALUES (?, ?, ?, ?, ?, ?)",
      owner.tenant.number, owner.app.number, quota.name, *quota.value, ToColumn(change.when),
      change.who);
}

}  // namespace

Result<std::vector<QuotaRow>> ListQuotas(Database& db) {
  Statement rows = TRY(db.Query(
      "SELECT tenant_id, app_id, name, value, set_at, set_by FROM quotas ORDER BY tenant_id, "
      "app_id, name"));
  std::vector<QuotaRow> quotas;
  while (TRY(rows.Step()))
    quotas.push_back({.owner = {.tenant = {rows.UInt(0)}, .app = {rows.UInt(1)}},
                      .name = std::string(rows.Text(2)),
                      .value = std::string(rows.Text(3)),
                      .set_at = FromColumn(rows.Int(4)),
                      .set_by = std::string(rows.Text(5))});
  return quotas;
}

Result<void> ChangeQuotas(Database& db, const QuotaOwner& owner, std::string_view subject,
                          const std::vector<QuotaChange>& changes, const Change& change) {
  Transaction transaction = TRY(Transaction::Begin(db));
  TRY(CheckOwner(db, owner));
  for (const QuotaChange& quota : changes) {
    TRY(ChangeOne(db, owner, quota, change));
    TRY(AddAudit(db, change, quota.value ? "quota_set" : "quota_unset", subject,
                 quota.value ? quota.name + "=" + *quota.value : quota.name));
  }
  return transaction.Commit();
}

}  // namespace cloister
